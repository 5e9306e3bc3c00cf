//! What commands print.

use std::io::{BufRead, BufReader, Read};

use super::*;
use crate::on_each_engine;

/// Adds a user with this address, which need not be one.
async fn add(inside: &Inside, id: u32, email: &str) {
    let insert = format!(
        "INSERT INTO users (id, email, hashed_password, password_version, created_at)
         VALUES ({id}, '{email}', 'x', 1, 1800000000)"
    );
    inside.execute(&insert).await;
}

fn ids(ended: &Ended) -> Vec<i64> {
    ended
        .json()
        .iter()
        .map(|user| user["id"].as_i64().unwrap())
        .collect()
}

on_each_engine! {
    async fn users_are_listed_by_number_and_chosen_by_options(database: Database) {
        database.open().await.close().await;
        let inside = database.look_inside().await;
        for (id, email) in [(3, "bob@example.org"), (1, "50%@example.org"), (7, "a_b@example.com"), (9, "axb@example.com")] {
            add(&inside, id, email).await;
        }
        run(&database, &["users", "lock", "7"]).done();
        run(&database, &["users", "lock", "bob@example.org"]).done();
        for (options, expected) in [
            (&[][..], &[1, 3, 7, 9][..]),
            (&["--limit", "2"], &[1, 3]),
            (&["--limit", "2", "--after", "3"], &[7, 9]),
            (&["--after", "9"], &[]),
            (&["--search", "EXAMPLE.com"], &[7, 9]),
            (&["--search", "a_b"], &[7]),
            (&["--search", "%"], &[1]),
            (&["--search", "nobody"], &[]),
            (&["--locked"], &[3, 7]),
            (&["--locked", "--search", "bob", "--limit", "1"], &[3]),
        ] {
            let listed = run(&database, &[&["users", "list", "--json"], options].concat()).done();
            assert_eq!(ids(&listed), expected, "{options:?}");
            assert_eq!(listed.stderr, "");
        }
        let table = run(&database, &["users", "list", "--after", "3"]).done().stdout;
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[0], "ID  EMAIL            CREATED_AT            LOCKED_AT             EMAIL_CONFIRMED_AT");
        assert_eq!(lines[2], "9   axb@example.com  2027-01-15T08:00:00Z  -                     -");
        let json = run(&database, &["users", "list", "--json", "--limit", "1"]).done().stdout;
        assert_eq!(
            json,
            "{\"id\":1,\"email\":\"50%@example.org\",\"created_at\":\"2027-01-15T08:00:00Z\",\
             \"locked_at\":null,\"email_confirmed_at\":null}\n"
        );
        run(&database, &["users", "list", "--limit", "0"]).refused(2, "--limit");
        run(&database, &["users", "list", "--search", &"x".repeat(255)]).refused(2, "254 bytes");
    }

    async fn a_long_list_has_every_user_once_and_ends_quietly_when_nobody_reads_on(database: Database) {
        database.open().await.close().await;
        let inside = database.look_inside().await;
        inside.fill(12_345).await;
        let listed = run(&database, &["users", "list", "--json"]).done();
        assert_eq!(ids(&listed), (1..=12_345).collect::<Vec<i64>>());
        let found = run(&database, &["users", "list", "--json", "--search", "r12345@"]).done();
        assert_eq!(ids(&found), [12_345]);

        let mut list = command(&database, &["users", "list"]);
        let mut process = list.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        assert!(lines.next().unwrap().unwrap().starts_with("ID"));
        drop(lines);
        let mut said = String::new();
        process.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!((process.wait().unwrap().code(), &*said), (Some(0), ""));
    }

    async fn no_order_to_a_terminal_comes_out_of_the_database(database: Database) {
        database.open().await.close().await;
        let inside = database.look_inside().await;
        let hostile = "a\u{1b}[2j\n7  forged\u{9b}\u{202e}\u{7f}@example.org";
        add(&inside, 1, hostile).await;
        for arguments in [&["users", "list"][..], &["users", "show", "1"]] {
            let table = run(&database, arguments).done();
            assert_eq!(table.stdout.lines().count(), 2, "{table:?}");
            let json = run(&database, &[arguments, &["--json"]].concat()).done();
            assert_eq!(json.json()[0]["email"], hostile);
            for text in [&table.stdout, &json.stdout] {
                let is_order = |letter: char| letter != '\n' && (letter.is_control() || letter == '\u{202e}');
                assert!(!text.contains(is_order), "{text:?}");
            }
        }
        // Nobody can log in with it, and by its number it is deleted.
        run(&database, &["users", "reset-link", "1"]).refused(1, "user 1 is not one that anybody");
        run(&database, &["users", "delete", "1", "--yes"]).done();
        assert_eq!(inside.count("users").await, 0);
    }
}
