//! Whether the public URL leads to a service of this kind.
//!
//! Not whether it leads to this very instance: what would prove that is a secret in an answer of the public
//! API, which has none.

use std::time::Duration;

use super::findings::Findings;
use crate::cli::print;
use crate::error_chain::ErrorChain;
use crate::public_url::PublicUrl;
use crate::server::{Answer, AskError, ask_public};

const CHECK: &str = "public-url";

const TIMEOUT: Duration = Duration::from_secs(5);

/// What is asked for, and what this program answers to one that is not logged in.
struct Question {
    path: &'static str,
    status: u16,
    body: &'static str,
}

const HOME: Question = Question {
    path: "/",
    status: 200,
    body: r#"{"message":"Bienvenue"}"#,
};

/// Where `/` is an app's.
const PROFILE: Question = Question {
    path: "/profile",
    status: 403,
    body: r#"{"message":"not logged in"}"#,
};

/// Asks as a program would. `is_shared` is whether an app is on the same host.
pub async fn check(url: &PublicUrl, is_shared: bool, findings: &mut Findings) {
    let question = if is_shared { PROFILE } else { HOME };
    match ask_public(url, question.path, TIMEOUT).await {
        Ok(answer) if question.is_answered_by(&answer) => {
            findings.ok(CHECK, format!("{url} is answered by a bienvenue"));
        }
        Ok(answer) => {
            let place = url.to_string() + question.path.trim_end_matches('/');
            let paths = if is_shared {
                format!(
                    "{}, with all below them, on to its --listen, and the others alone to the app, as \
                     bienvenue print nginx has it",
                    print::own_paths()
                )
            } else {
                "/ and all below it on to its --listen".to_owned()
            };
            findings.fail(
                CHECK,
                format!(
                    "{place} is answered with status {}, and not by bienvenue: check that the service runs, \
                     and that the proxy passes {paths}",
                    answer.status
                ),
            );
        }
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
                format!(
                    "{url} cannot be reached from here ({}): {remedy}",
                    ErrorChain(&error)
                ),
            );
        }
    }
}

impl Question {
    /// Whether an answer is this program's, whatever stands in between.
    fn is_answered_by(&self, answer: &Answer) -> bool {
        answer.status == self.status
            && answer.has_header("x-request-id")
            && answer.body.contains(self.body)
    }
}
