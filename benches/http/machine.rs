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
        std::env::args()
            .skip(1)
            // Cargo adds it by itself.
            .filter(|argument| argument != "--bench")
            .fold(
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

/// How many ticks Linux tells of a second of a core's time, whatever its own clock has.
const TICKS_A_SECOND: f64 = 100.0;

/// How many seconds of a core's time a process and those that it started have taken.
pub fn seconds_of_cores(process: u32) -> f64 {
    let mut processes = vec![process];
    let mut ticks = 0.0;
    while let Some(process) = processes.pop() {
        let Some([user, system]) = ticks_of(process) else {
            continue;
        };
        ticks += user + system;
        let children = format!("/proc/{process}/task/{process}/children");
        let children = fs::read_to_string(children).unwrap_or_default();
        processes.extend(children.split_whitespace().flat_map(str::parse::<u32>));
    }
    ticks / TICKS_A_SECOND
}

fn ticks_of(process: u32) -> Option<[f64; 2]> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // A name may have blanks and brackets in it; what follows has none.
    let (_, after_name) = stat.rsplit_once(") ")?;
    let mut fields = after_name.split(' ').skip(11).map(str::parse);
    Some([fields.next()?.ok()?, fields.next()?.ok()?])
}

/// How much time the cores have had since the machine started, in ticks of the system's clock.
pub struct Time {
    all: f64,
    /// In which a virtual machine's host let somebody else have the core.
    taken_by_host: f64,
}

impl Time {
    /// All zero where the system does not say.
    pub fn now() -> Self {
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let cores = stat.lines().next().unwrap_or_default();
        let ticks: Vec<f64> = cores
            .split_whitespace()
            .filter_map(|field| field.parse().ok())
            // What guests got is counted in what users got.
            .take(8)
            .collect();
        Self {
            all: ticks.iter().sum(),
            taken_by_host: ticks.get(7).copied().unwrap_or_default(),
        }
    }

    /// The share of the cores' time that the host has taken away since.
    pub fn taken_by_host_since(&self) -> f64 {
        let now = Self::now();
        (now.taken_by_host - self.taken_by_host) / (now.all - self.all).max(1.0)
    }
}
