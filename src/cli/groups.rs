//! `bienvenue groups …`: who is in which group.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::administration::{self, CommandOptions};
use super::output::{Cell, Rows};
use crate::user::{GroupName, UserKey};

/// What can be done with groups.
#[derive(Clone, Debug, Subcommand)]
pub enum GroupsCommand {
    /// List the groups that there are users in, and how many
    List(ListGroups),
    /// Put a user into a group
    Add(OneGroup),
    /// Take a user out of a group
    Remove(OneGroup),
}

#[derive(Clone, Debug, Args)]
pub struct ListGroups {
    /// Print a JSON object for each group, with the keys name and users
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    options: CommandOptions,
}

#[derive(Clone, Debug, Args)]
pub struct OneGroup {
    /// The address or the number of the user
    user: UserKey,

    /// The name of the group: 1 to 32 of a-z, 0-9, _ and -
    group: GroupName,

    #[command(flatten)]
    options: CommandOptions,
}

/// Does it.
pub fn run(command: &GroupsCommand) -> ExitCode {
    match command {
        GroupsCommand::List(ListGroups { json, options }) => {
            administration::run(options, "groups list", async |context| {
                let mut rows = Rows::new(["name", "users"], *json);
                let groups = context.administration.groups().await?;
                let cells =
                    |group: crate::db::Group| [group.name.into(), Cell::Number(group.users)];
                rows.write(groups.into_iter().map(cells))?;
                Ok(rows.finish()?)
            })
        }
        GroupsCommand::Add(OneGroup {
            user,
            group,
            options,
        }) => administration::run(options, "groups add", async |context| {
            Ok(context.administration.add_to_group(user, group).await?)
        }),
        GroupsCommand::Remove(OneGroup {
            user,
            group,
            options,
        }) => administration::run(options, "groups remove", async |context| {
            Ok(context
                .administration
                .remove_from_group(user, group)
                .await?)
        }),
    }
}
