//! The process dies while addresses are changed and changes undone.

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use super::CLIENTS;
use crate::on_each_engine;
use crate::support::client::Client;
use crate::support::server::Server;

const OPTIONS: [&str; 2] = ["--bcrypt-cost", "4"];
const PASSWORD: &str = "b4l0u";
const NEW_PASSWORD: &str = "t4rt1fl3tt3";

/// How far a client has come with an account of its own, as far as it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    /// The account has an address, and another is asked for.
    Asked,
    /// The address was changed.
    Changed,
    /// The change was undone.
    Undone,
}

/// An account, and what was told of it.
struct Account {
    old: String,
    new: String,
    told: Told,
}

/// Changes the address of an account of its own.
async fn change(client: &Client, account: &mut Account) -> Result<(), String> {
    let session = client.log_in(&account.old, PASSWORD).try_send().await?;
    let session = session.session_id().ok_or("no session")?;
    let asked = client
        .ask_address(&session, &account.new)
        .try_send()
        .await?;
    let token = asked.json()["email_token"].as_str().unwrap().to_owned();
    let changed = client.change_address(&session, &token).try_send().await?;
    assert_eq!(changed.status, 200, "{changed:?}");
    account.told = Told::Changed;
    let undo = changed.json()["undo_token"].as_str().unwrap().to_owned();
    let undone = client.undo_address(&account.old, &undo, NEW_PASSWORD);
    let undone = undone.try_send().await?;
    assert_eq!(undone.status, 200, "{undone:?}");
    account.told = Told::Undone;
    Ok(())
}

/// Does so with one account after the other until the process is gone, and tells of each that was done.
async fn change_until_killed(
    client: Client,
    name: String,
    done: UnboundedSender<()>,
) -> Vec<Account> {
    let mut accounts = Vec::new();
    loop {
        let number = accounts.len();
        let mut account = Account {
            old: format!("{name}-{number}@old.example"),
            new: format!("{name}-{number}@new.example"),
            told: Told::Asked,
        };
        let registered = client.register(&account.old, PASSWORD).try_send().await;
        if !registered.is_ok_and(|reply| reply.status == 200) {
            return accounts;
        }
        let changed = change(&client, &mut account).await;
        accounts.push(account);
        if changed.is_err() {
            return accounts;
        }
        let _ = done.send(());
    }
}

on_each_engine! {
    async fn after_a_kill_an_account_has_the_old_address_or_the_new_one_with_its_way_back(database: Database) {
        let mut accounts = Vec::new();
        for (round, kill_after) in [1, 9, 25, 40, 60].into_iter().enumerate() {
            let server = Server::start_with(&database.url, &OPTIONS);
            let (done, mut told) = unbounded_channel();
            let mut clients = JoinSet::new();
            for number in 0..CLIENTS {
                let name = format!("user-{round}-{number}");
                let client = Client::of_url(&server.url);
                clients.spawn(change_until_killed(client, name, done.clone()));
            }
            for _ in 0..kill_after {
                told.recv().await;
            }
            server.kill();
            accounts.extend(clients.join_all().await.into_iter().flatten());
        }
        let server = Server::start_with(&database.url, &OPTIONS);
        let inside = database.look_inside().await;
        let mut cut_off = 0;
        for Account { old, new, told } in &accounts {
            let count = async |what: String| inside.count(&what).await;
            let has_old = count(format!("users WHERE email = '{old}'")).await;
            let has_new = count(format!("users WHERE email = '{new}'")).await;
            let can_go_back = count(format!("past_addresses WHERE email = '{old}'")).await;
            let is_asked = count(format!("pending_addresses WHERE email = '{new}'")).await;
            assert_eq!(has_old + has_new, 1, "{old}: {told:?}");
            assert_eq!(can_go_back, has_new, "{old}: {told:?}");
            assert!(is_asked <= has_old, "{old}: {told:?}");
            match told {
                Told::Asked => {}
                Told::Changed => assert_eq!(is_asked, 0, "{old}"),
                Told::Undone => assert_eq!((has_old, is_asked), (1, 0), "{old}"),
            }
            cut_off += usize::from(*told != Told::Undone);
            // One way in: with the address that it has, and the password that goes with that.
            let was_undone = has_old == 1 && *told >= Told::Changed;
            let (email, password) = match (has_new == 1, was_undone) {
                (true, _) => (new, PASSWORD),
                (false, true) => (old, NEW_PASSWORD),
                (false, false) => (old, PASSWORD),
            };
            assert!(server.can_log_in(email, password).await, "{old}: {told:?}");
        }
        assert!(accounts.len() >= 135, "{}", accounts.len());
        println!("{cut_off} of {} accounts were cut off on the way", accounts.len());
    }
}
