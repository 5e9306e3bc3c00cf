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
    warnings.extend(of_origins(options));
    warnings.extend(of_apps(options));
    let sends_mails = options.mail.transport().is_some();
    if sends_mails && options.mail.notify_logins && !options.limits().know_sources() {
        warnings.push(
            "--notify-logins on: no mail tells of logins, since nobody notes where users log in while all \
             limits of failed logins and of resets are off; give one a rate, or --notify-logins off"
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

/// A sentence for each app without a port, where the service has one: mostly one proxy answers both, and the check
/// of an app at another port than it was given is refused.
///
/// It may be meant so, which nobody could say if such an app had the port of the service.
pub fn of_apps(options: &ServeOptions) -> Vec<String> {
    let Some(url) = &options.accounts.public_url else {
        return Vec::new();
    };
    let port = url.authority().strip_prefix(url.host());
    let Some(port) = port.filter(|port| !port.is_empty()) else {
        return Vec::new();
    };
    let hosts = options.app_hosts().filter(|host| !host.contains(':'));
    let usual = if url.is_https() { 443 } else { 80 };
    let warning = |host| {
        format!(
            "--app {host} is at port {usual}, and --public-url {url} is not: give {host}{port} if the app \
             is reached by that port too"
        )
    };
    hosts.map(warning).collect()
}

/// A sentence for each origin whose scripts may not get on with the service, or be others' than one thinks.
fn of_origins(options: &ServeOptions) -> Vec<String> {
    let mut warnings = Vec::new();
    let public_url = options.accounts.public_url.as_ref();
    let is_public = public_url.is_some_and(|url| !url.is_local());
    for origin in &options.exposure.allowed_origins {
        if is_public && origin.is_local() {
            warnings.push(format!(
                "--allow-origin {origin} is for development: whatever answers there on the machine of a \
                 user can act in the user's name"
            ));
        }
        let is_other_site = match public_url {
            Some(public_url) => origin.is_other_site_than(public_url),
            None => !origin.is_local(),
        };
        if !is_other_site {
            continue;
        }
        let consequence = match options.session_cookie() {
            SessionCookie::Plain => {
                "browsers keep no session for its pages, since that takes --session-cookie host"
            }
            SessionCookie::HostOnly | SessionCookie::Partitioned => {
                "browsers keep a session for its pages that the service's own do not share, and older \
                 ones keep none"
            }
        };
        warnings.push(format!(
            "--allow-origin {origin} is another site than the service: {consequence}; names below one \
             domain are one site"
        ));
    }
    warnings
}
