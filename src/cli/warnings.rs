//! What the settings weaken: told at every start, and by `doctor`.

use super::options::{MailTransport, ServeOptions};
use crate::app::SessionCookie;
use crate::password::Cost;

/// A sentence for each thing that is set and weakens the service, with what to do about it.
pub fn of(options: &ServeOptions) -> Vec<String> {
    let mut warnings = options.warnings();
    if let Some(proxy) = options.forgotten_proxy() {
        warnings.push(format!(
            "only a proxy on this machine can end TLS for --public-url, and it is not trusted: all \
             clients count as one source, so that wrong passwords by one keep out all; give \
             --trusted-proxy {proxy}"
        ));
    }
    let database = options.database.url();
    if database.is_exposed_on_the_way() {
        warnings.push(format!(
            "the network between here and {database} can read and change what goes there; add \
             ?sslmode=verify-full to the URL, so that the server must prove who it is"
        ));
    }
    if let Some(address) = options.exposed_operations() {
        warnings.push(format!(
            "--operations {address}: other networks may reach it, and learn how many users there are and \
             what happens; listen on 127.0.0.1, or on an address of a private network"
        ));
    }
    let cost = options.accounts.bcrypt_cost;
    if cost < Cost::RECOMMENDED_MIN {
        warnings.push(format!(
            "--bcrypt-cost {cost} is for tests: stolen hashes would soon be guessed; give {} or more",
            Cost::RECOMMENDED_MIN
        ));
    }
    if options.exposure.give_reset_tokens_to_anyone {
        warnings.push(
            "--give-reset-tokens-to-anyone: all who can reach this service can take over every account"
                .to_owned(),
        );
    }
    if options.accounts.is_https() && options.session_cookie() == SessionCookie::Plain {
        warnings.push(
            "--session-cookie plain: browsers will send sessions over unencrypted HTTP too"
                .to_owned(),
        );
    }
    if let Some((MailTransport::Folder(path), _)) = options.mail.transport() {
        warnings.push(format!(
            "--mail-dir is for development: mails go into {} and are not sent",
            path.display()
        ));
    }
    warnings
}
