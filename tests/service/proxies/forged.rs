//! What a client says of itself changes neither whether it is let through nor what the app is told.

use super::*;

/// Fields that proxies or apps could take for their own.
const FORGED: [&str; 20] = [
    "remote-user: root",
    "Remote-User: root",
    "remote_user: root",
    "Remote_User: root",
    "remote-email: root@example.org",
    "remote-groups: admins",
    "remote_groups: admins",
    "remote-sub: 0",
    "remote-name: root",
    "x-original-url: https://notes.example.net/",
    "x-original-method: GET",
    "x-forwarded-host: notes.example.net",
    "x-forwarded-uri: /public",
    "x-forwarded-proto: http",
    "x-forwarded-method: GET",
    "x-forwarded-for: 192.0.2.1",
    "x_forwarded_host: notes.example.net",
    "forwarded: for=192.0.2.1;host=notes.example.net;proto=https",
    "connection: x-forwarded-host",
    "authorization: Basic cm9vdDpyb290",
];

/// A client says which fields are for the next hop alone, so that it takes them away (RFC 9110, 7.6.1).
const HOP_BY_HOP: [&str; 5] = [
    "connection: x-forwarded-uri, x-forwarded-proto, x-forwarded-method",
    "connection: x-original-url, x-original-method",
    "connection: remote-user",
    "connection: close, Remote-User, remote-groups",
    "connection: upgrade, remote-user, remote-email, remote-name, remote-groups, remote-sub",
];

/// The fields that tell the app who is there and how it was reached.
fn told(got: &Value) -> Vec<String> {
    let headers = got["headers"].as_object().unwrap();
    let is_told = |name: &str| {
        let name = name.replace('_', "-");
        let starts = ["remote", "x-forwarded", "x-original", "forwarded", "host"];
        starts.iter().any(|start| name.starts_with(start))
    };
    let fields = headers.iter().filter(|(name, _)| is_told(name));
    fields
        .map(|(name, values)| format!("{name}: {values}"))
        .collect()
}

/// That nothing a client says is believed by the app at this URL, where nobody is logged in yet.
async fn assert_not_believed(stand: &Stand, url: &str) {
    let url = format!("{url}/p?x=y");
    for field in FORGED {
        let reply = stand.curl(&["--http1.1", "-H", field], &url).await;
        assert_eq!(reply.status, 401, "{field}: {reply:?}");
    }
    assert_eq!(stand.echo.reached(), 0);

    stand.log_in().await;
    stand.open(&url).await;
    let ask = async |field: &str| {
        let arguments = ["--http1.1", "-H", field];
        stand.curl_with_cookies(&arguments, &url).await.echoed()
    };
    let honest = told(&ask("x-nothing: 1").await);
    for name in ["user", "email", "name", "groups", "sub"] {
        let field = format!("remote-{name}: [\"");
        assert!(
            honest.iter().any(|told| told.starts_with(&field)),
            "{honest:?}"
        );
    }
    for field in FORGED.into_iter().chain(HOP_BY_HOP) {
        let got = ask(field).await;
        assert_eq!(got["uri"], "/p?x=y", "{field}");
        assert_eq!(told(&got), honest, "{field}");
    }
}

behind_each_proxy! {
    async fn no_field_of_a_client_is_believed(proxy: Kind) {
        let Some(stand) = Stand::with_two_apps(proxy).await else { return };
        assert_not_believed(&stand, WIKI).await;
    }

    async fn no_field_of_a_client_is_believed_on_the_host_of_the_service(proxy: Kind) {
        let Some(stand) = Stand::start(proxy, &["auth.example.org"]).await else { return };
        assert_not_believed(&stand, SERVICE).await;
    }

    async fn the_host_that_is_asked_about_is_the_one_whose_app_answers(proxy: Kind) {
        let Some(stand) = Stand::start(proxy, &["wiki.example.org: group:staff", "notes.example.net"]).await else { return };
        stand.log_in().await;
        assert_eq!(stand.open(NOTES).await.status, 200);
        let cookies = fs::read_to_string(stand.folder.path().join("cookies")).unwrap();
        let line = cookies.lines().find(|line| line.contains("notes.example.net")).unwrap();
        let fields: Vec<&str> = line.split('\t').collect();
        let [.., name, value] = fields[..] else { panic!("{line}") };
        let session = format!("cookie: {name}={value}");
        let reached = stand.echo.reached();
        // A request line of one app, with the host and the session of another one.
        let target = format!("{WIKI}/secret");
        let arguments = ["--http1.1", "--request-target", &target, "-H", &session];
        for arguments in [
            &[&arguments[..], &["-H", "host: notes.example.net"]].concat()[..],
            &["--http1.1", "-H", &session, "-H", "x-original-url: https://notes.example.net/"],
            &["--http1.1", "-H", &session, "-H", "x-forwarded-host: notes.example.net"],
        ] {
            let reply = stand.curl(arguments, &target).await;
            assert!([400, 401, 403].contains(&reply.status), "{arguments:?} {reply:?}");
        }
        assert_eq!(stand.echo.reached(), reached);
    }
}
