//! What the numbers were taken on.

use std::fs;
use std::process::Command;

pub fn print() {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name"));
    println!(
        "Machine: {}, {} cores, {}",
        cpu.unwrap_or_default().trim_start_matches([' ', '\t', ':']),
        super::measure::cores(),
        first_line("uname", &["-sr"]),
    );
    println!(
        "Versions: bienvenue {}, {}, {}, {}",
        env!("CARGO_PKG_VERSION"),
        first_line("rustc", &["--version"]),
        first_line("wrk", &["--version"]),
        first_line("psql", &["--version"]),
    );
    println!(
        "Command: {}",
        std::env::args().skip(1).fold(
            "cargo bench --bench http --".to_owned(),
            |command, argument| { command + " " + &argument }
        )
    );
}

/// What a program says first, on either stream; `wrk` answers with a failure.
fn first_line(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let said = output.map(|output| [output.stdout, output.stderr].concat());
    let said = String::from_utf8(said.unwrap_or_default()).unwrap_or_default();
    said.lines()
        .next()
        .unwrap_or("not installed")
        .trim()
        .to_owned()
}
