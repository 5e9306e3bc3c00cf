//! The pages on which an address is changed, and an account taken back.

use super::{EMAIL, PASSWORD};
use crate::support::TestApp;
use crate::support::client::Call;

const MOVER: &str = "mover@example.org";
const STALE: &str = "stale@example.org";

/// Every page of a change of an address, with everything that can be wrong with what it is sent. The session
/// is one of the user with [`EMAIL`].
pub async fn visits(app: &TestApp, session: &str) -> Vec<(&'static str, u16, Call)> {
    app.registered(MOVER, PASSWORD).await;
    let mover = app.logged_in(MOVER, PASSWORD).await;
    let (mover, undo) = app.moved(&mover, "moved@example.org").await;
    let token = app.email_token(&mover, "further@example.org").await;
    app.registered(STALE, PASSWORD).await;
    let stale = app.logged_in(STALE, PASSWORD).await;
    app.email_token(&stale, "fresh@example.org").await;
    let of_stale = "(SELECT id FROM users WHERE email = 'stale@example.org')";
    // Asked for by mail, and by a session that is fresh no longer.
    for statement in [
        format!("UPDATE pending_addresses SET mailed = 1 WHERE user_id = {of_stale}"),
        format!("UPDATE sessions SET created_at = created_at - 1000 WHERE user_id = {of_stale}"),
    ] {
        app.inside.execute(&statement).await;
    }
    let take_back = |email: &str, token: &str, password: &str| {
        let form = [
            ("_method", "PUT"),
            ("email", email),
            ("undo_token", token),
            ("new_password", password),
        ];
        app.post("/undo_email_change", &form)
    };
    let confirm = |token: &str| {
        let form = [("_method", "PUT"), ("email_token", token)];
        app.post("/profile/email", &form).session(&mover)
    };
    let address = |query: &str| app.get(&format!("/profile/email{query}"));
    let link = format!("?email_token={token}");
    let undo_link = format!("/undo_email_change?email={MOVER}&undo_token={undo}");
    vec![
        ("change the address", 200, address("").session(session)),
        (
            "change the address, pending",
            200,
            address("").session(&mover),
        ),
        (
            "change the address, by mail, to log in again",
            200,
            address("").session(&stale),
        ),
        ("change the address, not logged in", 403, address(&link)),
        ("confirm the address", 200, address(&link).session(&mover)),
        (
            "confirm the address, of another",
            403,
            address(&link).session(session),
        ),
        ("confirm the address, bad token", 403, confirm("x")),
        ("confirm the address, no token", 400, confirm("")),
        (
            "change the address, no address",
            400,
            app.ask_address(&mover, "bob"),
        ),
        (
            "change the address, taken",
            400,
            app.ask_address(&mover, EMAIL),
        ),
        (
            "profile, address changed",
            200,
            app.get("/profile?address=changed").session(session),
        ),
        (
            "profile, change called off",
            200,
            app.get("/profile?address=called_off").session(session),
        ),
        (
            "delete the account, address changed lately",
            403,
            app.get("/users/me").session(&mover),
        ),
        ("take the account back", 200, app.get(&undo_link)),
        (
            "take the account back, no token",
            403,
            app.get("/undo_email_change"),
        ),
        (
            "take the account back, no password",
            400,
            take_back(MOVER, &undo, ""),
        ),
        (
            "take the account back, bad token",
            403,
            take_back(MOVER, "x", "y"),
        ),
    ]
}
