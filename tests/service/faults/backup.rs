//! A backup that the disk has no room for.

use std::fs;
use std::path::Path;

use super::SmallDisk;
use crate::on_each_engine;
use crate::support::server::Server;

on_each_engine! {
    async fn a_backup_for_which_the_disk_is_too_small_leaves_nothing(database: Database) {
        let Some(disk) = SmallDisk::mount(2) else {
            return;
        };
        database.open().await.close().await;
        database.look_inside().await.fill(10_000).await;
        let back_up = |name: &Path| {
            let mut command = Server::command();
            let command = command.env("DATABASE_URL", &database.url).arg("backup").arg(name);
            let ended = command.output().unwrap();
            (ended.status.code().unwrap(), String::from_utf8(ended.stderr).unwrap())
        };
        let (code, words) = back_up(&disk.path().join("b.db"));
        assert_eq!(code, 1, "{words}");
        assert!(words.contains("cannot write into") && words.contains("full"), "{words}");
        assert_eq!(fs::read_dir(disk.path()).unwrap().count(), 0);
        // The database is none the worse.
        let folder = tempfile::tempdir().unwrap();
        let (code, words) = back_up(&folder.path().join("b.db"));
        assert_eq!(code, 0, "{words}");
    }
}
