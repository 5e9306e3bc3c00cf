//! Whether the public URL leads to a service of this kind.
//!
//! Not whether it leads to this very instance: what would prove that is a secret in an answer of the public
//! API, which has none.

use std::time::Duration;

use super::findings::Findings;
use crate::error_chain::ErrorChain;
use crate::public_url::PublicUrl;
use crate::server::{Answer, AskError, ask_public};

const CHECK: &str = "public-url";

const TIMEOUT: Duration = Duration::from_secs(5);

/// Asks for `/`, as a program would.
pub async fn check(url: &PublicUrl, findings: &mut Findings) {
    match ask_public(url, "/", TIMEOUT).await {
        Ok(answer) if is_ours(&answer) => {
            findings.ok(CHECK, format!("{url} is answered by a bienvenue"));
        }
        Ok(answer) => findings.fail(
            CHECK,
            format!(
                "{url} is answered with status {}, and not by bienvenue: check that the service runs, and \
                 that the proxy passes / and all below it on to its --listen",
                answer.status
            ),
        ),
        Err(error) => {
            let remedy = match &error {
                AskError::Unreachable(_) | AskError::Silent(_) => {
                    "check the name (DNS), the proxy and the firewall; from inside of some networks their \
                     own public addresses cannot be reached: try from outside by curl"
                }
                AskError::Tls(_) => {
                    "check the certificate of the proxy and its chain; an authority of your own can be named \
                     by SSL_CERT_FILE"
                }
                AskError::NotHttp => "check the port, and what listens there",
            };
            findings.fail(
                CHECK,
                format!("{url} cannot be reached from here ({}): {remedy}", ErrorChain(&error)),
            );
        }
    }
}

/// Whether an answer to `/` is this program's, whatever stands in between.
fn is_ours(answer: &Answer) -> bool {
    answer.status == 200
        && answer.has_header("x-request-id")
        && answer.body.contains(r#"{"message":"Bienvenue"}"#)
}
