//! The service under load, over HTTP, beside what it can be compared with in the same run.
//!
//! `cargo bench --bench http -- --help` says what can be measured. Needs `wrk`. Every comparison takes
//! turns for several rounds and reports medians, since the machine is rarely quiet.

mod checks;
mod clients;
mod machine;
mod measure;
mod peers;
#[expect(dead_code, reason = "the tests need more of it")]
#[path = "../../tests/service/support/postgres.rs"]
mod postgres;
#[expect(dead_code, reason = "the tests need more of it")]
#[path = "../../tests/service/support/report.rs"]
mod report;
mod services;

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use measure::{Table, median};
use services::Service;

/// Measures bienvenue over HTTP and prints tables. Without an option: session checks, logins and
/// memory, on SQLite, and on PostgreSQL where it is installed.
#[derive(Parser)]
struct Arguments {
    /// How many times each comparison takes turns
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How many seconds each turn takes
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Measure other services too, which are installed first
    #[arg(long)]
    peers: bool,
    /// Measure how the rate of session checks falls with ten million users (takes ten minutes and
    /// 3 GB of disk)
    #[arg(long)]
    growth: bool,
    /// Measure only what has this in its name: profile, writes, in-use, logins, flood, footprint
    #[arg(long, default_value = "")]
    only: String,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    if let Some(database_url) = std::env::var_os(services::SERVE_BARE) {
        return services::serve_bare(&database_url.into_string().expect("UTF-8"));
    }
    let arguments = Arguments::parse();
    if !clients::has_wrk() {
        // Part of a plain `cargo bench`, which must not fail for want of a load generator.
        println!("SKIPPED: install wrk (Debian: apt-get install wrk) to measure over HTTP");
        return;
    }
    let turn = Duration::from_secs(arguments.seconds);
    machine::print();
    let wanted = |name: &str| name.contains(&arguments.only);
    if wanted("profile") {
        checks::profile(arguments.rounds, turn, arguments.peers);
    }
    if wanted("writes") {
        checks::writes(arguments.rounds, turn);
    }
    if wanted("in-use") {
        checks::in_use(arguments.rounds, turn);
    }
    if wanted("logins") {
        logins(arguments.rounds, turn);
    }
    if wanted("flood") {
        flood(arguments.rounds, turn);
    }
    if wanted("footprint") {
        footprint();
    }
    if arguments.growth {
        checks::growth(arguments.rounds, turn);
    }
}

/// Logins and sign-ups against what a core can hash one by one.
fn logins(rounds: usize, turn: Duration) {
    let mut table = Table::new(
        "Logins and sign-ups, 64 at once, against one bcrypt at a time on every core",
        &[
            "",
            "cost",
            "per second",
            "of raw bcrypt on all cores",
            "alone, of one raw hash",
        ],
    );
    for cost in [10, 12] {
        // Long enough for many batches at the higher cost.
        let turn = turn * (cost - 9);
        let options = [
            "--bcrypt-cost",
            &cost.to_string(),
            "--login-wait",
            "60s",
            "--log",
            "warn",
        ];
        let service = services::sqlite(&options);
        service.register("bob@example.org");
        let (mut raw, mut logins, mut sign_ups, mut alone) = (vec![], vec![], vec![], vec![]);
        for round in 0..rounds {
            raw.push(measure::raw_hashes_per_second(cost));
            logins.push(clients::logins_per_second(&service.url, 64, turn));
            sign_ups.push(clients::sign_ups_per_second(&service.url, 64, turn, round));
            let one = clients::login_milliseconds(&service.url);
            alone.push(one * measure::raw_hashes_per_second(cost) / 1e3);
        }
        let cores = f64::from(measure::cores());
        let all_cores: Vec<f64> = raw.iter().map(|rate| rate * cores).collect();
        table.row(&[
            "logins".to_owned(),
            cost.to_string(),
            format!("{:.1}", median(&logins)),
            measure::ratios(&logins, &all_cores),
            format!("{:.2}", median(&alone)),
        ]);
        table.row(&[
            "sign-ups".to_owned(),
            cost.to_string(),
            format!("{:.1}", median(&sign_ups)),
            measure::ratios(&sign_ups, &all_cores),
            String::new(),
        ]);
    }
    table.print();
}

/// Session checks of others while many log in, beside the same while the cores are kept busy with
/// nothing at all: what that does to a request is the machine's doing, not the service's.
fn flood(rounds: usize, turn: Duration) {
    let mut table = Table::new(
        "GET /profile at 400 requests/s over four connections, each latency counted from when the \
         request was due, while others log in (cost 10); milliseconds",
        &[
            "meanwhile",
            "p50",
            "p99",
            "p99.9",
            "p99 of idle",
            "p99 of busy cores",
            "taken by the host",
        ],
    );
    let service = services::sqlite(&["--bcrypt-cost", "10", "--log", "warn"]);
    let cookies = service.log_many_in(64);
    service.register("bob@example.org");
    let probe = || {
        let before = machine::Time::now();
        let latencies = clients::probe(&service.url, &cookies, turn);
        (latencies, before.taken_by_host_since())
    };
    let flooded = |at_once| clients::during_logins(&service.url, at_once, probe);
    let mut runs: [(&str, Vec<_>); 4] = [
        ("nothing", vec![]),
        ("busy cores", vec![]),
        ("64 logins at once", vec![]),
        ("500 logins at once", vec![]),
    ];
    for _ in 0..rounds {
        runs[0].1.push(probe());
        runs[1].1.push(clients::during_busy_cores(probe));
        runs[2].1.push(flooded(64));
        runs[3].1.push(flooded(500));
    }
    let quantiles = |turns: &[(Vec<f64>, f64)], quantile| -> Vec<f64> {
        let each = turns.iter();
        each.map(|(latencies, _)| measure::quantile(latencies, quantile))
            .collect()
    };
    let [idle, busy] = [0, 1].map(|run: usize| quantiles(&runs[run].1, 0.99));
    for (meanwhile, turns) in &runs {
        let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|at| quantiles(turns, at));
        let taken: Vec<f64> = turns.iter().map(|(_, taken)| 100.0 * taken).collect();
        table.row(&[
            (*meanwhile).to_owned(),
            format!("{:.2}", median(&p50)),
            measure::spread(&p99),
            format!("{:.2}", median(&p999)),
            measure::ratios(&p99, &idle),
            measure::ratios(&p99, &busy),
            format!("{} %", measure::spread(&taken)),
        ]);
    }
    table.print();
}

/// Start, memory, size.
fn footprint() {
    let mut table = Table::new("Footprint", &["", "SQLite", "PostgreSQL"]);
    let cluster = postgres::Cluster::start_durable();
    let of_both = |measure: &dyn Fn(Service) -> f64, unit: &str, options: &[&str]| {
        let on = |service: Service| format!("{:.1} {unit}", measure(service));
        let sqlite = on(services::sqlite(options));
        let postgres = cluster.as_ref().map_or_else(String::new, |cluster| {
            on(services::postgres(cluster, options))
        });
        [sqlite, postgres]
    };
    let cheap = ["--bcrypt-cost", "4", "--log", "warn"];
    let mut row = |name: &str, [sqlite, postgres]: [String; 2]| {
        table.row(&[name.to_owned(), sqlite, postgres]);
    };
    row(
        "start to first answer, existing database, median of 15",
        of_both(
            &|service| median(&service.start_milliseconds(15)),
            "ms",
            &cheap,
        ),
    );
    row(
        "resident, idle",
        of_both(&|service| service.resident_mb(), "MB", &cheap),
    );
    row(
        "resident at its peak, 64 connections",
        of_both(
            &|service| {
                let cookies = service.log_many_in(1000);
                let url = format!("{}/profile", service.url);
                clients::wrk(&url, &cookies, 64, Duration::from_secs(3));
                service.peak_resident_mb()
            },
            "MB",
            &cheap,
        ),
    );
    row(
        "resident at its peak, 2,000 logins at once",
        of_both(
            &|service| {
                service.register("bob@example.org");
                let rest = Duration::from_secs(4);
                clients::during_logins(&service.url, 2000, || std::thread::sleep(rest));
                service.peak_resident_mb()
            },
            "MB",
            &["--bcrypt-cost", "10", "--log", "warn"],
        ),
    );
    let program = PathBuf::from(env!("CARGO_BIN_EXE_bienvenue"));
    let bytes = std::fs::metadata(program).expect("the program").len();
    row(
        "the program, stripped",
        [format!("{:.1} MB", measure::mb(bytes)), String::new()],
    );
    table.print();
}
