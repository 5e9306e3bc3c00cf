//! A module for each path, with what the contract says of it.

mod home;
mod profile;
mod reset_password;
mod sessions;
mod users;
