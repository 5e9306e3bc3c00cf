//! Those who put the load on.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ureq::http::header::{CONTENT_TYPE, SET_COOKIE};

/// A password that every service takes.
pub const PASSWORD: &str = "b4l0u-b4l0u";
const FORM: &str = "application/x-www-form-urlencoded";

pub fn has_wrk() -> bool {
    Command::new("wrk").arg("--version").output().is_ok()
}

/// How many requests a second `wrk` gets answered, each with the next of these cookies, from another
/// one on every time. None may be refused, and no connection may fail.
pub fn wrk(url: &str, cookies: &[String], connections: u32, time: Duration) -> f64 {
    let folder = tempfile::tempdir().expect("a folder");
    let [cookie_file, script_file] = ["cookies", "script.lua"].map(|name| folder.path().join(name));
    fs::write(&cookie_file, cookies.join("\n")).expect("a file");
    let script = format!(
        "local cookies = {{}}
         for line in io.lines('{}') do cookies[#cookies + 1] = line end
         math.randomseed(os.time())
         local number = math.random(#cookies)
         request = function()
             number = number % #cookies + 1
             return wrk.format('GET', nil, {{ Cookie = cookies[number] }})
         end",
        cookie_file.display()
    );
    fs::write(&script_file, script).expect("a file");
    let output = Command::new("wrk")
        .args([
            "-t1",
            &format!("-c{connections}"),
            &format!("-d{}s", time.as_secs()),
            "-s",
        ])
        .arg(&script_file)
        .arg(url)
        .output()
        .expect("wrk");
    let said = String::from_utf8_lossy(&output.stdout);
    for complaint in ["Non-2xx", "Socket errors"] {
        assert!(
            !said.contains(complaint),
            "{url} did not answer all:\n{said}"
        );
    }
    let rate = said
        .lines()
        .find_map(|line| line.strip_prefix("Requests/sec:"));
    rate.expect(&said).trim().parse().expect("a number")
}

/// Sends a body and returns the status and the cookie of the answer.
pub fn post(agent: &ureq::Agent, url: &str, content_type: &str, body: &str) -> (u16, String) {
    let request = agent.post(url).header(CONTENT_TYPE, content_type);
    let response = request.send(body).expect("an answer");
    let cookie = response
        .headers()
        .get(SET_COOKIE)
        .and_then(|cookie| cookie.to_str().ok());
    let cookie = cookie
        .and_then(|cookie| cookie.split(';').next())
        .unwrap_or_default();
    (response.status().as_u16(), cookie.to_owned())
}

pub fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder().http_status_as_error(false);
    config
        .timeout_global(Some(Duration::from_mins(2)))
        .build()
        .into()
}

fn credentials(email: &str) -> String {
    format!("email={email}&password={PASSWORD}")
}

pub fn register(url: &str, email: &str) {
    let (status, _) = post(&agent(), &format!("{url}/users"), FORM, &credentials(email));
    assert_eq!(status, 200);
}

/// Registers so many users and logs them in; returns their cookies.
pub fn log_many_in(url: &str, users: usize) -> Vec<String> {
    let agent = agent();
    let cookies = (1..=users).map(|number| {
        let body = credentials(&format!("user{number}@example.org"));
        assert_eq!(post(&agent, &format!("{url}/users"), FORM, &body).0, 200);
        let (status, cookie) = post(&agent, &format!("{url}/sessions"), FORM, &body);
        assert_eq!(status, 200);
        cookie
    });
    cookies.collect()
}

/// Runs so many clients, each of which does one thing after the other, while `meanwhile` runs.
/// Returns how many things were done a second, and what `meanwhile` returns.
fn closed_loop<T>(
    clients: u32,
    thing: impl Fn(&ureq::Agent, u64) -> bool + Send + Sync + 'static,
    meanwhile: impl FnOnce() -> T,
) -> (f64, T) {
    let thing = Arc::new(thing);
    let is_over = Arc::new(AtomicBool::new(false));
    let [started, done] = [0, 0].map(|_| Arc::new(AtomicU64::new(0)));
    let threads: Vec<_> = (0..clients)
        .map(|_| {
            let (thing, is_over) = (Arc::clone(&thing), Arc::clone(&is_over));
            let (started, done) = (Arc::clone(&started), Arc::clone(&done));
            let client = thread::Builder::new().stack_size(256 * 1024);
            let live = move || {
                give_way();
                let agent = agent();
                while !is_over.load(Ordering::Relaxed) {
                    if thing(&agent, started.fetch_add(1, Ordering::Relaxed)) {
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                }
            };
            client.spawn(live).expect("a thread")
        })
        .collect();
    // The first answers come all at once.
    thread::sleep(Duration::from_secs(1));
    let (before, since) = (done.load(Ordering::Relaxed), Instant::now());
    let result = meanwhile();
    let (after, time) = (done.load(Ordering::Relaxed), since.elapsed());
    is_over.store(true, Ordering::Relaxed);
    for thread in threads {
        thread.join().expect("a client");
    }
    #[expect(clippy::cast_precision_loss)]
    let rate = (after - before) as f64 / time.as_secs_f64();
    (rate, result)
}

/// Gives this thread the lowest priority. In life those who log in are on other machines, and do not
/// take the time of the service's cores.
fn give_way() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), 19);
}

fn log_in(url: &str) -> impl Fn(&ureq::Agent, u64) -> bool + Send + Sync + 'static {
    let url = format!("{url}/sessions");
    let body = credentials("bob@example.org");
    move |agent, _| {
        let (status, _) = post(agent, &url, FORM, &body);
        if status == 503 {
            // As it was told to, more or less.
            thread::sleep(Duration::from_millis(500));
        }
        status == 200
    }
}

/// What is written beside session checks.
#[derive(Clone, Copy, Debug)]
pub enum Writes {
    SignUps,
    /// Of the users of [`log_many_in`], one after the other.
    Logins,
}

/// Does something while so many are written a second, each on time. Returns what that returns and how
/// many there were a second.
pub fn during_writes<T>(
    url: &str,
    writes: Writes,
    per_second: u32,
    meanwhile: impl FnOnce() -> T,
) -> (T, f64) {
    const CLIENTS: u32 = 4;
    static NEW_USERS: AtomicU64 = AtomicU64::new(0);
    let path = match writes {
        Writes::SignUps => "users",
        Writes::Logins => "sessions",
    };
    let url = format!("{url}/{path}");
    let period = Duration::from_secs(1) / per_second;
    let start = Instant::now();
    let is_over = AtomicBool::new(false);
    let done = AtomicU64::new(0);
    thread::scope(|scope| {
        for first in 0..CLIENTS {
            let (url, is_over, done) = (&url, &is_over, &done);
            scope.spawn(move || {
                let agent = agent();
                for number in (first..).step_by(CLIENTS as usize) {
                    let due = start + period * number;
                    thread::sleep(due.saturating_duration_since(Instant::now()));
                    if is_over.load(Ordering::Relaxed) {
                        break;
                    }
                    let email = match writes {
                        Writes::SignUps => {
                            let number = NEW_USERS.fetch_add(1, Ordering::Relaxed);
                            format!("later{number}@example.org")
                        }
                        Writes::Logins => format!("user{}@example.org", number % 1000 + 1),
                    };
                    assert_eq!(post(&agent, url, FORM, &credentials(&email)).0, 200);
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let result = meanwhile();
        is_over.store(true, Ordering::Relaxed);
        #[expect(clippy::cast_precision_loss)]
        let rate = done.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64();
        (result, rate)
    })
}

/// How many logins succeed a second with so many at once.
pub fn logins_per_second(url: &str, at_once: u32, time: Duration) -> f64 {
    closed_loop(at_once, log_in(url), || thread::sleep(time)).0
}

/// How many sign-ups succeed a second with so many at once.
pub fn sign_ups_per_second(url: &str, at_once: u32, time: Duration, round: usize) -> f64 {
    let url = format!("{url}/users");
    let sign_up = move |agent: &ureq::Agent, number: u64| {
        let body = credentials(&format!("new-{round}-{number}@example.org"));
        post(agent, &url, FORM, &body).0 == 200
    };
    closed_loop(at_once, sign_up, || thread::sleep(time)).0
}

/// How long one login takes with nobody else around: the median of five.
pub fn login_milliseconds(url: &str) -> f64 {
    let agent = agent();
    let log_in = log_in(url);
    let times = [(); 5].map(|()| {
        let started = Instant::now();
        assert!(log_in(&agent, 0));
        started.elapsed().as_secs_f64() * 1e3
    });
    super::measure::median(&times)
}

/// Does something while so many clients log in.
pub fn during_logins<T>(url: &str, at_once: u32, meanwhile: impl FnOnce() -> T) -> T {
    closed_loop(at_once, log_in(url), meanwhile).1
}

/// Does something while every core is kept busy at the lowest priority, as hashing does it.
pub fn during_busy_cores<T>(meanwhile: impl FnOnce() -> T) -> T {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..super::measure::cores() {
            scope.spawn(|| {
                give_way();
                while !is_over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let result = meanwhile();
        is_over.store(true, Ordering::Relaxed);
        result
    })
}

/// Checks sessions at 400 a second over four connections, and returns how many milliseconds each took,
/// counted from the moment that it was due: so who has to wait for an earlier answer on the same
/// connection is counted as waiting.
pub fn probe(url: &str, cookies: &[String], time: Duration) -> Vec<f64> {
    const CONNECTIONS: u32 = 4;
    const PERIOD: Duration = Duration::from_micros(2500);
    let address = url.strip_prefix("http://").expect("http").to_owned();
    let start = Instant::now() + Duration::from_millis(50);
    let probes: Vec<_> = (0..CONNECTIONS)
        .map(|first| {
            let (address, cookies) = (address.clone(), cookies.to_vec());
            thread::spawn(move || {
                let mut stream = TcpStream::connect(address).expect("a connection");
                stream.set_nodelay(true).expect("a setting");
                let mut latencies = Vec::new();
                for number in (first..).step_by(CONNECTIONS as usize) {
                    let due = start + PERIOD * number;
                    if due > start + time {
                        break;
                    }
                    thread::sleep(due.saturating_duration_since(Instant::now()));
                    let cookie = &cookies[number as usize % cookies.len()];
                    ask_for_profile(&mut stream, cookie);
                    latencies.push(due.elapsed().as_secs_f64() * 1e3);
                }
                latencies
            })
        })
        .collect();
    let latencies = probes
        .into_iter()
        .map(|probe| probe.join().expect("a probe"));
    latencies.flatten().collect()
}

fn ask_for_profile(stream: &mut TcpStream, cookie: &str) {
    let request = format!("GET /profile HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("a request");
    let mut answer = Vec::new();
    let mut buffer = [0; 1024];
    // The body is one JSON object and a newline.
    while !answer.ends_with(b"}\n") {
        let bytes = stream.read(&mut buffer).expect("an answer");
        assert!(bytes > 0, "the connection broke");
        answer.extend_from_slice(&buffer[..bytes]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 200"));
}
