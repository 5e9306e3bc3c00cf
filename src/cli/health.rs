//! `bienvenue health`: asks a service that runs whether it is ready.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use crate::error_chain::ErrorChain;
use crate::server::{Answer, AskError, ListenAddress, ask};

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

/// Why a service is not ready.
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    /// It runs, and says why in one word.
    #[error("not ready: {0}")]
    Says(String),
    /// What answers may be another program.
    #[error("{0} answers /readyz with {1}: is it the --operations address of bienvenue?")]
    Unexpected(ListenAddress, u16),
    /// Nothing answers.
    #[error("no service answers on {0}")]
    Silent(ListenAddress, #[source] AskError),
}

/// Exits with 0 if the service is ready, with 1 and a line that says why if it is not.
pub fn run(options: &HealthOptions) -> ExitCode {
    match check(&options.operations) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("bienvenue: {}", ErrorChain(&reason));
            ExitCode::FAILURE
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn check(address: &ListenAddress) -> Result<(), NotReady> {
    ask_whether_ready(address).await
}

/// Asks a service whether it is ready.
pub async fn ask_whether_ready(address: &ListenAddress) -> Result<(), NotReady> {
    match ask(address, "/readyz", TIMEOUT).await {
        Ok(Answer { status: 200, .. }) => Ok(()),
        Ok(Answer {
            status: 503, body, ..
        }) => Err(NotReady::Says(one_word(&body))),
        Ok(Answer { status, .. }) => Err(NotReady::Unexpected(address.clone(), status)),
        Err(error) => Err(NotReady::Silent(address.clone(), error)),
    }
}

/// The first word of an answer, which may come from another program.
fn one_word(text: &str) -> String {
    let letters = text.chars().take_while(char::is_ascii_alphabetic);
    letters.take(20).collect()
}
