//! `bienvenue print …`: what is installed beside the program, the settings (`config`), what proxies are set
//! up with, and what clients are generated from (`openapi`).

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Command, Subcommand, ValueEnum};
use clap_complete::Shell;
use clap_mangen::Man;

use super::options::ServeOptions;
use super::options::config_file::ConfigFile;
use super::options::effective::Effective;
use super::warnings;
use crate::app::openapi;

mod config;
mod proxies;

use proxies::Proxy;

pub use proxies::own_paths;

/// What can be printed.
#[derive(Debug, Subcommand)]
pub enum Printed {
    /// The value of every option and where it comes from, as a configuration file
    ///
    /// Takes the options of serve, reads what serve would read and refuses what it would refuse, with
    /// status 2. Passwords are left out.
    Config(Box<ServeOptions>),
    /// A configuration of nginx in front of the service and of apps, which it asks who is logged in
    ///
    /// Takes the options of serve, and has what they say: --public-url, --listen, and each --app. For what they
    /// leave open there are examples: auth.example.org, wiki.example.org, and 127.0.0.1:8080 for the app
    /// itself. Put it into http {}, such as in a file of /etc/nginx/conf.d.
    Nginx(Box<ServeOptions>),
    /// A configuration of Caddy in front of the service and of apps, which it asks who is logged in
    ///
    /// Takes the options of serve, and has what they say: --public-url, --listen, and each --app. For what they
    /// leave open there are examples: auth.example.org, wiki.example.org, and 127.0.0.1:8080 for the app
    /// itself. It is a Caddyfile, such as for /etc/caddy/Caddyfile, or a part of one.
    Caddy(Box<ServeOptions>),
    /// A configuration of Traefik in front of the service and of apps, which it asks who is logged in
    ///
    /// Takes the options of serve, and has what they say: --public-url, --listen, and each --app. For what they
    /// leave open there are examples: auth.example.org, wiki.example.org, and 127.0.0.1:8080 for the app
    /// itself. It is a file for the file provider, and wants an entry point websecure (web where the public URL
    /// is http). Take Traefik 3.7.13 or later: with earlier ones clients can add headers that name another user.
    /// Traefik cannot connect to a Unix socket: give --listen an address and a port.
    Traefik(Box<ServeOptions>),
    /// The manual page, such as for /usr/share/man/man1/bienvenue.1
    Man,
    /// The completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// A file for systemd
    Systemd {
        /// Which one
        #[arg(default_value = "service")]
        file: SystemdFile,
    },
    /// The description of the HTTP API, from which clients are generated (OpenAPI 3.1, JSON)
    Openapi,
}

impl Printed {
    /// The options of serve that it has.
    pub fn options(&self) -> Option<&ServeOptions> {
        match self {
            Self::Config(options) => Some(options),
            _ => self.proxy().map(|(_, options)| options),
        }
    }

    /// The proxy whose configuration it is, with the options of serve.
    fn proxy(&self) -> Option<(Proxy, &ServeOptions)> {
        match self {
            Self::Nginx(options) => Some((Proxy::Nginx, options)),
            Self::Caddy(options) => Some((Proxy::Caddy, options)),
            Self::Traefik(options) => Some((Proxy::Traefik, options)),
            Self::Config(_)
            | Self::Man
            | Self::Completions { .. }
            | Self::Systemd { .. }
            | Self::Openapi => None,
        }
    }

    /// Refuses options of serve that it cannot have. The error says what to give.
    pub fn check(&self) -> Result<(), String> {
        let proxy = self.proxy();
        proxy.map_or(Ok(()), |(proxy, options)| proxies::check(proxy, options))
    }
}

/// What systemd is to know of the service.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum SystemdFile {
    /// The unit of the service, such as for /etc/systemd/system/bienvenue.service
    Service,
    /// The unit of its socket, which restarts lose no connection with
    Socket,
    /// The user as which it runs, such as for /etc/sysusers.d/bienvenue.conf
    Sysusers,
}

impl SystemdFile {
    fn text(self) -> &'static str {
        match self {
            Self::Service => include_str!("print/bienvenue.service"),
            Self::Socket => include_str!("print/bienvenue.socket"),
            Self::Sysusers => include_str!("print/bienvenue.sysusers"),
        }
    }
}

/// Prints it on standard output.
///
/// `command` is the program's, `settings` and `file` are what `config` prints.
pub fn run(
    printed: &Printed,
    mut command: Command,
    settings: &[Effective],
    file: &ConfigFile,
) -> ExitCode {
    let rendered = match printed {
        Printed::Config(options) => {
            let derived = options.derived_defaults();
            Ok(config::render(settings, file.path().as_deref(), &derived).into_bytes())
        }
        Printed::Nginx(options) => Ok(configuration(Proxy::Nginx, options)),
        Printed::Caddy(options) => Ok(configuration(Proxy::Caddy, options)),
        Printed::Traefik(options) => Ok(configuration(Proxy::Traefik, options)),
        Printed::Man => manual(command),
        Printed::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut command, "bienvenue", &mut text);
            Ok(text)
        }
        Printed::Systemd { file } => Ok(file.text().as_bytes().to_vec()),
        Printed::Openapi => Ok(openapi().as_bytes().to_vec()),
    };
    match rendered.and_then(|text| io::stdout().write_all(&text)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Whatever reads it may have read enough, as `head` has.
            if error.kind() != io::ErrorKind::BrokenPipe {
                eprintln!("bienvenue: cannot print: {error}");
            }
            ExitCode::FAILURE
        }
    }
}

/// The configuration of a proxy. What the service would warn of about the apps goes to standard error.
fn configuration(proxy: Proxy, options: &ServeOptions) -> Vec<u8> {
    for warning in warnings::of_apps(options) {
        eprintln!("bienvenue: {warning}");
    }
    proxies::render(proxy, options).into_bytes()
}

/// One page, with a section for each command: what is looked up in a manual is then found in it.
fn manual(mut command: Command) -> io::Result<Vec<u8>> {
    command.build();
    let mut text = Vec::new();
    let page = Man::new(command.clone());
    page.render_title(&mut text)?;
    page.render_name_section(&mut text)?;
    page.render_synopsis_section(&mut text)?;
    page.render_description_section(&mut text)?;
    page.render_options_section(&mut text)?;
    page.render_subcommands_section(&mut text)?;
    add_commands(&command, "bienvenue", &mut text)?;
    page.render_extra_section(&mut text)?;
    page.render_version_section(&mut text)?;
    Ok(text)
}

/// Adds a section for each command of this one, and of those in turn.
fn add_commands(command: &Command, name: &str, text: &mut Vec<u8>) -> io::Result<()> {
    for inner in command.get_subcommands() {
        // `help` needs no words, and `serve` has the options of the page itself.
        if ["help", "serve"].contains(&inner.get_name()) {
            continue;
        }
        let name = format!("{name} {}", inner.get_name());
        let page = Man::new(inner.clone());
        let mut section = Vec::new();
        page.render_synopsis_section(&mut section)?;
        page.render_description_section(&mut section)?;
        if inner.has_subcommands() {
            page.render_extra_section(&mut section)?;
        } else {
            page.render_options_section(&mut section)?;
        }
        writeln!(text, ".SH \"{}\"", name.to_ascii_uppercase())?;
        // What are sections of a page of its own are parts of this one.
        let section = String::from_utf8_lossy(&section).replace(".SH ", ".SS ");
        text.write_all(section.as_bytes())?;
        add_commands(inner, &name, text)?;
    }
    Ok(())
}
