//! Who is let through to an app, told what, and sent where.

use super::*;

behind_each_proxy! {
    async fn what_is_no_person_in_a_browser_is_told_401_and_led_nowhere(proxy: Kind) {
        let Some(stand) = Stand::with_two_apps(proxy).await else { return };
        let web_socket = ["-H", "connection: upgrade", "-H", "upgrade: websocket", "-H", "sec-websocket-version: 13",
            "-H", "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==", "--http1.1"];
        for arguments in [
            &[][..],
            &["-H", "accept: application/json"],
            &["-H", "sec-fetch-mode: cors", "-H", HTML],
            &["-H", "sec-fetch-mode: no-cors"],
            &["-H", "x-requested-with: XMLHttpRequest", "-H", HTML],
            &["-d", "a=b", "--http1.1"],
            &["-X", "DELETE"],
            &["-u", "bob:secret"],
            &web_socket,
        ] {
            for url in [WIKI, NOTES] {
                let reply = stand.curl(arguments, &format!("{url}/p?a=1")).await;
                assert_eq!(reply.status, 401, "{arguments:?} {reply:?}");
                assert_eq!(reply.header("location"), None, "{arguments:?} {reply:?}");
            }
        }
        assert_eq!(stand.echo.reached(), 0);
    }

    async fn a_person_in_a_browser_is_sent_to_log_in(proxy: Kind) {
        let Some(stand) = Stand::with_two_apps(proxy).await else { return };
        for url in [WIKI, NOTES] {
            for (arguments, next) in [
                (&["-H", HTML][..], "%2Fp%3Fa%3D1%26b%3D%252F"),
                (&["-H", "sec-fetch-mode: navigate"], "%2Fp%3Fa%3D1%26b%3D%252F"),
                (&["-H", HTML, "-d", "x=y", "--http1.1"], ""),
            ] {
                let reply = stand.curl(arguments, &format!("{url}/p?a=1&b=%2F")).await;
                let is_reading = !next.is_empty();
                let status = if is_reading && proxy == Kind::Caddy { 302 } else { 303 };
                assert_eq!(reply.status, status, "{reply:?}");
                let to = reply.header("location").unwrap();
                let expected = match next {
                    "" => format!("{url}/_bienvenue/login"),
                    next => format!("{url}/_bienvenue/login?next={next}"),
                };
                assert_eq!(to, expected);
            }
        }
        assert_eq!(stand.echo.reached(), 0);
    }

    async fn each_app_is_told_who_is_there_until_they_log_out_of_the_service(proxy: Kind) {
        let Some(stand) = Stand::with_two_apps(proxy).await else { return };
        stand.log_in().await;
        for url in [WIKI, NOTES] {
            let page = stand.open(&format!("{url}/p?a=1&b=%2F")).await;
            assert_eq!(page.status, 200, "{page:?}");
            assert!(page.body.contains("\"uri\":\"/p?a=1&b=%2F\""), "{page:?}");
            for method in ["GET", "POST", "DELETE"] {
                let reply = stand.curl_with_cookies(&["-X", method], &format!("{url}/x?y=%2F")).await;
                let got = reply.echoed();
                assert_eq!((&got["method"], &got["uri"]), (&json!(method), &json!("/x?y=%2F")));
                for (name, value) in [
                    ("remote-user", EMAIL),
                    ("remote-email", EMAIL),
                    ("remote-name", EMAIL),
                    ("remote-groups", "users"),
                    ("remote-sub", "1"),
                    ("x-forwarded-proto", "https"),
                    ("x-forwarded-host", &url["https://".len()..]),
                    ("host", &url["https://".len()..]),
                ] {
                    assert_eq!(got["headers"][name], json!([value]), "{name}: {got}");
                }
                assert_eq!(reply.header("set-cookie"), None, "{reply:?}");
            }
        }
        let reached = stand.echo.reached();
        let sessions = format!("{SERVICE}/sessions");
        let log_out = stand.curl_with_cookies(&["-X", "DELETE"], &sessions);
        assert_eq!(log_out.await.status, 302);
        for url in [WIKI, NOTES] {
            assert_eq!(stand.curl_with_cookies(&[], url).await.status, 401);
        }
        assert_eq!(stand.echo.reached(), reached);
    }

    async fn web_sockets_and_thirty_kilobytes_of_cookies_pass(proxy: Kind) {
        let Some(stand) = Stand::with_two_apps(proxy).await else { return };
        stand.log_in().await;
        stand.open(WIKI).await;
        let cookies = fs::read_to_string(stand.folder.path().join("cookies")).unwrap();
        let line = cookies.lines().find(|line| line.contains("wiki.example.org")).unwrap();
        let fields: Vec<&str> = line.split('\t').collect();
        let [.., name, value] = fields[..] else { panic!("{line}") };
        let mut cookies: Vec<String> = (0..4)
            .map(|number| format!("c{number}={}", "x".repeat(7_500)))
            .collect();
        cookies.push(format!("{name}={value}"));
        let line = format!("cookie: {}", cookies.join("; "));
        let arguments = ["--http1.1", "-H", &line];
        let got = stand.curl(&arguments, WIKI).await.echoed();
        assert_eq!(got["headers"]["remote-user"], json!([EMAIL]));
        let sent = got["headers"]["cookie"].to_string();
        assert!(sent.len() > 30_000 && sent.contains("c3=x"), "{}", sent.len());

        let upgrade = ["-H", "connection: upgrade", "-H", "upgrade: websocket", "--http1.1"];
        let got = stand.curl_with_cookies(&upgrade, WIKI).await.echoed();
        assert_eq!(got["headers"]["upgrade"], json!(["websocket"]));
        assert_eq!(got["headers"]["connection"][0].as_str().unwrap().to_lowercase(), "upgrade");
    }

    async fn a_part_for_everyone_tells_the_app_nothing_and_leads_to_no_other_part(proxy: Kind) {
        let Some(stand) = Stand::with_two_apps(proxy).await else { return };
        stand.log_in().await;
        stand.open(WIKI).await;
        for arguments in [&[][..], &["-H", "remote-user: root", "-H", "Remote_User: root"]] {
            for reply in [
                stand.curl(arguments, &format!("{WIKI}/public/x")).await,
                stand.curl_with_cookies(arguments, &format!("{WIKI}/public/x")).await,
            ] {
                let got = reply.echoed();
                assert_eq!(got["uri"], "/public/x");
                let headers = got["headers"].as_object().unwrap();
                assert!(!headers.keys().any(|name| name.starts_with("remote")), "{got}");
            }
        }
        let reached = stand.echo.reached();
        for path in ["/public", "/public/../x", "/public/%2e%2e/x", "/public/..%2fx", "/public/%2e%2e%2fx",
            "/public//../../x", "/x/public/", "//x", "/./x"] {
            let reply = stand.curl(&["--path-as-is"], &format!("{WIKI}{path}")).await;
            assert!([301, 400, 401].contains(&reply.status), "{path}: {reply:?}");
        }
        assert_eq!(stand.echo.reached(), reached);
    }
}
