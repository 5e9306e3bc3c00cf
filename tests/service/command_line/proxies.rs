//! What proxies are set up with. That it works is shown in `proxies`.

use super::*;

const PUBLIC: [&str; 6] = [
    "--public-url",
    "https://auth.example.net",
    "--mail-dir",
    "mails",
    "--trusted-proxy",
    "127.0.0.1",
];

/// What `print` prints for a proxy with these options of `serve`.
fn printed(proxy: &str, options: &[&str]) -> String {
    let folder = tempdir().unwrap();
    let output = run_in(folder.path(), &[&["print", proxy], options].concat());
    assert!(output.status.success(), "{output:?}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    String::from_utf8(output.stdout).unwrap()
}

/// The same with a public URL.
fn printed_in_public(proxy: &str, options: &[&str]) -> String {
    printed(proxy, &[&PUBLIC, options].concat())
}

/// The lines that have this word, without white space around them and without comments.
fn lines<'a>(text: &'a str, word: &str) -> Vec<&'a str> {
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.starts_with('#'));
    lines.filter(|line| line.contains(word)).collect()
}

#[test]
fn without_settings_examples_are_printed() {
    for (proxy, parts) in [
        (
            "nginx",
            &[
                include_str!("../../../src/cli/print/nginx/http.conf"),
                include_str!("../../../src/cli/print/nginx/service.conf"),
                include_str!("../../../src/cli/print/nginx/apps.conf"),
                include_str!("../../../src/cli/print/nginx/app.conf"),
            ][..],
        ),
        (
            "caddy",
            &[
                include_str!("../../../src/cli/print/caddy/service.caddy"),
                include_str!("../../../src/cli/print/caddy/app.caddy"),
            ],
        ),
        (
            "traefik",
            &[
                include_str!("../../../src/cli/print/traefik/start.yaml"),
                include_str!("../../../src/cli/print/traefik/service.yaml"),
                include_str!("../../../src/cli/print/traefik/app.yaml"),
                include_str!("../../../src/cli/print/traefik/check.yaml"),
                include_str!("../../../src/cli/print/traefik/app_server.yaml"),
            ],
        ),
    ] {
        assert_eq!(printed(proxy, &[]), parts.concat());
    }
}

#[test]
fn the_service_and_each_app_have_the_places_that_are_set() {
    let apps = [
        "--app",
        "wiki.example.net: group:staff; *.example.com",
        "--listen",
        "0.0.0.0:6000",
    ];
    let nginx = printed_in_public("nginx", &apps);
    let names = [
        "server_name auth.example.net;",
        "server_name wiki.example.net;",
        "server_name *.example.com;",
    ];
    assert_eq!(lines(&nginx, "server_name"), names);
    assert_eq!(lines(&nginx, "server 127"), ["server 127.0.0.1:6000;"]);
    assert_eq!(lines(&nginx, "_.example.com.pem").len(), 1);
    let caddy = printed_in_public("caddy", &apps);
    for line in [
        "auth.example.net {",
        "wiki.example.net {",
        "*.example.com {",
    ] {
        assert!(caddy.contains(&format!("{line}\n")), "{caddy}");
    }
    assert_eq!(lines(&caddy, "127.0.0.1:6000").len(), 5, "{caddy}");
    let traefik = printed_in_public("traefik", &apps);
    assert_eq!(lines(&traefik, "`wiki.example.net`").len(), 2, "{traefik}");
    assert_eq!(lines(&traefik, "127.0.0.1:6000").len(), 2, "{traefik}");
    for text in [nginx, caddy, traefik] {
        assert!(
            !text.contains("example.org") && !text.contains("5000"),
            "{text}"
        );
    }

    let socket = ["--listen", "unix:/run/bienvenue/http.sock"];
    let nginx = printed_in_public("nginx", &socket);
    let server = ["server unix:/run/bienvenue/http.sock;"];
    assert_eq!(lines(&nginx, "server unix"), server);
    let caddy = printed_in_public("caddy", &socket);
    let asked = "forward_auth unix//run/bienvenue/http.sock {";
    assert_eq!(lines(&caddy, "forward_auth unix"), [asked]);
}

#[test]
fn a_port_that_is_not_the_usual_one_is_part_of_the_host() {
    let nginx = printed_in_public("nginx", &["--app", "wiki.example.net:8443"]);
    assert_eq!(
        lines(&nginx, "listen"),
        [
            "listen 443 ssl;",
            "listen [::]:443 ssl;",
            "listen 8443 ssl;",
            "listen [::]:8443 ssl;"
        ]
    );
    assert!(nginx.contains("server_name wiki.example.net;"), "{nginx}");
    assert!(
        nginx.contains(" $scheme://$host:8443$request_uri;"),
        "{nginx}"
    );
    let caddy = printed_in_public("caddy", &["--app", "wiki.example.net:8443"]);
    assert!(caddy.contains("wiki.example.net:8443 {\n"), "{caddy}");
}

#[test]
fn an_app_on_the_host_of_the_service_leaves_it_its_paths() {
    let app = ["--app", "auth.example.net"];
    let nginx = printed_in_public("nginx", &app);
    assert_eq!(lines(&nginx, "server_name").len(), 1, "{nginx}");
    assert!(
        nginx.contains("location ~ ^/(?:(?:_bienvenue|users|sessions|"),
        "{nginx}"
    );
    assert_eq!(
        lines(&nginx, "Cookie "),
        ["proxy_set_header Cookie            $http_cookie;"]
    );
    let caddy = printed_in_public("caddy", &app);
    assert_eq!(lines(&caddy, "auth.example.net"), ["auth.example.net {"]);
    assert!(
        caddy.contains("@bienvenue path /_bienvenue /_bienvenue/* /users /users/*"),
        "{caddy}"
    );
    let traefik = printed_in_public("traefik", &app);
    assert_eq!(lines(&traefik, "`auth.example.net`").len(), 2, "{traefik}");
    assert!(
        traefik.contains("PathRegexp(`^/((_bienvenue|users|sessions|"),
        "{traefik}"
    );
}

#[test]
fn for_this_machine_there_is_no_tls() {
    let local = [
        "--public-url",
        "http://localhost:8080",
        "--mail-dir",
        "mails",
    ];
    let nginx = printed("nginx", &local);
    let of_service = ["listen 127.0.0.1:8080;", "listen [::1]:8080;"];
    let of_app = ["listen 127.0.0.1:80;", "listen [::1]:80;"];
    assert_eq!(lines(&nginx, "listen"), [of_service, of_app].concat());
    assert!(
        !nginx.contains("ssl") && !nginx.contains("__Host-"),
        "{nginx}"
    );
    let caddy = printed("caddy", &local);
    assert!(
        caddy.contains("http://localhost:8080 {\n    bind 127.0.0.1 [::1]\n"),
        "{caddy}"
    );
    let traefik = printed("traefik", &local);
    assert_eq!(lines(&traefik, "entryPoints"), ["entryPoints: [web]"; 3]);
    assert!(!traefik.contains("tls"), "{traefik}");

    for (host, listen) in [
        ("127.0.0.2", "listen 127.0.0.2:8080;"),
        ("[::1]", "listen [::1]:8080;"),
    ] {
        let url = format!("http://{host}:8080");
        let options = ["--public-url", &url, "--mail-dir", "mails"];
        let nginx = printed("nginx", &options);
        // Behind it stand the two of the app.
        assert_eq!(lines(&nginx, "listen")[0], listen);
        assert_eq!(lines(&nginx, "listen").len(), 3, "{nginx}");
    }
}

#[test]
fn each_app_has_routers_and_a_server_of_its_own_in_traefik() {
    let apps = "*.example.com; wiki.example.net; a.example.com: group:staff";
    let traefik = printed_in_public("traefik", &["--app", apps]);
    let rules = [
        "rule: \"Host(`auth.example.net`)\"",
        "rule: \"HostRegexp(`^[^.]+[.]example[.]com$`) && PathPrefix(`/_bienvenue/`)\"",
        "rule: \"HostRegexp(`^[^.]+[.]example[.]com$`)\"",
        "rule: \"Host(`wiki.example.net`) && PathPrefix(`/_bienvenue/`)\"",
        "rule: \"Host(`wiki.example.net`)\"",
        "rule: \"Host(`a.example.com`) && PathPrefix(`/_bienvenue/`)\"",
        "rule: \"Host(`a.example.com`)\"",
    ];
    assert_eq!(lines(&traefik, "rule:"), rules);
    // A name is at its indentation once alone, as YAML wants it.
    let keys = |indent: &str| -> Vec<&str> {
        let keys = traefik.lines().filter_map(|line| line.strip_prefix(indent));
        let keys = keys.filter_map(|key| key.strip_suffix(':'));
        keys.filter(|key| !key.starts_with(' ')).collect()
    };
    assert_eq!(keys("  "), ["routers", "middlewares", "services"]);
    let expected = [
        "bienvenue",
        "app-bienvenue",
        "app",
        "app-2-bienvenue",
        "app-2",
        "app-3-bienvenue",
        "app-3",
        "bienvenue",
        "bienvenue",
        "app",
        "app-2",
        "app-3",
    ];
    assert_eq!(keys("    "), expected);
    let servers = [
        "service: bienvenue",
        "service: bienvenue",
        "service: app",
        "service: bienvenue",
        "service: app-2",
        "service: bienvenue",
        "service: app-3",
    ];
    assert_eq!(lines(&traefik, "service: "), servers);
    assert_eq!(lines(&traefik, "middlewares: [bienvenue]").len(), 3);
    // Else the rule of many hosts, which is longer, would win over that of one.
    assert_eq!(lines(&traefik, "priority"), ["priority: 2", "priority: 1"]);
}

#[test]
fn what_serve_refuses_is_refused() {
    let folder = tempdir().unwrap();
    for proxy in ["nginx", "caddy", "traefik"] {
        let options = ["print", proxy, "--app", "wiki.example.org"];
        let output = run_in(folder.path(), &options);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.contains("give --public-url too"), "{told}");
    }
}

#[test]
fn traefik_reaches_no_unix_socket() {
    let folder = tempdir().unwrap();
    let socket = ["--listen", "unix:/run/bienvenue/http.sock"];
    let app = ["--app", "wiki.example.net"];
    for options in [&socket[..], &[&PUBLIC[..], &app, &socket].concat()] {
        let output = run_in(folder.path(), &[&["print", "traefik"], options].concat());
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert_eq!(output.stdout, b"");
        let told = String::from_utf8(output.stderr).unwrap();
        let hint = "--listen unix:/run/bienvenue/http.sock: Traefik cannot connect to a Unix socket: give an \
                    address and a port, such as 127.0.0.1:5000";
        assert!(told.contains(hint), "{told}");
    }
}

#[test]
fn an_app_without_the_port_of_the_service_is_warned_of_as_by_serve() {
    let folder = tempdir().unwrap();
    for proxy in ["nginx", "caddy", "traefik"] {
        for (app, told) in [
            (
                "wiki.localhost",
                "bienvenue: --app wiki.localhost is at port 80, and --public-url http://localhost:8080 is \
                 not: give wiki.localhost:8080 if the app is reached by that port too\n",
            ),
            ("wiki.localhost:8080", ""),
        ] {
            let options = ["print", proxy, "--public-url", "http://localhost:8080"];
            let others = ["--mail-dir", "mails", "--trusted-proxy", "127.0.0.1"];
            let arguments = [&options[..], &others, &["--app", app]].concat();
            let output = run_in(folder.path(), &arguments);
            assert!(output.status.success(), "{output:?}");
            assert_eq!(String::from_utf8_lossy(&output.stderr), told, "{proxy}");
        }
    }
}

#[test]
fn the_help_of_each_proxy_stands_alone() {
    let folder = tempdir().unwrap();
    for (proxy, parts) in [
        (
            "nginx",
            &["configuration of nginx", "/etc/nginx/conf.d"][..],
        ),
        ("caddy", &["configuration of Caddy", "Caddyfile"]),
        (
            "traefik",
            &[
                "configuration of Traefik",
                "file provider",
                "3.7.13",
                "Unix socket",
            ],
        ),
    ] {
        let output = run_in(folder.path(), &["print", proxy, "--help"]);
        let help = String::from_utf8(output.stdout).unwrap();
        let about = help.split_once("Usage:").unwrap().0;
        let about = about.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in [parts, &["options of serve", "--app", "127.0.0.1:8080"]].concat() {
            assert!(about.contains(part), "{part}: {about}");
        }
    }
}

#[test]
fn the_readme_has_the_version_of_traefik_that_the_file_asks_for() {
    let start = include_str!("../../../src/cli/print/traefik/start.yaml");
    let version = start.split_once("Take Traefik ").unwrap().1;
    let version = version.split_once(' ').unwrap().0;
    let readme = include_str!("../../../README.md");
    assert!(readme.contains(&format!("Traefik {version} or later")));
}

#[test]
fn the_configurations_in_the_readme_are_what_is_printed() {
    let readme = include_str!("../../../README.md");
    let production = [
        include_str!("../../../src/cli/print/nginx/http.conf"),
        include_str!("../../../src/cli/print/nginx/service.conf"),
    ];
    let block = format!("```nginx\n{}```\n", production.concat());
    assert!(readme.contains(&block));
    let app = include_str!("../../../src/cli/print/caddy/app.caddy");
    assert!(readme.contains(&format!("```caddy\n{app}```\n")));
}

#[test]
fn the_configuration_file_in_the_readme_has_two_apps() {
    let readme = include_str!("../../../README.md");
    let blocks = readme.split("```toml\n").skip(1);
    let mut blocks = blocks.filter_map(|rest| rest.split("```").next());
    let file = blocks.find(|block| block.contains("app = [")).unwrap();
    let folder = tempdir().unwrap();
    let path = folder.path().join("bienvenue.toml");
    fs::write(&path, file).unwrap();
    let nginx = printed("nginx", &["--config", path.to_str().unwrap()]);
    let names = [
        "server_name auth.example.org;",
        "server_name wiki.example.org;",
        "server_name admin.example.net;",
    ];
    assert_eq!(lines(&nginx, "server_name"), names);
}
