//! What is told at the end of the run, past the test harness, which swallows what tests print: the
//! tests that were skipped, and what the tests of faults counted.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

/// Tells that tests are skipped because this machine lacks something, and how to have them run.
///
/// # Panics
///
/// Under `CI=true`, where every test must run.
pub fn skipped(tests: &str, remedy: &str) {
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "cannot run {tests}: {remedy}"
    );
    tell(&format!("SKIPPED {tests}: {remedy}"));
}

/// Tells what a test counted.
pub fn counted(counts: &str) {
    tell(counts);
}

/// Hands a line to a process that prints all of them, each once, when this one has ended.
fn tell(line: &str) {
    static PRINTER: OnceLock<Mutex<Child>> = OnceLock::new();
    let printer = PRINTER.get_or_init(|| {
        let mut printer = Command::new("sh");
        printer
            .args([
                "-c",
                "lines=$(sort -u); printf '\\n%s\\n\\n' \"$lines\" >&2",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            // Ctrl-C reaches the tests, and through the end of the pipe the printer.
            .process_group(0);
        Mutex::new(printer.spawn().unwrap())
    });
    let mut printer = printer.lock().unwrap_or_else(PoisonError::into_inner);
    writeln!(printer.stdin.as_mut().unwrap(), "{line}").unwrap();
}
