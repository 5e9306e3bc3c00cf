//! The pages, as a browser gets them from the real router.

mod addresses;
mod forms;
mod journeys;
mod languages;
mod look;
mod negotiation;
mod safety;

use std::time::Duration;

use bienvenue::app::Settings;
use bienvenue::auth::SignUpMode;
use scraper::{ElementRef, Html, Selector};

use crate::support::client::{Call, FORM, Reply};
use crate::support::{Database, TestApp};

/// What Chromium sends when a person opens a page.
pub const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,\
                           image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7";

const EMAIL: &str = "bob@example.org";
const PASSWORD: &str = "b4l0u";

impl Call {
    /// The same request from a browser.
    pub fn by_browser(self) -> Self {
        self.header("accept", BROWSER)
    }

    /// The same request from a browser in this language.
    pub fn in_language(self, language: &str) -> Self {
        self.by_browser().header("accept-language", language)
    }
}

impl Reply {
    /// That this is a page with this status.
    #[track_caller]
    pub fn assert_page(&self, status: u16) -> Dom {
        assert_eq!(self.status, status, "{self:?}");
        let content_type = self.header("content-type");
        assert_eq!(content_type, Some("text/html; charset=utf-8"), "{self:?}");
        if let Some(length) = self
            .header("content-length")
            .filter(|_| !self.body.is_empty())
        {
            assert_eq!(length, self.body.len().to_string(), "{self:?}");
        }
        Dom(Html::parse_document(self.text()))
    }

    /// That this leads a browser on to this path.
    #[track_caller]
    pub fn assert_leads_to(&self, path: &str) {
        assert_eq!(self.status, 303, "{self:?}");
        assert_eq!(self.header("location"), Some(path), "{self:?}");
        assert_eq!(self.header("cache-control"), Some("no-store"), "{self:?}");
    }

    pub fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }
}

/// A page as a browser understands it.
pub struct Dom(Html);

impl Dom {
    pub fn all(&self, selector: &str) -> Vec<ElementRef<'_>> {
        let selector = Selector::parse(selector).unwrap();
        self.0.select(&selector).collect()
    }

    /// The one element that is selected.
    #[track_caller]
    pub fn one(&self, selector: &str) -> ElementRef<'_> {
        let all = self.all(selector);
        assert_eq!(all.len(), 1, "{selector}: {}", self.0.html());
        all[0]
    }

    #[track_caller]
    pub fn text(&self, selector: &str) -> String {
        self.one(selector).text().collect()
    }

    #[track_caller]
    pub fn attribute(&self, selector: &str, name: &str) -> Option<String> {
        self.one(selector).attr(name).map(str::to_owned)
    }

    /// Every text that a person is shown or told, in order.
    pub fn texts(&self) -> Vec<String> {
        let nodes = self.all("title, body *").into_iter().flat_map(|element| {
            let own = element
                .children()
                .filter_map(|child| child.value().as_text());
            let own: Vec<String> = own.map(|text| text.trim().to_owned()).collect();
            let told = ["alt", "title", "placeholder", "aria-label"];
            let told = told.iter().filter_map(|name| element.attr(name));
            own.into_iter()
                .chain(told.map(str::to_owned).collect::<Vec<_>>())
        });
        nodes.filter(|text| !text.is_empty()).collect()
    }
}

/// A page with what it is called here and the status that it has.
pub struct Seen {
    pub name: &'static str,
    pub status: u16,
    pub reply: Reply,
}

/// Every page that a sound service has, with everything that can be wrong with what it is sent.
fn visits(app: &TestApp, session: &str, token: &str) -> Vec<(&'static str, u16, Call)> {
    let link = format!("/reset_password?email={EMAIL}&reset_token={token}");
    let reset = |email: &str, token: &str, password: &str| {
        app.post(
            "/reset_password",
            &[
                ("_method", "PUT"),
                ("email", email),
                ("reset_token", token),
                ("new_password", password),
            ],
        )
    };
    let unknown = "a4d19e2f-88f1-4bc4-89f7-7d39b98a3d44";
    let long = "x".repeat(1100);
    let long_email = format!("{long}@example.org");
    vec![
        ("home", 200, app.get("/")),
        ("home, logged in", 200, app.get("/").session(session)),
        ("sign up", 200, app.get("/users")),
        ("sign up, to go on", 200, app.get("/users?next=/profile")),
        ("log in", 200, app.get("/sessions")),
        ("log in, to go on", 200, app.get("/sessions?next=/profile")),
        (
            "log in, password updated",
            200,
            app.get("/sessions?password=updated"),
        ),
        (
            "log in, account deleted",
            200,
            app.get("/sessions?account=deleted"),
        ),
        ("ask for a reset", 200, app.get("/reset_password")),
        ("link sent", 200, app.get("/reset_password?link=sent")),
        ("new password", 200, app.get(&link)),
        ("profile, not logged in", 403, app.get("/profile")),
        ("sign up, nothing", 400, app.register("", "")),
        ("sign up, no address", 400, app.register("bob", "x")),
        ("sign up, long address", 400, app.register(&long_email, "x")),
        ("sign up, taken", 400, app.register(EMAIL, "x")),
        (
            "sign up, no password",
            400,
            app.register("new@example.org", ""),
        ),
        (
            "sign up, long password",
            400,
            app.register("new@example.org", &long),
        ),
        ("sign up, nul", 400, app.register("new@example.org", "\0")),
        ("log in, no address", 400, app.log_in("bob", "x")),
        ("log in, no password", 400, app.log_in(EMAIL, "")),
        ("log in, wrong", 401, app.log_in(EMAIL, "x")),
        (
            "log out, not logged in",
            403,
            app.post("/sessions", &[("_method", "DELETE")]),
        ),
        ("ask for a reset, no address", 400, app.ask_reset("bob")),
        (
            "ask for a reset, unknown",
            403,
            app.ask_reset("nobody@example.org"),
        ),
        ("new password, none", 400, reset(EMAIL, token, "")),
        ("new password, long", 400, reset(EMAIL, token, &long)),
        ("new password, no address", 400, reset("bob", token, "x")),
        ("new password, no token", 400, reset(EMAIL, "", "x")),
        ("new password, bad token", 403, reset(EMAIL, unknown, "x")),
        ("no page", 404, app.get("/nowhere")),
        ("no method", 405, app.request("PATCH", "/users")),
        (
            "no such method in a form",
            400,
            app.post("/sessions", &[("_method", "PATCH")]),
        ),
        (
            "body too large",
            413,
            app.request("POST", "/users").body(FORM, "x".repeat(20_000)),
        ),
        (
            "form of another site",
            403,
            app.register("new@example.org", "x")
                .header("sec-fetch-site", "cross-site"),
        ),
        (
            "other type",
            415,
            app.request("POST", "/users").body("text/plain", "x"),
        ),
        (
            "garbled form",
            400,
            app.request("POST", "/users").body(FORM, "email=%FF"),
        ),
    ]
}

/// The pages of an account.
fn visits_of_account(app: &TestApp, session: &str) -> Vec<(&'static str, u16, Call)> {
    let change_password = |password: &str, new_password: &str| {
        let form = [
            ("_method", "PUT"),
            ("password", password),
            ("new_password", new_password),
        ];
        app.post("/profile/password", &form)
    };
    vec![
        (
            "log in again",
            200,
            app.get("/sessions?next=/users/me").session(session),
        ),
        ("profile", 200, app.get("/profile").session(session)),
        (
            "profile, password updated",
            200,
            app.get("/profile?password=updated").session(session),
        ),
        (
            "change the password",
            200,
            app.get("/profile/password").session(session),
        ),
        ("sessions", 200, app.get("/sessions").session(session)),
        (
            "sessions, one ended",
            200,
            app.get("/sessions?ended=session").session(session),
        ),
        (
            "sessions, others ended",
            200,
            app.get("/sessions?ended=others").session(session),
        ),
        (
            "delete the account",
            200,
            app.get("/users/me").session(session),
        ),
        (
            "change the password, nothing",
            400,
            change_password("", "").session(session),
        ),
        (
            "change the password, wrong",
            401,
            change_password("wrong", "new").session(session),
        ),
        (
            "change the password, not logged in",
            403,
            change_password(PASSWORD, "new"),
        ),
        (
            "end a session, none",
            404,
            app.post("/sessions/0123456789abcdef", &[("_method", "DELETE")])
                .session(session),
        ),
    ]
}

/// The same of signing up by a link, and not at all.
async fn visits_to_sign_up(app: &TestApp, settings: &Settings) -> Vec<(&'static str, u16, Call)> {
    let client = |mode| app.signing_up_with(mode, settings.clone());
    let (by_link, closed) = (client(SignUpMode::Verified), client(SignUpMode::Closed));
    let email = "new@example.org";
    let token = by_link.sign_up_token(email).await;
    let finish = |email: &str, token: &str, password: &str| {
        let form = [
            ("_method", "PUT"),
            ("email", email),
            ("sign_up_token", token),
            ("password", password),
        ];
        by_link.post("/users", &form)
    };
    let link = format!("/users?email={email}&sign_up_token={token}");
    vec![
        ("ask to sign up", 200, by_link.get("/users")),
        ("sign up, link sent", 200, by_link.get("/users?link=sent")),
        ("finish", 200, by_link.get(&link)),
        (
            "ask to sign up, no address",
            400,
            by_link.ask_sign_up("bob"),
        ),
        ("ask to sign up, taken", 400, by_link.ask_sign_up(EMAIL)),
        ("finish, no password", 400, finish(email, &token, "")),
        ("finish, no address", 400, finish("bob", &token, "x")),
        ("finish, no token", 400, finish(email, "", "x")),
        ("finish, bad token", 403, finish(email, "x", "x")),
        ("sign up, closed", 403, closed.get("/users")),
        ("log in, sign-up closed", 200, closed.get("/sessions")),
    ]
}

/// Every page there is, in a language.
pub async fn every_page(database: Database, settings: Settings, language: &str) -> Vec<Seen> {
    let app = TestApp::new(database).await.with_settings(settings.clone());
    app.registered(EMAIL, PASSWORD).await;
    let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0";
    let elsewhere = app
        .log_in(EMAIL, PASSWORD)
        .header("user-agent", firefox)
        .send()
        .await;
    assert_eq!(elsewhere.status, 200);
    app.clock.turn(Duration::from_mins(5));
    let session = app.logged_in(EMAIL, PASSWORD).await;
    let token = app.reset_token(EMAIL).await;
    let mut seen = Vec::new();
    let mut see = async |name, status, call: Call| {
        let reply = call.in_language(language).send().await;
        seen.push(Seen {
            name,
            status,
            reply,
        });
    };
    let visits = visits(&app, &session, &token);
    let of_account = visits_of_account(&app, &session);
    for (name, status, call) in visits.into_iter().chain(of_account) {
        see(name, status, call).await;
    }
    for (name, status, call) in visits_to_sign_up(&app, &settings).await {
        see(name, status, call).await;
    }
    for (name, status, call) in addresses::visits(&app, &session).await {
        see(name, status, call).await;
    }
    let profile = app.get("/profile").session(&session);
    let log_in = app.log_in(EMAIL, PASSWORD);
    app.inside.execute("DROP TABLE reset_tokens").await;
    app.inside.execute("DROP TABLE sessions").await;
    see("internal error", 500, profile.clone()).await;
    see("log in, internal error", 500, log_in.clone()).await;
    app.db.close().await;
    see("database away", 503, profile).await;
    see("log in, database away", 503, log_in).await;
    seen
}
