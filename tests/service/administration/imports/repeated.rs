//! Imports that are interrupted, repeated, or go on beside the service.

use std::fmt::Write as _;

use tokio::task::yield_now;

use super::*;
use crate::on_each_engine;

const HASH: &str = "$2b$04$eImiTXuWVxfM37uY4JANjOL7wZ5rfmmW0cEeqhbJyvb9LrGcYWVmC";

fn csv_of(users: usize) -> String {
    let mut csv = "email,password_hash\n".to_owned();
    for number in 0..users {
        let _ = writeln!(csv, "user{number}@example.org,{HASH}");
    }
    csv
}

on_each_engine! {
    async fn an_import_that_was_killed_is_completed_by_another(database: Database) {
        // Of which the first half has more than one transaction takes.
        const USERS: usize = 40_000;

        prepare(&database);
        let inside = database.look_inside().await;
        let csv = csv_of(USERS);
        let mut process = command(&database, &["users", "import", "-"])
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdin = process.stdin.take().unwrap();
        let part = csv.len() / 2;
        stdin.write_all(&csv.as_bytes()[..part]).unwrap();
        while inside.count("users").await == 0 {
            yield_now().await;
        }
        process.kill().unwrap();
        process.wait().unwrap();
        let done = inside.count("users").await;
        assert!(done > 0 && done < USERS.try_into().unwrap(), "{done}");

        let rest = i64::try_from(USERS).unwrap() - done;
        let planned = import(&database, &["--dry-run"], &csv).done();
        assert_summary(&planned, &format!("{rest} would be imported, {done} exist already, 0 not usable"));
        assert!(!planned.stderr.contains("bienvenue::audit"), "{planned:?}");
        assert_eq!(inside.count("users").await, done);
        let imported = import(&database, &[], &csv).done();
        assert_summary(&imported, &format!("{rest} imported, {done} exist already, 0 not usable"));
        let before = inside.all_rows().await;
        let again = import(&database, &["--update"], &csv).done();
        let summary = "0 imported, 0 given another hash, 40000 exist already, 0 not usable";
        assert_summary(&again, summary);
        assert_eq!(inside.all_rows().await, before);
    }

    async fn the_service_takes_writes_while_users_are_imported(database: Database) {
        let server = Server::start(&database.url);
        let csv = csv_of(20_000);
        let importing = std::thread::spawn({
            let url = database.url.clone();
            move || import(&Database { url, folder: None }, &[], &csv)
        });
        let mut signed_up = 0;
        while !importing.is_finished() {
            server.registered(&format!("new{signed_up}@example.org"), PASSWORD).await;
            signed_up += 1;
        }
        let imported = importing.join().unwrap().done();
        assert_summary(&imported, "20000 imported, 0 exist already, 0 not usable");
        assert!(signed_up > 0);
    }

    async fn two_imports_of_a_file_at_once_import_it_once(database: Database) {
        prepare(&database);
        let csv = csv_of(3_000);
        let imports: Vec<_> = (0..3)
            .map(|_| {
                let (url, csv) = (database.url.clone(), csv.clone());
                std::thread::spawn(move || import(&Database { url, folder: None }, &[], &csv))
            })
            .collect();
        let imported = imports.into_iter().map(|import| {
            let audit = import.join().unwrap().done().audit();
            audit["imported"].as_u64().unwrap()
        });
        assert_eq!(imported.sum::<u64>(), 3_000);
        assert_eq!(database.look_inside().await.count("users").await, 3_000);
    }
}
