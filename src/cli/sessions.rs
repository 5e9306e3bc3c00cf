//! `bienvenue sessions …`: who is logged in, and ending it.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::administration::{self, CommandOptions};
use super::confirm::confirm;
use super::output::Rows;
use crate::db::SessionOfUser;
use crate::user::UserKey;

/// What can be done with sessions.
#[derive(Clone, Debug, Subcommand)]
pub enum SessionsCommand {
    /// List the sessions of a user, the oldest first
    List(ListSessions),
    /// End the sessions of a user, or of all users
    ///
    /// It holds at the next request. Who is logged out so can log in again; to keep a user out, lock them.
    Revoke(RevokeSessions),
}

#[derive(Clone, Debug, Args)]
pub struct ListSessions {
    /// The address or the number of the user
    user: UserKey,

    /// Print a JSON object for each session, with the keys created_at, last_seen_at, client and source
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    options: CommandOptions,
}

#[derive(Clone, Debug, Args)]
pub struct RevokeSessions {
    #[command(flatten)]
    whose: Whose,

    /// Do it without being asked
    #[arg(long)]
    yes: bool,

    #[command(flatten)]
    options: CommandOptions,
}

/// Whose sessions to end.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
struct Whose {
    /// The address or the number of the user
    user: Option<UserKey>,

    /// End the sessions of all users
    #[arg(long)]
    all: bool,
}

/// Does it.
pub fn run(command: &SessionsCommand) -> ExitCode {
    match command {
        SessionsCommand::List(ListSessions {
            user,
            json,
            options,
        }) => administration::run(options, "sessions list", async |context| {
            let mut rows = Rows::new(["created_at", "last_seen_at", "client", "source"], *json);
            let sessions = context.administration.sessions(user).await?;
            let cells = |session: SessionOfUser| {
                [
                    session.created_at.into(),
                    session.last_seen_at.into(),
                    session.client.map(|client| client.to_string()).into(),
                    session.source.map(|source| source.to_string()).into(),
                ]
            };
            rows.write(sessions.into_iter().map(cells))?;
            Ok(rows.finish()?)
        }),
        SessionsCommand::Revoke(RevokeSessions {
            whose,
            yes,
            options,
        }) => administration::run(options, "sessions revoke", async |context| {
            let sessions = if let Some(user) = &whose.user {
                context.administration.revoke_sessions(user).await?
            } else {
                confirm(
                    *yes,
                    "End the sessions of all users, who then have to log in again?",
                )?;
                context.administration.revoke_all_sessions().await?
            };
            context.say(&format!("ended {sessions} sessions"));
            Ok(())
        }),
    }
}
