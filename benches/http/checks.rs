//! Session checks: against a route that does nothing, other services, beside writes, with many sessions.

use std::time::Duration;

use super::clients::{self, Writes};
use super::measure::{self, Table, median};
use super::services::{self, Bare, Service};
use super::{machine, peers, postgres};

/// Something whose session checks are measured, and what was measured in each round.
struct Contestant {
    name: String,
    url: String,
    cookies: Vec<String>,
    process: u32,
    /// Session checks a second.
    rates: Vec<f64>,
    /// The time of a core that its processes take for one, in microseconds.
    costs: Vec<f64>,
}

impl Contestant {
    fn new(name: &str, url: &str, cookies: &[String], process: u32) -> Self {
        Self {
            name: name.to_owned(),
            url: url.to_owned(),
            cookies: cookies.to_vec(),
            process,
            rates: Vec::new(),
            costs: Vec::new(),
        }
    }

    fn take_turn(&mut self, turn: Duration) {
        let before = machine::seconds_of_cores(self.process);
        let rate = clients::wrk(&self.url, &self.cookies, 64, turn);
        let took = machine::seconds_of_cores(self.process) - before;
        self.rates.push(rate);
        self.costs.push(took * 1e6 / (rate * turn.as_secs_f64()));
    }
}

/// Session checks against a route that does nothing, and against other services. The load generator
/// takes its share of the same cores, which weighs most on the fastest, so besides how many there are
/// a second it is told what one costs.
pub fn profile(rounds: usize, turn: Duration, with_peers: bool) {
    let bare = Bare::start();
    let sqlite = services::sqlite(&[]);
    let quiet = services::sqlite(&["--log", "warn"]);
    let cluster = postgres::Cluster::start_durable();
    let postgres = cluster
        .as_ref()
        .map(|cluster| services::postgres(cluster, &[]));
    let peers = if with_peers {
        peers::start_all()
    } else {
        Vec::new()
    };

    let in_one_process = |name: &str, url: &str| {
        let url = format!("{url}/profile");
        Contestant::new(name, &url, &bare.cookies, bare.process_id())
    };
    let program = |name: &str, service: &Service| {
        let url = format!("{}/profile", service.url);
        Contestant::new(name, &url, &service.log_many_in(1000), service.process_id())
    };
    let mut contestants = vec![
        in_one_process("bare axum route", &bare.url),
        in_one_process("bienvenue, SQLite", &bare.service_url),
        program("the program, SQLite", &sqlite),
        program("the program, SQLite, --log warn", &quiet),
    ];
    let same = &contestants[3];
    let greeting = format!("{}/", quiet.url);
    contestants.push(Contestant::new(
        "the same: GET /",
        &greeting,
        &same.cookies,
        same.process,
    ));
    if let Some(service) = &postgres {
        contestants.push(program(
            "the program, PostgreSQL (whose own time is not in it)",
            service,
        ));
    }
    for peer in &peers {
        let url = format!("{}{}", peer.url, peer.profile);
        let contestant = Contestant::new(&peer.name, &url, &peer.cookies, peer.process_id());
        contestants.push(contestant);
    }
    for _ in 0..rounds {
        for contestant in &mut contestants {
            contestant.take_turn(turn);
        }
    }

    let mut table = Table::new(
        "Session checks: GET /profile, 64 connections",
        &[
            "",
            "requests/s",
            "of the bare route",
            "the program with --log warn is",
            "of its GET /",
            "µs of a core each",
            "of the program with --log warn",
        ],
    );
    let [bare, ours, greeting] = [0, 3, 4].map(|number: usize| &contestants[number]);
    for one in &contestants {
        table.row(&[
            one.name.clone(),
            format!("{:.0}", median(&one.rates)),
            measure::ratios(&one.rates, &bare.rates),
            format!("{} ×", measure::ratios(&ours.rates, &one.rates)),
            measure::ratios(&one.rates, &greeting.rates),
            format!("{:.1}", median(&one.costs)),
            format!("{} ×", measure::ratios(&one.costs, &ours.costs)),
        ]);
    }
    table.print();
}

/// Session checks beside writes, against the route of the program that does nothing, beside the same.
pub fn writes(rounds: usize, turn: Duration) {
    const PER_SECOND: u32 = 100;
    let mut table = Table::new(
        "Session checks beside writes (cost 4): GET /profile and GET / in turns, 64 connections",
        &[
            "meanwhile",
            "GET /profile a second",
            "of GET /",
            "writes a second",
            "µs of a core each, writes included",
            "of GET /",
        ],
    );
    let service = services::sqlite(&["--log", "warn"]);
    let cookies = service.log_many_in(1000);
    let meanwhile = [
        ("nothing", None),
        ("100 sign-ups a second", Some(Writes::SignUps)),
        ("100 logins a second", Some(Writes::Logins)),
    ];
    for (name, writes) in meanwhile {
        let mut routes = ["profile", ""].map(|path| {
            let url = format!("{}/{path}", service.url);
            Contestant::new(path, &url, &cookies, service.process_id())
        });
        let mut written = Vec::new();
        for _ in 0..rounds {
            for route in &mut routes {
                let mut check = || route.take_turn(turn);
                let rate = if let Some(writes) = writes {
                    clients::during_writes(&service.url, writes, PER_SECOND, check).1
                } else {
                    check();
                    0.0
                };
                written.push(rate);
            }
        }
        let [profile, greeting] = &routes;
        table.row(&[
            name.to_owned(),
            format!("{:.0}", median(&profile.rates)),
            measure::ratios(&profile.rates, &greeting.rates),
            format!("{:.0}", median(&written)),
            format!("{:.1}", median(&profile.costs)),
            measure::ratios(&profile.costs, &greeting.costs),
        ]);
    }
    table.print();
}

/// Session checks with more and more of a million sessions in use, one by one: more than can be
/// remembered.
pub fn in_use(rounds: usize, turn: Duration) {
    let mut table = Table::new(
        "Sessions in use, of a million, one by one: GET /profile, SQLite, 64 connections",
        &["in use", "requests/s", "of ten thousand"],
    );
    let grown = services::grown(1_000_000, 1_000_000, &["--log", "warn"]);
    let url = format!("{}/profile", grown.service.url);
    let sizes = [10_000, 20_000, 100_000, 1_000_000];
    let mut rates = sizes.map(|_| Vec::new());
    for _ in 0..rounds {
        for (size, rates) in sizes.iter().zip(&mut rates) {
            rates.push(clients::wrk(&url, &grown.cookies[..*size], 64, turn));
        }
    }
    for (size, list) in sizes.iter().zip(&rates) {
        table.row(&[
            size.to_string(),
            format!("{:.0}", median(list)),
            measure::ratios(list, &rates[0]),
        ]);
    }
    table.print();
}

/// To how many of the sessions of a grown database the cookies are known: more than are checked in one
/// turn.
const KNOWN: u32 = 500_000;

/// Session checks with ten thousand and with ten million users and sessions.
pub fn growth(rounds: usize, turn: Duration) {
    let mut table = Table::new(
        &format!(
            "Growth: GET /profile, SQLite, 64 connections, one by one through {KNOWN} random sessions, or \
             all, from another one on in each turn"
        ),
        &[
            "users and sessions",
            "requests/s",
            "of the smallest",
            "bytes per user",
            "bytes per session",
        ],
    );
    let sizes = [10_000, 1_000_000, 10_000_000];
    let grown: Vec<_> = sizes
        .iter()
        .map(|size| services::grown(*size, KNOWN, &[]))
        .collect();
    let mut rates = vec![Vec::new(); sizes.len()];
    for _ in 0..rounds {
        for (grown, rates) in grown.iter().zip(&mut rates) {
            let url = format!("{}/profile", grown.service.url);
            rates.push(clients::wrk(&url, &grown.cookies, 64, turn));
        }
    }
    for ((size, grown), list) in sizes.iter().zip(&grown).zip(&rates) {
        table.row(&[
            size.to_string(),
            format!("{:.0}", median(list)),
            measure::ratios(list, &rates[0]),
            format!("{:.0}", grown.bytes_per_user),
            format!("{:.0}", grown.bytes_per_session),
        ]);
    }
    table.print();
}
