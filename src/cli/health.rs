//! `bienvenue health`: asks a service that runs whether it is ready.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use crate::error_chain::ErrorChain;
use crate::server::{Answer, ListenAddress, ask};

/// How long an answer may take. The service itself gives its database one second.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Which service to ask.
#[derive(Clone, Debug, Args)]
pub struct HealthOptions {
    /// Where the service answers operators, as it was told when it was started
    #[arg(
        long,
        env = "BIENVENUE_OPERATIONS",
        value_name = "ADDRESS:PORT|unix:PATH"
    )]
    operations: ListenAddress,
}

/// Exits with 0 if the service is ready, with 1 and a line that says why if it is not.
pub fn run(options: &HealthOptions) -> ExitCode {
    match check(&options.operations) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("bienvenue: {reason}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn check(address: &ListenAddress) -> Result<(), String> {
    ask_whether_ready(address).await
}

/// Asks a service whether it is ready; if it is not, says why.
pub async fn ask_whether_ready(address: &ListenAddress) -> Result<(), String> {
    match ask(address, "/readyz", TIMEOUT).await {
        Ok(Answer { status: 200, .. }) => Ok(()),
        Ok(Answer {
            status: 503, body, ..
        }) => Err(format!("not ready: {}", one_word(&body))),
        Ok(Answer { status, .. }) => Err(format!(
            "{address} answers /readyz with {status}: is it the --operations address of bienvenue?"
        )),
        Err(error) => Err(format!(
            "no service answers on {address}: {}",
            ErrorChain(&error)
        )),
    }
}

/// The first word of an answer, which may come from another program.
fn one_word(text: &str) -> String {
    let letters = text.chars().take_while(char::is_ascii_alphabetic);
    letters.take(20).collect()
}
