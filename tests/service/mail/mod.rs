//! Mails: who gets which, when, and what nobody learns from it.

mod asking;
mod delivery;
mod encryption;
mod program;
