//! A real mail server on loopback: Python's `aiosmtpd`, which does as it is told.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, OnceLock};

use bienvenue::mail::{Authority, Mailer, SmtpUrl};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde::Deserialize;
use tempfile::TempDir;

use super::report::skipped;

/// From whom the mails of the tests come.
pub const SENDER: &str = "Bienvenue <noreply@example.org>";

/// A running mail server, stopped when it is dropped.
pub struct SmtpServer {
    process: Child,
    talk: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    host: String,
    port: u16,
    certificate: Option<String>,
    _folder: TempDir,
}

/// A mail as the server received it.
#[derive(Clone, Debug, Deserialize)]
pub struct Mail {
    pub from: String,
    pub to: Vec<String>,
    pub encrypted: bool,
    pub headers: Vec<(String, String)>,
    pub text: String,
    pub html: String,
}

/// How the server encrypts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    None,
    Upgraded,
    Wrapped,
}

impl SmtpServer {
    /// A server that takes every mail. `None` if `aiosmtpd` is not installed, which is said aloud,
    /// and under `CI=true` is an error.
    pub fn start() -> Option<Self> {
        Self::start_with("127.0.0.1", Tls::None, &[])
    }

    /// A server at this host with a certificate of its own for that name.
    pub fn start_with(host: &str, tls: Tls, options: &[&str]) -> Option<Self> {
        Self::start_as(host, host, tls, options)
    }

    /// The same with a certificate for this name.
    pub fn start_as(name: &str, host: &str, tls: Tls, options: &[&str]) -> Option<Self> {
        let python = python()?;
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(python);
        command
            .arg("-c")
            .arg(include_str!("smtp_server.py"))
            .args(["--host", host])
            .args(options);
        let certificate = (tls != Tls::None).then(|| {
            let CertifiedKey { cert, signing_key } =
                generate_simple_self_signed([name.to_owned()]).unwrap();
            let [certificate, key] = ["certificate", "key"].map(|name| folder.path().join(name));
            fs::write(&certificate, cert.pem()).unwrap();
            fs::write(&key, signing_key.serialize_pem()).unwrap();
            let kind = if tls == Tls::Wrapped {
                "wrapped"
            } else {
                "starttls"
            };
            command
                .args(["--tls", kind, "--certificate"])
                .arg(certificate);
            command.arg("--key").arg(key);
            cert.pem()
        });
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut replies = BufReader::new(process.stdout.take().unwrap());
        let mut port = String::new();
        replies.read_line(&mut port).unwrap();
        Some(Self {
            talk: Mutex::new((process.stdin.take().unwrap(), replies)),
            process,
            host: host.to_owned(),
            port: port.trim().parse().unwrap(),
            certificate,
            _folder: folder,
        })
    }

    /// The host and the port.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Its certificate, in PEM form, if it encrypts.
    pub fn certificate(&self) -> Option<&str> {
        self.certificate.as_deref()
    }

    /// What sends to this server, by a URL of this scheme and this login.
    pub fn mailer_by(&self, scheme: &str, login: &str, trusts_it: bool) -> Mailer {
        self.mailer_at(&self.host, scheme, login, trusts_it)
    }

    /// The same for another name of its host.
    pub fn mailer_at(&self, host: &str, scheme: &str, login: &str, trusts_it: bool) -> Mailer {
        let url = format!("{scheme}://{login}{host}:{}", self.port);
        let url: SmtpUrl = url.parse().unwrap();
        let authority =
            trusts_it.then(|| -> Authority { self.certificate.as_ref().unwrap().parse().unwrap() });
        Mailer::smtp(&url, authority, SENDER.parse().unwrap()).unwrap()
    }

    /// What sends to this server.
    pub fn mailer(&self) -> Mailer {
        self.mailer_by("smtp", "", false)
    }

    /// The mails that came since the last time.
    pub fn take(&self) -> Vec<Mail> {
        self.tell("take")
    }

    /// The mails that came since the last time, of which there will be one.
    pub fn wait(&self) -> Vec<Mail> {
        self.tell("wait")
    }

    /// Takes every mail from now on.
    pub fn accept(&self) {
        self.tell("accept");
    }

    /// Answers every recipient with this code from now on.
    pub fn refuse(&self, code: u16) {
        self.tell(&format!("refuse {code}"));
    }

    /// Answers with this text at this point of a talk from now on: `GREETING`, a command, `ENCRYPTED` for the
    /// `EHLO` after `STARTTLS`, or `END` of a mail.
    pub fn answer(&self, point: &str, text: &str) {
        self.tell(&format!("answer {point} {text}"));
    }

    /// Answers with a line without an end at this point from now on.
    pub fn flood(&self, point: &str) {
        self.tell(&format!("flood {point}"));
    }

    /// Says nothing for a minute at this point from now on.
    pub fn be_silent_at(&self, point: &str) {
        self.tell(&format!("silent {point}"));
    }

    /// How much of such a line it could send, as soon as the client hangs up.
    pub fn length_of_flood(&self) -> usize {
        serde_json::from_str(&self.reply_to("length")).unwrap()
    }

    /// Is silent on new connections from now on.
    pub fn tarpit(&self) {
        self.tell("tarpit");
    }

    /// Takes a minute for every recipient whose address contains this, from now on.
    pub fn be_slow_for(&self, part: &str) {
        self.tell(&format!("slow {part}"));
    }

    /// Takes every mail from now on and breaks the connection off before saying so.
    pub fn cut(&self) {
        self.tell("cut");
    }

    /// Takes no connections, until told how to behave.
    pub fn go_down(&self) {
        self.tell("down");
    }

    fn tell(&self, command: &str) -> Vec<Mail> {
        serde_json::from_str(&self.reply_to(command)).unwrap()
    }

    fn reply_to(&self, command: &str) -> String {
        let mut talk = self.talk.lock().unwrap();
        let (commands, replies) = &mut *talk;
        writeln!(commands, "{command}").unwrap();
        let mut reply = String::new();
        replies.read_line(&mut reply).unwrap();
        reply
    }
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Mail {
    /// The one value of a header.
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        let mut values = self.headers.iter().filter(|(other, _)| other == name);
        match (values.next(), values.next()) {
            (Some((_, value)), None) => value,
            other => panic!("{name} is not there once: {other:?}"),
        }
    }

    /// The link to choose a new password by, which is the same in both forms.
    #[track_caller]
    pub fn link(&self) -> String {
        let link = self.text.lines().find(|line| line.starts_with("http"));
        let link = link.unwrap_or_else(|| panic!("no link: {self:?}"));
        let in_html = format!("href=\"{}\"", link.replace('&', "&amp;"));
        assert!(self.html.contains(&in_html), "{self:?}");
        link.to_owned()
    }

    /// The token in the link.
    #[track_caller]
    pub fn token(&self) -> String {
        token_in(&self.link())
    }
}

/// The token in a link.
#[track_caller]
pub fn token_in(link: &str) -> String {
    let link: url::Url = link.parse().unwrap();
    let token = (link.query_pairs()).find(|(name, _)| name.ends_with("_token"));
    token.unwrap().1.into_owned()
}

/// A Python that has `aiosmtpd`.
fn python() -> Option<&'static str> {
    static PYTHON: OnceLock<Option<&'static str>> = OnceLock::new();
    let find = || {
        let has_aiosmtpd = |python: &&str| {
            let mut command = Command::new(python);
            command
                .args(["-c", "import aiosmtpd"])
                .stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        };
        // The second is where Debian's packages go, whatever comes first on the path.
        let found = ["python3", "/usr/bin/python3"]
            .into_iter()
            .find(has_aiosmtpd);
        if found.is_none() {
            skipped("mail", "install aiosmtpd (Debian: python3-aiosmtpd)");
        }
        found
    };
    *PYTHON.get_or_init(find)
}
