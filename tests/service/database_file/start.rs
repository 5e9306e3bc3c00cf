//! Files that a start refuses, or tells of.

use super::*;
use crate::support::EmptyDatabase;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_with_a_log_that_is_removed() {
    let database = EmptyDatabase::sqlite();
    let server = Server::start(&database.url);
    server.registered(EMAIL, "b4l0u").await;
    let session = server.logged_in(EMAIL, "b4l0u").await;
    fs::remove_file(beside(&file_of(&database), "-wal")).unwrap();
    let reply = server.register("new@example.org", "b4l0u").send().await;
    reply.assert_refusal(503, UNAVAILABLE);
    let (status, log) = server.stop();
    assert!(!status.success(), "{log}");
    let server = Server::start(&database.url);
    assert!(server.is_logged_in(&session).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_finds_no_users_says_so_first() {
    let database = EmptyDatabase::sqlite();
    let created = "created an empty";
    let (_, log) = Server::start(&database.url).stop();
    assert!(log.lines().next().unwrap().contains(created), "{log}");
    let (_, log) = Server::start(&database.url).stop();
    assert!(!log.contains(created), "{log}");

    let database = EmptyDatabase::sqlite();
    fs::write(file_of(&database), "").unwrap();
    let (_, log) = Server::start(&database.url).stop();
    let first = log.lines().next().unwrap();
    assert!(
        first.contains("WARN") && first.contains("there and empty"),
        "{log}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_symbolic_link_leads_to_the_file_or_is_refused() {
    let database = EmptyDatabase::sqlite();
    let link = file_of(&database);
    let file = link.with_extension("file");
    symlink(&file, &link).unwrap();
    let refusal = refused_start(&database);
    assert!(
        refusal.contains("a symbolic link that leads to no file"),
        "{refusal}"
    );
    assert!(!file.exists());

    fs::remove_file(&link).unwrap();
    let (status, log) = Server::start(&database.url).stop();
    assert!(status.success(), "{log}");
    fs::rename(&link, &file).unwrap();
    symlink(&file, &link).unwrap();
    let server = Server::start(&database.url);
    server.registered(EMAIL, "b4l0u").await;
    let session = server.logged_in(EMAIL, "b4l0u").await;
    server.kill();
    assert!(length(&beside(&file, "-wal")) > 0);
    let server = Server::start(&database.url);
    assert!(server.is_logged_in(&session).await);
    // A link that leads elsewhere leads to another database.
    let other = link.with_extension("other");
    fs::copy(&file, &other).unwrap();
    fs::remove_file(&link).unwrap();
    symlink(&other, &link).unwrap();
    let reply = server.register("new@example.org", "b4l0u").send().await;
    reply.assert_refusal(503, UNAVAILABLE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_is_refused_and_its_rights_stay() {
    let database = EmptyDatabase::sqlite();
    let pipe = file_of(&database);
    let made = Command::new("mkfifo")
        .args(["-m", "666"])
        .arg(&pipe)
        .status();
    assert!(made.unwrap().success());
    let before = fs::metadata(&pipe).unwrap().permissions();
    let refusal = refused_start(&database);
    assert!(refusal.contains("not a file"), "{refusal}");
    assert_eq!(fs::metadata(&pipe).unwrap().permissions(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_whose_file_is_gone_is_not_thrown_away() {
    for is_emptied in [false, true] {
        let database = EmptyDatabase::sqlite();
        let file = file_of(&database);
        let server = Server::start(&database.url);
        server.registered(EMAIL, "b4l0u").await;
        server.kill();
        let log = fs::read(beside(&file, "-wal")).unwrap();
        if is_emptied {
            fs::write(&file, "").unwrap();
        } else {
            fs::remove_file(&file).unwrap();
        }
        let refusal = refused_start(&database);
        assert!(refusal.contains("its -wal holds data"), "{refusal}");
        assert_eq!(file.exists(), is_emptied);
        assert_eq!(fs::read(beside(&file, "-wal")).unwrap(), log);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_whose_end_is_missing_is_refused_and_left_as_it_is() {
    let (database, _) = filled(200).await;
    let file = file_of(&database);
    let whole = fs::read(&file).unwrap();
    let length = whole.len() as u64;
    assert_eq!(length % PAGE, 0);
    for bytes in [
        1,
        1000,
        PAGE,
        PAGE + 1,
        5 * PAGE,
        length - PAGE,
        length - 200,
    ] {
        fs::write(&file, &whole).unwrap();
        cut(&file, bytes);
        let damaged = fs::read(&file).unwrap();
        let refusal = refused_start(&database);
        let told = format!("{bytes} bytes are missing at the end");
        assert!(refusal.contains(&told), "{bytes}: {refusal}");
        assert_eq!(fs::read(&file).unwrap(), damaged);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_does_not_hide_that_the_end_of_the_file_is_missing() {
    let (database, _) = filled(200).await;
    let server = Server::start(&database.url);
    let session = server.logged_in(EMAIL, "b4l0u").await;
    // Pages beyond the end of the file, in the log alone.
    for number in 0..40 {
        server
            .registered(&format!("{number}@new.example.org"), "b4l0u")
            .await;
    }
    server.kill();
    let file = file_of(&database);
    assert!(length(&beside(&file, "-wal")) > 0);
    let copy = EmptyDatabase::sqlite();
    for suffix in ["", "-wal"] {
        fs::copy(beside(&file, suffix), beside(&file_of(&copy), suffix)).unwrap();
    }
    assert!(Server::start(&copy.url).is_logged_in(&session).await);

    cut(&file, 1000);
    for _ in 0..2 {
        let refusal = refused_start(&database);
        assert!(
            refusal.contains("bytes are missing at the end"),
            "{refusal}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_whose_tables_went_with_its_log_is_told_of() {
    let database = EmptyDatabase::sqlite();
    let server = Server::start(&database.url);
    server.registered(EMAIL, "b4l0u").await;
    server.kill();
    fs::remove_file(beside(&file_of(&database), "-wal")).unwrap();
    let (_, log) = Server::start(&database.url).stop();
    assert!(
        log.contains("there were no tables in the database"),
        "{log}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_without_a_valid_header_is_told_of() {
    let database = EmptyDatabase::sqlite();
    let server = Server::start(&database.url);
    server.registered(EMAIL, "b4l0u").await;
    server.kill();
    let log = beside(&file_of(&database), "-wal");
    assert!(length(&log) > 4096);
    let file = OpenOptions::new().write(true).open(&log).unwrap();
    file.write_all_at(&[0; 4096], 0).unwrap();
    let (status, log) = Server::start(&database.url).stop();
    assert!(status.success(), "{log}");
    assert!(log.contains("-wal has no valid header"), "{log}");
}
