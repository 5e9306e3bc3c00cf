//! Whatever is sent: what passes has a live session of a user who may use the app.

use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

use super::*;
use crate::on_each_engine;
use crate::support::TestApp;

/// How many requests are made up.
const CASES: u32 = 3_000;

const CLOSED: &str = "closed.example.org";

/// Values of header fields, of which those of a name are right now and then.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let known = select(vec![
        "GET",
        "POST",
        "https",
        "http",
        "wss",
        "/",
        "/p?a=b",
        "",
        " ",
        ",",
        "*",
        "wiki.example.org",
        "WIKI.example.org:443",
        "wiki.example.org.",
        "wiki.example.org:80",
        "auth.example.org",
        "closed.example.org",
        "evil.example",
        "a.example.com",
        "b.a.example.com",
        "https://wiki.example.org/p",
        "https://auth.example.org/",
        "http://closed.example.org/",
        "https://a.example.com",
        "https://evil.example/wiki.example.org",
        "//wiki.example.org/",
        "https://wiki.example.org@evil.example/",
        "https://wiki.example.org, https://evil.example",
    ]);
    prop_oneof![
        20 => known.prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(prop_oneof![0x20u8..0x7f, 0x80u8..=0xff], 0..20),
    ]
}

/// Header fields of a proxy: each once and right in most cases, else several times, never, or anything.
fn fields() -> impl Strategy<Value = Vec<(&'static str, Vec<u8>)>> {
    let host = || {
        select(vec![
            WIKI,
            OWN,
            CLOSED,
            "a.example.com",
            "Wiki.Example.ORG",
            "evil.example",
        ])
    };
    let right = (
        select(vec!["GET", "POST", "HEAD"]),
        host(),
        select(vec!["/", "/p?a=b", "/login"]),
    );
    let right = right.prop_map(|(method, host, path)| {
        let of = |way: Way| way.fields(method, host, path);
        let both = of(Way::ForwardAuth).into_iter().chain(of(Way::AuthRequest));
        both.map(|(name, text)| (name, text.into_bytes()))
            .collect::<Vec<_>>()
    });
    let names = vec![
        "x-forwarded-method",
        "x-forwarded-proto",
        "x-forwarded-host",
        "x-forwarded-uri",
        "x-original-method",
        "x-original-url",
        "x_forwarded_host",
        "remote-user",
        "authorization",
        "x-forwarded-for",
        "forwarded",
        "sec-fetch-mode",
        "accept",
        "x-http-method-override",
    ];
    let changes = prop::collection::vec((select(names), value(), 0..3), 0..3);
    (right, changes).prop_map(|(mut fields, changes)| {
        for (name, value, change) in changes {
            if change > 0 {
                fields.retain(|(other, _)| *other != name);
            }
            if change < 2 {
                fields.push((name, value));
            }
        }
        fields
    })
}

/// The only value of a field, as text.
fn only<'a>(fields: &'a [(&'static str, Vec<u8>)], name: &str) -> Option<&'a str> {
    let mut values = fields.iter().filter(|(other, _)| *other == name);
    match (values.next(), values.next()) {
        (Some((_, value)), None) => str::from_utf8(value).ok(),
        _ => None,
    }
}

/// The host that a check is about, in its one spelling, as far as it is told; the port is the usual one.
fn told_host(way: Way, fields: &[(&'static str, Vec<u8>)]) -> Option<String> {
    let host = match way {
        Way::ForwardAuth => {
            for name in ["x-forwarded-method", "x-forwarded-uri"] {
                only(fields, name).filter(|text| !text.is_empty())?;
            }
            let scheme = only(fields, "x-forwarded-proto")?;
            let host = only(fields, "x-forwarded-host")?;
            without_port(host, scheme)
        }
        Way::AuthRequest => {
            only(fields, "x-original-method").filter(|text| !text.is_empty())?;
            let (scheme, rest) = only(fields, "x-original-url")?.split_once("://")?;
            without_port(rest.split('/').next()?, scheme)
        }
    };
    Some(host.to_lowercase())
}

fn without_port<'a>(host: &'a str, scheme: &str) -> &'a str {
    let port = if ["https", "wss"].contains(&scheme) {
        ":443"
    } else {
        ":80"
    };
    host.strip_suffix(port).unwrap_or(host)
}

on_each_engine! {
    async fn what_passes_has_a_live_session_and_may(database: Database) {
        let apps = [OWN, WIKI, "closed.example.org: eve@example.org", "*.example.com"];
        let app = TestApp::new(database).await.guarding(&apps);
        let account = logged_in(&app).await;
        let ended = app.logged_in(EMAIL, PASSWORD).await;
        let mut browser = Browser::with_session(&app, Way::ForwardAuth, &account);
        let mut gone = Browser::with_session(&app, Way::ForwardAuth, &ended);
        for browser in [&mut browser, &mut gone] {
            for host in [WIKI, "a.example.com"] {
                browser.enter(&format!("https://{host}/")).await;
            }
        }
        app.log_out(&ended).send().await;
        let live = [
            (OWN, format!("session_id={account}")),
            (WIKI, format!("bienvenue_app={}", browser.app_session(WIKI))),
            ("a.example.com", format!("bienvenue_app={}", browser.app_session("a.example.com"))),
        ];
        let mut cookies: Vec<String> = live.iter().map(|(_, cookie)| cookie.clone()).collect();
        let good = cookies.clone();
        cookies.extend([
            format!("session_id={ended}"),
            format!("bienvenue_app={}", gone.app_session(WIKI)),
            format!("bienvenue_app={account}"),
            format!("bienvenue_login={}", browser.cookie(WIKI, "bienvenue_login").unwrap()),
            "bienvenue_app=".to_owned(),
            format!("bienvenue_app={}", uuid::Uuid::new_v4()),
            "theme=dark".to_owned(),
        ]);
        let cookies = prop_oneof![
            3 => prop::collection::vec(select(good), 1..=3),
            2 => prop::collection::vec(select(cookies), 0..4),
        ];
        let peer = prop_oneof![9 => Just("127.0.0.1"), 1 => Just("192.0.2.1")];
        let query = select(vec!["", "?", "?x=y", "?allowed_emails=bob@example.org"]);
        let strategy = (select(WAYS.to_vec()), fields(), cookies, peer, query);
        let mut runner = TestRunner::new(Config::default());
        let mut passed = 0;
        for _ in 0..CASES {
            let case = strategy.new_tree(&mut runner).unwrap().current();
            let (way, fields, cookies, peer, query) = &case;
            let call = app.get(&format!("{}{query}", way.path())).from(peer);
            let call = fields.iter().fold(call, |call, (name, value)| call.header(name, value));
            let call = if cookies.is_empty() { call } else { call.header("cookie", cookies.join("; ")) };
            let reply = call.send().await;
            let host = told_host(*way, fields);
            let name = if host.as_deref() == Some(OWN) { "session_id=" } else { "bienvenue_app=" };
            let presented: Vec<&String> = cookies.iter().filter(|cookie| cookie.starts_with(name)).collect();
            let may_pass = *peer == "127.0.0.1"
                && live.iter().any(|(of, cookie)| host.as_deref() == Some(of) && presented == [cookie]);
            if reply.status.is_success() {
                assert!(may_pass, "{case:?}");
                assert_passes(&reply, EMAIL, "users");
                passed += 1;
            } else {
                assert_blocked(&reply, reply.status.as_u16(), &case);
                assert!([302, 303, 401, 403].contains(&reply.status.as_u16()), "{case:?} {reply:?}");
                let location = reply.header("location").unwrap_or("https://wiki.example.org/");
                let known = [WIKI, OWN, CLOSED, "a.example.com"];
                let leads_to_app = known.iter().any(|host| location.starts_with(&format!("https://{host}/")));
                assert!(leads_to_app, "{case:?} {location}");
            }
        }
        assert!(passed > CASES / 50, "{passed}");
    }
}
