//! Whatever a client sends gets a clear answer and, if it is refused, changes nothing.

use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::on_each_engine;
use crate::support::TestApp;
use crate::support::client::{FORM, JSON};
use crate::support::server::Server;

/// A method, a path, and names with texts.
type Route = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
);

/// Every route that takes fields, with good ones.
const ROUTES: [Route; 4] = [
    (
        "POST",
        "/users",
        &[("email", "new@example.org"), ("password", "b4l0u")],
    ),
    (
        "POST",
        "/sessions",
        &[("email", "bob@example.org"), ("password", "b4l0u")],
    ),
    ("POST", "/reset_password", &[("email", "bob@example.org")]),
    (
        "PUT",
        "/reset_password",
        &[
            ("email", "bob@example.org"),
            ("reset_token", "a4d19e2f-88f1-4bc4-89f7-7d39b98a3d44"),
            ("new_password", "t4rt1fl3tt3"),
        ],
    ),
];

/// Texts that are not one plain address.
const NO_ADDRESSES: [&str; 8] = [
    "bob",
    " ",
    "bob@example.org,eve@example.org",
    "bob@example.org eve@example.org",
    "bob@example.org\r\nBcc: eve@example.org",
    "bob\0@example.org",
    "b\u{F6}b@example.org",
    "'; DROP TABLE users; --",
];

fn too_long_address() -> String {
    format!("{}@example.org", "x".repeat(250))
}

const BAD_MEDIA_TYPE: &str = "content type must be application/x-www-form-urlencoded, \
                              application/json or multipart/form-data";

fn with<'a>(
    fields: &[(&'a str, &'a str)],
    name: &str,
    replacement: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    let others = fields.iter().filter(|(other, _)| *other != name);
    others.chain(replacement).copied().collect()
}

on_each_engine! {
    async fn a_missing_empty_or_repeated_field_is_named(database: Database) {
        let app = TestApp::new(database).await;
        app.registered("bob@example.org", "b4l0u").await;
        for (method, path, fields) in ROUTES {
            for (name, text) in fields {
                for (replacement, problem) in [
                    (&[][..], "is missing"),
                    (&[(*name, "")], "is empty"),
                    (&[(*name, *text), (*name, *text)], "is given more than once"),
                    (&[(*name, *text), (*name, "")], "is given more than once"),
                ] {
                    let message = format!("{name} {problem}");
                    let fields = with(fields, name, replacement);
                    let call = app.request(method, path).form(&fields);
                    app.assert_refused(call, 400, &message).await;
                    let call = app.request(method, path).multipart(&fields);
                    app.assert_refused(call, 400, &message).await;
                    let pairs: Vec<String> = fields
                        .iter()
                        .map(|(name, text)| format!("{}: {}", json!(name), json!(text)))
                        .collect();
                    let body = format!("{{{}}}", pairs.join(", "));
                    let call = app.request(method, path).body(JSON, body);
                    app.assert_refused(call, 400, &message).await;
                }
            }
        }
    }

    async fn a_field_of_another_type_is_named(database: Database) {
        let app = TestApp::new(database).await;
        for (method, path, fields) in ROUTES {
            let body: Map<String, Value> = fields
                .iter()
                .map(|(name, text)| ((*name).to_owned(), json!(text)))
                .collect();
            for (name, _) in fields {
                for value in [json!(1), json!(null), json!(true), json!(["a"]), json!({"a": "b"})] {
                    let mut body = body.clone();
                    body.insert((*name).to_owned(), value);
                    let call = app.request(method, path).json(&body.into());
                    app.assert_refused(call, 400, &format!("{name} is not a text")).await;
                }
            }
        }
    }

    async fn what_is_no_address_cannot_be_registered(database: Database) {
        let app = TestApp::new(database).await;
        for email in NO_ADDRESSES {
            let call = app.register(email, "b4l0u");
            let problem = if email.is_ascii() {
                "email is not an email address"
            } else {
                "email has characters other than ASCII, which are not supported"
            };
            app.assert_refused(call, 400, problem).await;
        }
        let call = app.register(&too_long_address(), "b4l0u");
        app.assert_refused(call, 400, "email is longer than 254 bytes").await;
    }

    async fn what_is_no_address_is_one_that_no_user_has(database: Database) {
        let app = TestApp::new(database).await;
        app.registered("bob@example.org", "b4l0u").await;
        let token = app.reset_token("bob@example.org").await;
        let too_long = too_long_address();
        for email in NO_ADDRESSES.into_iter().chain([&*too_long]) {
            for (method, path, status, message, others) in [
                ("POST", "/sessions", 401, "wrong email or password", vec![("password", "b4l0u")]),
                ("POST", "/reset_password", 403, "email not registered", vec![]),
                (
                    "PUT",
                    "/reset_password",
                    403,
                    "invalid reset token",
                    vec![("reset_token", &*token), ("new_password", "t4rt1fl3tt3")],
                ),
            ] {
                let fields = |email| [vec![("email", email)], others.clone()].concat();
                let calls = |email| {
                    let call = app.request(method, path);
                    let body: Map<String, Value> = fields(email)
                        .into_iter()
                        .map(|(name, text)| (name.to_owned(), json!(text)))
                        .collect();
                    [
                        call.clone().form(&fields(email)),
                        call.clone().multipart(&fields(email)),
                        call.json(&body.into()),
                    ]
                };
                for (malformed, unknown) in calls(email).into_iter().zip(calls("nobody@example.org")) {
                    let before = app.passwords.rounds_spent();
                    app.assert_refused(malformed.clone(), status, message).await;
                    let spent = app.passwords.rounds_spent() - before;
                    assert_eq!(spent, if status == 401 { 16 } else { 0 }, "{method} {path}");
                    let mut replies = [malformed.send().await, unknown.send().await];
                    for reply in &mut replies {
                        reply.headers.remove("x-request-id").unwrap();
                    }
                    let [malformed, unknown] = replies;
                    assert_eq!(malformed.headers, unknown.headers);
                    assert_eq!(malformed.body, unknown.body);
                }
            }
        }
        assert_eq!(app.reset("bob@example.org", &token, "t4rt1fl3tt3").send().await.status, 200);
    }

    async fn what_can_be_no_password_is_refused_before_any_hash(database: Database) {
        let app = TestApp::new(database).await;
        app.registered("bob@example.org", "b4l0u").await;
        let before = app.passwords.rounds_spent();
        for (method, path, fields) in ROUTES {
            let Some(name) = ["password", "new_password"]
                .into_iter()
                .find(|name| fields.iter().any(|(other, _)| other == name))
            else {
                continue;
            };
            for (password, problem) in [
                ("x".repeat(1025), "is longer than 1024 bytes"),
                ("\u{1F600}".repeat(257), "is longer than 1024 bytes"),
                ("b4l0u\0".to_owned(), "contains a nul character"),
            ] {
                let fields = with(fields, name, &[(name, &password)]);
                let call = app.request(method, path).form(&fields);
                app.assert_refused(call, 400, &format!("{name} {problem}")).await;
            }
        }
        assert_eq!(app.passwords.rounds_spent(), before);
    }

    async fn a_body_that_is_not_what_it_says_is_refused(database: Database) {
        let app = TestApp::new(database).await;
        for (method, path, _) in ROUTES {
            for (content_type, body, form) in [
                (FORM, &b"email=a@b&password=%FF"[..], FORM),
                (FORM, b"email=a@b&password=\xC3\x28", FORM),
                (JSON, b"", "json object"),
                (JSON, b"email=a@b&password=b4l0u", "json object"),
                (JSON, b"[\"email\", \"a@b\"]", "json object"),
                (JSON, b"{\"email\": \"a@b\", \"password\": \"b4l0u\"", "json object"),
                (JSON, b"{\"email\": \"a@b\", \"password\": \"\xFF\"}", "json object"),
                (JSON, b"{\"email\": \"a@b\", \"password\": \"\\ud800\"}", "json object"),
                ("multipart/form-data", b"--x--\r\n", "multipart/form-data"),
                ("multipart/form-data; boundary=x", b"email=a@b", "multipart/form-data"),
                (
                    "multipart/form-data; boundary=x",
                    b"--x\r\nContent-Disposition: form-data; name=\"email\"\r\n\r\na@b",
                    "multipart/form-data",
                ),
                (
                    "multipart/form-data; boundary=x",
                    b"--x\r\nContent-Disposition: form-data; name=\"email\"\r\n\r\n\xFF\r\n--x--\r\n",
                    "multipart/form-data",
                ),
            ] {
                let call = app.request(method, path).body(content_type, body);
                app.assert_refused(call, 400, &format!("body is not valid {form}")).await;
            }
        }
    }

    async fn other_content_types_are_not_read(database: Database) {
        let app = TestApp::new(database).await;
        for (method, path, _) in ROUTES {
            for content_type in ["text/plain", "application/xml", "application/problem+json", "", "\u{FF}"] {
                let call = app.request(method, path).body(content_type, "email=a@b&password=b4l0u");
                app.assert_refused(call, 415, BAD_MEDIA_TYPE).await;
            }
            let call = app.request(method, path).form(&[]).header("content-type", JSON);
            let call = call.body(JSON, "{}");
            app.assert_refused(call, 415, BAD_MEDIA_TYPE).await;
            let nothing_at_all = app.request(method, path);
            app.assert_refused(nothing_at_all, 400, "email is missing").await;
        }
    }

    async fn a_content_type_may_have_parameters_and_any_case(database: Database) {
        let app = TestApp::new(database).await;
        for (email, content_type) in [
            ("a@b", "application/x-www-form-urlencoded; charset=UTF-8"),
            ("b@b", "Application/X-WWW-Form-URLencoded;charset=utf-8"),
        ] {
            let body = format!("email={email}&password=b4l0u");
            let reply = app.request("POST", "/users").body(content_type, body).send().await;
            assert_eq!(reply.status, 200, "{reply:?}");
        }
        let body = r#"{"email": "c@b", "password": "b4l0u"}"#;
        let call = app.request("POST", "/users").body("application/json; charset=utf-8", body);
        assert_eq!(call.send().await.status, 200);
    }

    async fn fields_in_the_query_are_not_read(database: Database) {
        let app = TestApp::new(database).await;
        app.registered("bob@example.org", "b4l0u").await;
        for (method, path, fields) in ROUTES {
            let query: Vec<String> =
                fields.iter().map(|(name, text)| format!("{name}={text}")).collect();
            let path = format!("{path}?{}", query.join("&"));
            let call = app.request(method, &path).form(&[]);
            app.assert_refused(call, 400, "email is missing").await;
        }
        let reply = app.post("/sessions?email=eve@example.org", ROUTES[1].2).send().await;
        assert_eq!(reply.json()["email"], "bob@example.org");
    }

    async fn a_body_may_have_16_kib_and_no_more(database: Database) {
        let app = TestApp::new(database).await;
        let filled_to = |size: usize| {
            let body = "email=a@b&password=b4l0u&filler=";
            body.to_owned() + &"x".repeat(size - body.len())
        };
        for (method, path) in [
            ("POST", "/users"),
            ("PUT", "/reset_password"),
            ("DELETE", "/sessions"),
            ("GET", "/profile"),
            ("POST", "/nowhere"),
        ] {
            let call = app.request(method, path).body(FORM, filled_to(16 * 1024 + 1));
            app.assert_refused(call, 413, "body is larger than 16384 bytes").await;
        }
        let call = app.request("POST", "/users").body(FORM, filled_to(16 * 1024));
        assert_eq!(call.send().await.status, 200);
    }

    async fn paths_and_methods_that_are_not_there_are_refused(database: Database) {
        let app = TestApp::new(database).await;
        for (path, allowed) in [
            ("/", "GET,HEAD"),
            ("/users", "POST,PUT,DELETE"),
            ("/users/me", "GET,HEAD"),
            ("/sessions", "GET,HEAD,POST,DELETE"),
            ("/sessions/others", "DELETE"),
            ("/sessions/0123456789abcdef", "DELETE"),
            ("/profile", "GET,HEAD"),
            ("/profile/password", "PUT"),
            ("/profile/email", "POST,PUT,DELETE"),
            ("/undo_email_change", "PUT"),
            ("/reset_password", "POST,PUT"),
        ] {
            let methods = ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"];
            for method in methods {
                if !allowed.split(',').any(|known| known == method) {
                    let call = app.request(method, path);
                    let allow = call.clone().send().await;
                    assert_eq!(allow.header("allow"), Some(allowed), "{method} {path}");
                    app.assert_refused(call, 405, "method not allowed").await;
                }
            }
        }
        for path in ["/user", "/users/1", "/Users", "//users", "/users//", "/%2e", "/%00", "/%ff", "/*"] {
            for method in ["GET", "POST"] {
                let call = app.request(method, path);
                app.assert_refused(call, 404, "not found").await;
            }
        }
    }

    async fn a_trailing_slash_means_the_same_path(database: Database) {
        let app = TestApp::new(database).await;
        let bob = [("email", "bob@example.org"), ("password", "b4l0u")];
        assert_eq!(app.post("/users/", &bob).send().await.status, 200);
        let session = app.post("/sessions/", &bob).send().await.session_id().unwrap();
        assert_eq!(app.get("/profile/").session(&session).send().await.status, 200);
        let call = app.request("DELETE", "/sessions/").session(&session);
        assert_eq!(call.send().await.status, 302);
        let reply = app.post("/reset_password/", &bob[..1]).send().await;
        let token = reply.json()["reset_token"].as_str().unwrap().to_owned();
        let reset = [bob[0], ("reset_token", &token), ("new_password", "new")];
        assert_eq!(app.put("/reset_password/", &reset).send().await.status, 200);
        let call = app.get("/users/");
        app.assert_refused(call, 405, "method not allowed").await;
    }

    async fn head_answers_like_get_without_a_body(database: Database) {
        let app = TestApp::new(database).await;
        app.registered("bob@example.org", "b4l0u").await;
        let session = app.logged_in("bob@example.org", "b4l0u").await;
        for (path, status) in [("/", 200), ("/profile", 200), ("/nowhere", 404), ("/users", 405)] {
            let get = app.get(path).session(&session).send().await;
            let head = app.request("HEAD", path).session(&session).send().await;
            assert_eq!(head.status, status, "{path}");
            assert_eq!(head.body, b"", "{path}");
            for name in ["content-type", "content-length", "allow"] {
                assert_eq!(head.header(name), get.header(name), "{path}: {name}");
            }
        }
    }

    async fn no_mangled_body_makes_the_service_fail(database: Database) {
        let app = TestApp::new(database).await;
        // Settled, so that a failure comes again.
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut random = move |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % below as u64).unwrap()
        };
        let multipart = "multipart/form-data; boundary=x";
        let seeds: [(&str, &[u8]); 3] = [
            (FORM, b"email=a%40b&password=b4+l0u&reset_token=x&new_password=%C3%A9"),
            (JSON, br#"{"email": "a\u0040b", "password": "b4l0u", "new_password": [1.5e3, {}]}"#),
            (multipart, b"--x\r\nContent-Disposition: form-data; name=\"email\"\r\n\r\na@b\r\n--x--\r\n"),
        ];
        for round in 0..1500 {
            let (method, path, _) = ROUTES[round % ROUTES.len()];
            let (content_type, seed) = seeds[random(seeds.len())];
            let mut body = seed.to_vec();
            for _ in 0..=random(6) {
                let at = random(body.len());
                match random(3) {
                    0 => body[at] = u8::try_from(random(256)).unwrap(),
                    1 => body.truncate(at + 1),
                    _ => body.insert(at, b"\0\r\n%&=\"{}[]\\-\xFF"[random(14)]),
                }
            }
            let reply = app.request(method, path).body(content_type, &body).send().await;
            let text = String::from_utf8_lossy(&body);
            assert!(!reply.status.is_server_error(), "{method} {path} {text:?}: {reply:?}");
        }
    }

    async fn a_body_of_10_mb_gets_its_refusal_over_a_real_connection(database: Database) {
        let server = Server::start(&database.url);
        let inside = database.look_inside().await;
        let body = vec![b'x'; 10_000_000];
        for path in ["/users", "/nowhere"] {
            let reply = server.request("POST", path).body(FORM, &body).send().await;
            reply.assert_refusal(413, "body is larger than 16384 bytes");
        }
        // Asks before it sends, as curl does, and so need not send.
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        let head = "POST /users HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\
                    Content-Type: application/json\r\nContent-Length: 10000000\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut reply = [0; 12];
        stream.read_exact(&mut reply).await.unwrap();
        assert_eq!(&reply, b"HTTP/1.1 413");
        assert_eq!(inside.count("users").await, 0);
    }

    async fn a_body_that_breaks_off_changes_nothing(database: Database) {
        let server = Server::start(&database.url);
        let inside = database.look_inside().await;
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        let part = format!(
            "POST /users HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\nContent-Length: 99\r\n\r\n\
             email=bob@example.org&password=b4l0u"
        );
        stream.write_all(part.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await.unwrap();
        assert!(reply.is_empty() || reply.contains("body is incomplete"), "{reply}");
        assert!(!server.can_log_in("bob@example.org", "b4l0u").await);
        assert_eq!(inside.count("users").await, 0);
    }
}
