//! A user authentication service: sign up, log in, log out, who is it, reset a password.
//!
//! ```text
//!   main ── cli        commands and options                    bin/e2e  (a client over HTTP)
//!            │
//!         server       sockets: listen, connections, their time-outs and limits; knows no route
//!      ┌─────┴─────┐
//!     app     operations   HTTP for users: routes, layers, JSON or pages; for operators: metrics, health
//!      └─────┬─────┘  call only
//!          auth        the rules: register, log in, log out, reset, who is it, how often
//!   ┌────────┼────────┐
//!  db    password   mail      side rooms
//!   └────────┼────────┘
//!   user, email, token, source, language, …      words that all rooms share; they know none
//! ```
//!
//! Arrows point down only, between rooms and between the files of a room. `app` never sees [`db::Db`],
//! `auth` never sees HTTP, only `db` sees SQL. A test (`tests/service/architecture.rs`) checks it.
//!
//! - [`cli`]: what the program is started with. `serve` is the default command and puts the rooms together;
//!   `users` (with `import` and `export`), `groups` and `sessions` are for those who run the service, with
//!   exit codes in `administration` and tables and JSON in `output`, and `backup` and `migrate` for the whole
//!   database; `health` asks a service that runs; `doctor` looks at all that it needs, and `warnings` at what
//!   its settings weaken; `options` has every flag, environment variable and default, by what they are about:
//!   `accounts` (public URL, new passwords), `exposure` (cookie, proxies), `connections`, `rate_limits`,
//!   `mail`, `brand`, `database`; and the configuration file (`config_file`), which `print/config` prints.
//!   `logging` writes the log; `service_manager` tells systemd how the service is; `print` has the units for
//!   systemd and the configurations of proxies beside it, and `.ci/packages` what packages and images are
//!   made of.
//! - [`server`]: accepts connections, over TCP or a Unix socket, its own or a service manager's, and cuts
//!   off clients that are slow or take too much. It serves any router.
//! - [`app`]: a file for each path in `routes`: what a request takes, what it asks [`auth`], its JSON and
//!   its page. `error` has every refusal with its status and its text, and the sizes that are allowed;
//!   `middleware` what is checked first; `request` what is read, such as the body, within limits of size
//!   and time; `pages` what pages share, and what people are told about refusals; `openapi.json` describes
//!   all that programs can send and get, and is changed with it.
//! - [`operations`]: beside `app`, on a listener of its own, for operators: metrics, liveness, readiness.
//!   `exposition` has every metric with its name and its help.
//! - [`auth`]: a file for each thing that one may ask for, `app_access` for what a proxy asks; `rate_limit`
//!   says how often, with the default rates, and why that locks no owner out; `outbox` when mails are sent,
//!   how often to one address, and when again; `audit` the audit lines; `status` what operators ask.
//!   `administration` is what the commands on users, groups and sessions ask for.
//! - [`db`]: a file for each table: its statements, its methods, its worker; `users` also has what ends
//!   with a password, such as all sessions, and in `users::changes` with a lock; `sessions::cache` remembers
//!   sessions, and says why the answers are the database's; `flask` reads the Flask service's database.
//!   `engine` has what differs between SQLite and PostgreSQL: settings and number of connections;
//!   `engine::open` opens the database to serve, `engine::existing` for a command, `engine::migrations`
//!   brings the schema up to date, `engine::server` asks PostgreSQL what time it is and whether a pooler
//!   shares connections. `inspection` is what `doctor` asks for. `backup` copies all tables into one file, and
//!   back; a migration that adds a table or a column adds it in `backup::tables`.
//! - [`password`]: what may be a password (`policy`), and how it is hashed and checked (`hashing`), several
//!   at once, on threads of its own; also against the hashes of other programs (`hashing/stored`).
//! - [`mail`]: what mails say, and how they are handed over to a mail server or put into a folder.
//! - [`user`], [`email`], [`token`]: a user, an address in its one spelling, the secrets that users hold
//!   and the digests that are stored. [`source`]: where a request comes from, and [`client`] what it is sent
//!   by. [`public_url`]: where the service is reached; [`protected_app`]: the apps that it guards, and who
//!   may use them. [`language`]: texts in each language.
//! - [`metrics`]: numbers that rooms count and `operations` tells.
//! - [`clock`] tells the time, [`rfc3339`] writes and reads moments, [`wait_budget`] how long a request may
//!   still wait for the database, and [`error_chain`] an error with its causes.
//!
//! Where numbers and texts stand:
//!
//! - Texts that programs read: success in the file of the path, refusals in `app/error.rs`. Texts that
//!   people read: of a page in the file of its path, of fields in `app/pages/form.rs`, of refusals in
//!   `app/pages/messages/texts.rs`, of mails in `mail/message.rs`.
//! - Defaults: with the options (`cli/options`), but rates in `auth/rate_limit/limits.rs`, the cost of a hash
//!   in `password/hashing/cost.rs` and the look of pages in `app/pages/theme`. What a stored hash may ask
//!   for: `password/hashing/bounds.rs`.
//! - Time limits: of clients `server/limits.rs`, of a request's waits `wait_budget.rs`, of statements
//!   `db/engine.rs`, of sending a mail `mail.rs`, of the readiness check `operations/readiness.rs`, of the
//!   end `server.rs` and `cli/serve.rs`, of writing the last log lines `cli/logging.rs`.
//! - What is done again and again: deleting what has expired `cli/serve.rs`, mails `auth/outbox.rs`, counting
//!   users `operations/samples.rs`, looking after the database file `db/engine/file_watch.rs`.
//! - What follows an error of the database: on its connection, and when the server undoes work because of
//!   another transaction, `db/connection.rs`; for the caller `db/error.rs`.

pub mod app;
pub mod auth;
pub mod cli;
pub mod client;
pub mod clock;
pub mod db;
pub mod email;
pub mod error_chain;
pub mod language;
pub mod mail;
pub mod metrics;
pub mod operations;
pub mod password;
pub mod protected_app;
pub mod public_url;
pub mod rfc3339;
pub mod server;
pub mod source;
pub mod token;
pub mod user;
pub mod wait_budget;
