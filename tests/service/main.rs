//! The tests of the service: the real router or the real program, over a real database each.
//!
//! Every test of behaviour runs on SQLite and on PostgreSQL, by `on_each_engine!`.

mod support;

mod account;
mod address;
mod administration;
mod architecture;
mod audit;
mod bad_input;
mod browser;
mod clock;
mod command_line;
mod connection_limits;
mod cross_site;
mod database;
mod database_file;
mod deadline;
mod doctor;
mod e2e;
mod examples;
#[cfg(target_os = "linux")]
mod failed_commits;
mod faults;
mod foreign_hashes;
mod forward_auth;
mod headers;
mod instances;
mod isolation;
mod logs;
mod mail;
mod nginx;
mod openapi;
mod operations;
mod other_origins;
mod outage;
mod pages;
mod panics;
mod password_rule;
mod poolers;
mod proxies;
mod races;
mod rate_limits;
mod raw_http;
mod restart;
mod routes;
mod service_manager;
mod session_cache;
mod shutdown;
mod sign_up;
mod slow_clients;
mod unix_socket;
mod user_ids;
