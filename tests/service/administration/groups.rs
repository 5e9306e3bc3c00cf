//! Groups.

use super::*;
use crate::on_each_engine;

on_each_engine! {
    async fn users_go_into_groups_and_out_of_them(database: Database) {
        let server = Server::start(&database.url);
        for email in [EMAIL, "alice@example.org"] {
            server.registered(email, PASSWORD).await;
            let added = run(&database, &["groups", "add", email, "staff"]).done();
            assert_eq!((&added.audit()["event"], &added.audit()["group"]), (&"group_added".into(), &"staff".into()));
        }
        run(&database, &["groups", "add", EMAIL, "admins"]).done();
        let list = || run(&database, &["groups", "list", "--json"]).done().stdout;
        assert_eq!(
            list(),
            "{\"name\":\"admins\",\"users\":1}\n{\"name\":\"staff\",\"users\":2}\n"
        );
        let table = run(&database, &["groups", "list"]).done().stdout;
        assert_eq!(table, "NAME    USERS\nadmins  1\nstaff   2\n");

        let removed = run(&database, &["groups", "remove", EMAIL, "admins"]).done();
        assert_eq!(removed.audit()["event"], "group_removed");
        assert_eq!(list(), "{\"name\":\"staff\",\"users\":2}\n");
    }

    async fn what_is_so_already_is_refused(database: Database) {
        let server = Server::start(&database.url);
        server.registered(EMAIL, PASSWORD).await;
        run(&database, &["groups", "add", EMAIL, "staff"]).done();
        run(&database, &["groups", "add", EMAIL, "staff"]).refused(4, "in this group already");
        run(&database, &["groups", "remove", EMAIL, "admins"]).refused(3, "not in this group");
        run(&database, &["groups", "add", "alice@example.org", "staff"]).refused(3, "no user");
        run(&database, &["groups", "add", EMAIL, "Staff"]).refused(2, "a to z");
        let list = run(&database, &["groups", "list", "--json"]).done();
        assert_eq!(list.stdout, "{\"name\":\"staff\",\"users\":1}\n");
    }
}
