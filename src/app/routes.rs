//! A file for each path: what a request for it takes, what it asks [`Auth`](crate::auth::Auth), and how
//! it is answered, in JSON for programs and by a page for people.
//!
//! Handlers decide nothing. Those named `…_page` and `…_form` answer people: a page is shown, a form was
//! posted. After a form has done its work, the answer is a redirect.

pub mod home;
pub mod profile;
pub mod reset_password;
pub mod sessions;
pub mod users;
