//! HTTP as nobody should write it: a clear answer or none, and never an effect that was not asked for.

use serde_json::json;

use crate::on_each_engine;
use crate::support::client::{FORM, JSON};
use crate::support::raw::Raw;
use crate::support::server::Server;

const HOME: &str = "{\"message\":\"Bienvenue\"}\n";
const BAD_HOST: &str = "host is missing, malformed or given more than once";

/// A sign-up, which must not happen.
fn sign_up(fields: &str, body: &str) -> String {
    format!("POST /users HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\n{fields}\r\n{body}")
}

const EVE: &str = "email=eve@example.org&password=b4l0u";

/// That each of these gets this status, or silence for `None`, that none changes anything, and that
/// the next client notices nothing.
async fn assert_each(
    database: &crate::support::Database,
    cases: impl IntoIterator<Item = (Option<u16>, Vec<u8>)>,
) {
    let server = Server::start(&database.url);
    let inside = database.look_inside().await;
    for (status, bytes) in cases {
        let said = String::from_utf8_lossy(&bytes[..bytes.len().min(300)]).into_owned();
        let mut raw = Raw::connect(&server).await;
        raw.send(&bytes).await;
        let reply = raw.try_reply().await;
        assert_eq!(
            reply.as_ref().map(|reply| reply.status.as_u16()),
            status,
            "{said}: {reply:?}"
        );
        assert_eq!(server.get("/").send().await.status, 200, "{said}");
        assert_eq!(inside.all_rows().await, [""; 0], "{said}");
    }
}

on_each_engine! {
    async fn refusals_alone_have_their_reason_in_capitals(database: Database) {
        let server = Server::start(&database.url);
        server.registered("bob@example.org", "b4l0u").await;
        let session = server.logged_in("bob@example.org", "b4l0u").await;
        let form = |body: &str| format!("Content-Type: {FORM}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let log_in = |password: &str| format!("POST /sessions HTTP/1.1\r\n{}", form(&format!("email=bob@example.org&password={password}")));
        for (request, status_line) in [
            ("GET / HTTP/1.1\r\n\r\n".to_owned(), "200 OK"),
            (log_in("b4l0u"), "200 OK"),
            (log_in("wrong"), "401 UNAUTHORIZED"),
            (format!("DELETE /sessions HTTP/1.1\r\nCookie: session_id={session}\r\n\r\n"), "302 Found"),
            ("GET /profile HTTP/1.1\r\n\r\n".to_owned(), "403 FORBIDDEN"),
            ("GET /profile HTTP/1.1\r\nAccept: text/html\r\n\r\n".to_owned(), "403 FORBIDDEN"),
            ("GET /users HTTP/1.1\r\n\r\n".to_owned(), "405 METHOD NOT ALLOWED"),
            ("GET /users HTTP/1.1\r\nAccept: text/html\r\n\r\n".to_owned(), "200 OK"),
            ("GET /nowhere HTTP/1.1\r\n\r\n".to_owned(), "404 NOT FOUND"),
            (format!("POST /users HTTP/1.1\r\n{}", form("email=a@b")), "400 BAD REQUEST"),
        ] {
            let mut raw = Raw::connect(&server).await;
            let request = request.replacen("\r\n", "\r\nHost: localhost\r\nConnection: close\r\n", 1);
            raw.send(request.as_bytes()).await;
            let reply = String::from_utf8(raw.end().await).unwrap();
            let first = reply.lines().next().unwrap();
            assert_eq!(first, format!("HTTP/1.1 {status_line}"), "{request}");
        }
    }

    async fn http_1_1_names_one_host(database: Database) {
        let server = Server::start(&database.url);
        let home = server.get("/").by_browser().send().await.assert_page(200);
        let style = home.attribute("link[rel=stylesheet]", "href").unwrap();
        for hosts in [
            "",
            "Host: a\r\nHost: a\r\n",
            "Host: a\r\nHost: b\r\n",
            "Host:\r\n",
            "Host: a b\r\n",
            "Host: a,b\r\n",
            "Host: me@a\r\n",
            "Host: a/b\r\n",
            "Host: a:b\r\n",
            "Host: a\r\nX: y\r\nhOST: a\r\n",
        ] {
            let mut raw = Raw::connect(&server).await;
            raw.send(format!("GET / HTTP/1.1\r\n{hosts}\r\n").as_bytes()).await;
            raw.reply().await.assert_refusal(400, BAD_HOST);
            // What follows on the connection is the next request.
            raw.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
            assert_eq!(raw.reply().await.body, HOME.as_bytes());
            // Nor is it another rule for what is the same for everybody.
            raw.send(format!("GET {style} HTTP/1.1\r\n{hosts}\r\n").as_bytes()).await;
            raw.reply().await.assert_refusal(400, BAD_HOST);
        }
    }

    async fn http_1_0_need_not_name_its_host(database: Database) {
        let server = Server::start(&database.url);
        for (hosts, status) in [("", 200), ("Host: x\r\n", 200), ("Host: a\r\nHost: a\r\n", 400)] {
            let mut raw = Raw::connect(&server).await;
            raw.send(format!("GET / HTTP/1.0\r\n{hosts}\r\n").as_bytes()).await;
            assert_eq!(raw.reply().await.status, status, "{hosts}");
            assert_eq!(raw.end().await, b"");
        }
    }

    async fn a_whole_url_in_the_request_line_is_read_for_its_path(database: Database) {
        let server = Server::start(&database.url);
        let mut raw = Raw::connect(&server).await;
        for line in ["http://evil.example/", "http://x/", "https://evil.example:1/"] {
            raw.send(format!("GET {line} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await;
            assert_eq!(raw.reply().await.body, HOME.as_bytes(), "{line}");
        }
    }

    async fn requests_that_come_together_are_answered_in_turn(database: Database) {
        let server = Server::start(&database.url);
        let mut raw = Raw::connect(&server).await;
        let paths = ["/", "/nowhere", "/profile", "/"];
        let together = paths.map(|path| format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        raw.send(together.concat().as_bytes()).await;
        for status in [200, 404, 403, 200] {
            assert_eq!(raw.reply().await.status, status);
        }
    }

    async fn a_request_of_two_lengths_is_none_or_one_but_never_two(database: Database) {
        let smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
        let server = Server::start(&database.url);
        for (lengths, body, statuses) in [
            // The chunks count and the connection ends, as RFC 9112, 6.3, asks for.
            ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n", &[400][..]),
            ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n", &[400]),
            ("Transfer-Encoding: chunked\r\nContent-Length: 999\r\n", "0\r\n\r\n", &[400]),
            ("Content-Length: 5\r\nContent-Length: 6\r\n", "email", &[400]),
            ("Content-Length: 5, 6\r\n", "email", &[400]),
            ("Content-Length: +5\r\n", "email", &[400]),
            ("Content-Length: -5\r\n", "email", &[400]),
            ("Content-Length: 0x5\r\n", "email", &[400]),
            ("Content-Length: 5\r\n\x20 6\r\n", "email", &[400]),
            ("Transfer-Encoding: gzip\r\n", "0\r\n\r\n", &[400]),
            ("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n", &[400]),
            ("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n", &[400]),
            ("Transfer-Encoding : chunked\r\n", "0\r\n\r\n", &[400]),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n", "0\r\n\r\n", &[400]),
        ] {
            let mut raw = Raw::connect(&server).await;
            let request = sign_up(lengths, body) + smuggled;
            raw.send(request.as_bytes()).await;
            for status in statuses {
                assert_eq!(raw.reply().await.status, *status, "{lengths}");
            }
            assert_eq!(raw.end().await, b"", "{lengths}");
        }
    }

    async fn a_body_is_chunked_once_or_not_at_all(database: Database) {
        let server = Server::start(&database.url);
        let inside = database.look_inside().await;
        let page = server.get("/").by_browser().send().await.assert_page(200);
        let style = page.attribute("link[rel=stylesheet]", "href").unwrap();
        let chunks = format!("{:x}\r\n{EVE}\r\n0\r\n\r\n", EVE.len());
        let smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
        for line in [format!("GET {style}"), "POST /users".to_owned(), "GET /".to_owned()] {
            for codings in [
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                "Transfer-Encoding: chunked, chunked\r\n",
                "Transfer-Encoding: gzip, chunked\r\n",
                "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
                "Transfer-Encoding: identity, chunked\r\n",
                "Transfer-Encoding: , chunked\r\n",
                "Transfer-Encoding: chunked;a=b, chunked\r\n",
            ] {
                let fields = format!("Host: x\r\nContent-Type: {FORM}\r\n{codings}");
                let request = format!("{line} HTTP/1.1\r\n{fields}\r\n{chunks}{smuggled}");
                let mut raw = Raw::connect(&server).await;
                raw.send(request.as_bytes()).await;
                let reply = raw.reply().await;
                reply.assert_refusal(400, "transfer-encoding must be chunked, given once and alone");
                assert_eq!(raw.end().await, b"", "{line} {codings}");
            }
        }
        assert_eq!(inside.count("users").await, 0);
        let mut raw = Raw::connect(&server).await;
        raw.send((sign_up("Transfer-Encoding: Chunked\r\n", "") + &chunks).as_bytes()).await;
        assert_eq!(raw.reply().await.status, 200);
    }

    async fn what_is_left_of_a_refused_request_is_not_the_next_one(database: Database) {
        let server = Server::start(&database.url);
        let smuggled = "DELETE /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
        for (fields, status) in [
            ("Sec-Fetch-Site: cross-site\r\n", 403),
            ("Host: y\r\n", 400),
            ("Content-Type: text/plain\r\n", 415),
        ] {
            let mut raw = Raw::connect(&server).await;
            let length = format!("{fields}Content-Length: {}\r\n", smuggled.len());
            raw.send(sign_up(&length, smuggled).as_bytes()).await;
            assert_eq!(raw.reply().await.status, status, "{fields}");
            raw.finish().await;
            assert_eq!(raw.end().await, b"", "{fields}");
        }
    }

    async fn chunks_are_read_if_they_are_sound(database: Database) {
        let server = Server::start(&database.url);
        let inside = database.look_inside().await;
        let head = sign_up("Transfer-Encoding: chunked\r\n", "");
        for chunks in [
            "zz\r\nemail\r\n0\r\n\r\n",
            "-5\r\nemail\r\n0\r\n\r\n",
            "FFFFFFFFFFFFFFFFF\r\nemail\r\n0\r\n\r\n",
            "5\r\nemailX\r\n0\r\n\r\n",
            "5\nemail\n0\n\n",
            "\r\n\r\n",
        ] {
            let mut raw = Raw::connect(&server).await;
            raw.send((head.clone() + chunks).as_bytes()).await;
            raw.reply().await.assert_refusal(400, "body is incomplete");
            assert_eq!(raw.end().await, b"");
        }
        assert_eq!(inside.count("users").await, 0);

        let mut raw = Raw::connect(&server).await;
        let (first, second) = EVE.split_at(7);
        let chunks = format!(
            "{:x};a=b\r\n{first}\r\n{:X}\r\n{second}\r\n0\r\nX: y\r\n\r\n",
            first.len(),
            second.len()
        );
        raw.send((head + &chunks).as_bytes()).await;
        let created = json!({ "email": "eve@example.org", "message": "user created" });
        raw.reply().await.assert_is(200, &created);
        raw.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert_eq!(raw.reply().await.status, 200);
    }

    async fn requests_that_are_too_large_get_to_read_so(database: Database) {
        let long = |letters| "x".repeat(letters);
        let headers = |number| "X: y\r\n".repeat(number);
        assert_each(&database, [
            (Some(431), format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", long(100_000))),
            (Some(431), format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", long(300_000))),
            (Some(431), format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", long(5_000_000))),
            (Some(431), format!("GET / HTTP/1.1\r\nHost: x\r\n{}: y\r\n\r\n", long(300_000))),
            (Some(431), format!("GET / HTTP/1.1\r\nHost: x\r\nCookie: {}\r\n\r\n", long(16 * 1024))),
            (Some(200), format!("GET / HTTP/1.1\r\nHost: x\r\nCookie: {}\r\n\r\n", long(16_000))),
            (Some(431), format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", headers(100))),
            (Some(200), format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", headers(99))),
            (Some(413), sign_up("Content-Length: 99999999999\r\n", &long(1_000_000))),
            (Some(400), sign_up("Content-Length: 99999999999999999999\r\n", "")),
        ].map(|(status, text)| (status, text.into_bytes()))).await;
    }

    async fn what_is_not_http_is_refused(database: Database) {
        let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n";
        assert_each(&database, [
            (Some(400), hello.to_vec()),
            (Some(400), b"\0\0\0\0\r\n\r\n".to_vec()),
            (Some(400), b"GET\r\n\r\n".to_vec()),
            (Some(400), b"GET / HTTP/2.0\r\nHost: x\r\n\r\n".to_vec()),
            (Some(400), b"GET / HTTP/1.1\r\nHost: x\r\nX\r\n\r\n".to_vec()),
            (Some(400), b"GET / HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n".to_vec()),
            (Some(400), b"GET / HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n".to_vec()),
            (Some(400), b"GET / HTTP/1.1\r\nHost: x\r\nX: a\rb\r\n\r\n".to_vec()),
            (Some(400), b"GET / HTTP/1.1\r\n Host: x\r\n\r\n".to_vec()),
            (Some(400), b"GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
            (Some(400), b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
            (Some(400), b"get:/ / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
            (Some(405), b"get / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
            (Some(405), b"TRACE / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
            (Some(404), b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
            (Some(404), b"CONNECT evil.example:80 HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
            (Some(404), b"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
            (None, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec()),
        ]).await;
    }

    async fn nul_characters_in_fields_are_refused(database: Database) {
        let with_length = |content_type: &str, body: &str| {
            let length = body.len();
            format!(
                "POST /users HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\n\
                 Content-Length: {length}\r\n\r\n{body}"
            )
        };
        assert_each(&database, [
            with_length(FORM, "email=a%00@b&password=b4l0u"),
            with_length(FORM, "email=a\0@b&password=b4l0u"),
            with_length(FORM, "email=a@b&password=b4%00l0u"),
            with_length(JSON, r#"{"email": "a\u0000@b", "password": "b4l0u"}"#),
            with_length(JSON, r#"{"email": "a@b", "password": "b4l0u\u0000"}"#),
            with_length(JSON, "{\"email\": \"a@b\", \"password\": \"\0\"}"),
        ].map(|text| (Some(400), text.into_bytes()))).await;
    }

    async fn half_a_request_has_no_effect(database: Database) {
        let server = Server::start(&database.url);
        let inside = database.look_inside().await;
        let length = format!("Content-Length: {}\r\n", EVE.len());
        let whole = sign_up(&length, EVE);
        for end in (0..whole.len()).step_by(7) {
            let mut raw = Raw::connect(&server).await;
            raw.send(&whole.as_bytes()[..end]).await;
            raw.finish().await;
            let answer = String::from_utf8(raw.end().await).unwrap();
            let is_refusal = answer.starts_with("HTTP/1.1 400");
            assert!(answer.is_empty() || is_refusal, "{end}: {answer}");
        }
        assert_eq!(inside.count("users").await, 0);
    }
}
