//! The tests of the service: the real router or the real program, over a real database each.
//!
//! Every test of behaviour runs on SQLite and on PostgreSQL, by `on_each_engine!`.

mod support;

mod architecture;
mod audit;
mod bad_input;
mod command_line;
mod database;
mod durability;
mod e2e;
mod isolation;
mod logs;
mod mail;
mod outage;
mod password_rule;
mod races;
mod routes;
mod shutdown;
mod throttles;
