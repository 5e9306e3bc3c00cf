//! Hashing does not get into the way of anything else.

#![cfg(target_os = "linux")]

use std::fs;

use crate::support::Database;
use crate::support::server::Server;

/// The name and the nice value of each thread of a process.
fn threads_of(process: u32) -> Vec<(String, i32)> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let of_thread = |folder: fs::DirEntry| {
        let stat = fs::read_to_string(folder.path().join("stat")).unwrap();
        let (name, rest) = stat.split_once(')').unwrap();
        let (_, name) = name.split_once('(').unwrap();
        // The 19th value of all; the first after the name is the 3rd.
        let nice = rest.split_whitespace().nth(16).unwrap();
        (name.to_owned(), nice.parse().unwrap())
    };
    threads.map(|thread| of_thread(thread.unwrap())).collect()
}

#[tokio::test]
async fn hashing_threads_have_the_lowest_priority_and_no_others_do() {
    // The program starts with the priority of who starts it.
    let own = rustix::process::getpriority_process(None).unwrap();
    let database = Database::sqlite();
    let server = Server::start(&database.url);
    server.registered("bob@example.org", "b4l0u").await;
    let threads = threads_of(server.process_id());
    let cores = std::thread::available_parallelism().unwrap().get();
    let hashing = threads.iter().filter(|(name, _)| name.starts_with("hash-"));
    assert_eq!(hashing.count(), cores, "{threads:?}");
    for (name, nice) in &threads {
        let expected = if name.starts_with("hash-") { 19 } else { own };
        assert_eq!(*nice, expected, "{threads:?}");
    }
}
