//! What an administrator does with an address to which an account can be taken back.

use super::{EMAIL, PASSWORD, assert_refused, run, run_with};
use crate::on_each_engine;
use crate::support::server::Server;

const NEW: &str = "new@example.org";

on_each_engine! {
    async fn nobody_is_added_or_imported_with_it_until_its_user_is_deleted(database: Database) {
        let server = Server::start_with(&database.url, &["--bcrypt-cost", "4"]);
        server.registered(EMAIL, PASSWORD).await;
        let session = server.logged_in(EMAIL, PASSWORD).await;
        server.moved(&session, NEW).await;
        let inside = database.look_inside().await;
        let words = "a user had this address until lately and can take it back";
        assert_refused(&database, &inside, &["users", "add", EMAIL], (4, words)).await;
        let taken = "email already registered";
        assert_refused(&database, &inside, &["users", "add", NEW], (4, taken)).await;
        let hash = "$2b$04$abcdefghijklmnopqrstuuT9k8Qo0C5D5Hb5i9b0rK0mC3q1nYbrK";
        let file = format!("{EMAIL},{hash}\n{NEW},{hash}\nthird@example.org,{hash}\n");
        let csv = format!("email,password_hash\n{file}");
        let import = ["users", "import", "-", "--format", "csv"];
        let preview = run_with(&database, &[&import[..], &["--dry-run"]].concat(), &csv);
        let preview = preview.done().stderr;
        assert!(preview.contains("1 would be imported, 2 exist already"), "{preview}");
        let imported = run_with(&database, &import, &csv).done().stderr;
        assert!(imported.contains("1 imported, 2 exist already"), "{imported}");
        assert_eq!(inside.count("users").await, 2);
        assert_eq!(inside.count("users WHERE email = 'bob@example.org'").await, 0);
        assert_eq!(inside.count("users WHERE email = 'third@example.org'").await, 1);
        run(&database, &["users", "delete", NEW, "--yes"]).done();
        assert_eq!(inside.count("past_addresses").await, 0);
        run(&database, &["users", "add", EMAIL]).done();
        server.stop();
    }
}
