//! Mails: who gets which, when, and what nobody learns from it.

mod asking;
mod clock;
mod delivery;
mod encryption;
mod notices;
mod pauses;
mod program;
mod refusals;
mod retries;
mod turns;
