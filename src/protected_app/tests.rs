use super::*;

fn apps(texts: &[&str]) -> Result<ProtectedApps, InvalidProtectedApps> {
    let apps = texts.iter().map(|text| text.parse().unwrap());
    ProtectedApps::new(apps.collect(), "https://auth.example.org".parse().unwrap())
}

fn host(text: &str) -> Option<AppHost> {
    AppHost::of_request(text, true)
}

fn groups(names: &[&str]) -> GroupList {
    let names = names.iter().map(|name| name.parse().unwrap());
    GroupList::with_everyone(names.collect())
}

#[test]
fn a_host_has_one_spelling() {
    for (text, spelled) in [
        ("wiki.example.org", "wiki.example.org"),
        ("WIKI.Example.ORG", "wiki.example.org"),
        ("wiki.example.org:443", "wiki.example.org"),
        ("wiki.example.org:80", "wiki.example.org:80"),
        ("wiki.example.org:0443", "wiki.example.org"),
        ("localhost:8080", "localhost:8080"),
        ("127.0.0.1:8080", "127.0.0.1:8080"),
        ("xn--caf-dma.example", "xn--caf-dma.example"),
        ("my_app", "my_app"),
    ] {
        let host = host(text).unwrap();
        assert_eq!(host.as_str(), spelled);
        assert_eq!(AppHost::from_stored(spelled), Some(host));
    }
    let over_http = AppHost::of_request("wiki.example.org:80", false);
    assert_eq!(over_http.unwrap().as_str(), "wiki.example.org");
}

#[test]
fn what_could_be_read_in_two_ways_is_no_host() {
    let long = "x".repeat(64);
    let longer = format!("{}org", "x.".repeat(126));
    for text in [
        "",
        ".",
        "wiki.example.org.",
        ".example.org",
        "a..b",
        "a b",
        "a,b",
        "a@b",
        "a/b",
        "a?b",
        "a#b",
        "a\\b",
        "a:",
        "a:b",
        "a:0",
        "a:+1",
        "a:65536",
        "a:80:80",
        ":80",
        "*.example.org",
        "[::1]",
        "caf\u{E9}",
        "a\n",
        "%61",
        "\"<>",
        &long,
        &longer,
    ] {
        assert_eq!(host(text), None, "{text:?}");
    }
    for text in ["WIKI.example.org", "a:080", "a."] {
        assert_eq!(AppHost::from_stored(text), None, "{text:?}");
    }
}

#[test]
fn an_app_is_a_host_and_who_may_use_it() {
    let (bob, eve) = (
        "bob@example.org".parse().unwrap(),
        "eve@example.com".parse().unwrap(),
    );
    for (text, allows_bob, allows_eve) in [
        ("wiki.example.org", true, true),
        ("wiki.example.org:8443", true, true),
        ("*.example.org", true, true),
        ("wiki.example.org: bob@example.org", true, false),
        ("wiki.example.org:bob@example.org", true, false),
        (
            "wiki.example.org:8443:Eve@Example.com , @example.net",
            false,
            true,
        ),
        (" wiki.example.org : @example.com", false, true),
        ("wiki.example.org: group: staff", false, true),
        ("wiki.example.org: group:users", true, true),
        ("wiki.example.org: 7@example.org", false, false),
        ("wiki.example.org:7@example.org", false, false),
    ] {
        let app: ProtectedApp = text.trim().parse().unwrap();
        assert_eq!(app.allows(&bob, &groups(&[])), allows_bob, "{text}");
        assert_eq!(app.allows(&eve, &groups(&["staff"])), allows_eve, "{text}");
    }
}

#[test]
fn everything_else_is_refused_with_the_reason() {
    use InvalidProtectedApp::{
        Dot, Host, Ipv6, Item, Nobody, Port, Separator, Star, StarInRule, Url,
    };
    for (text, reason) in [
        ("", Host),
        (": bob@example.org", Host),
        ("wiki.example.org:0", Port),
        ("wiki.example.org:65536", Port),
        ("wiki.example.org:99999: group:staff", Port),
        ("bob@example.org", Host),
        ("@example.org", Host),
        ("wiki/ example", Url),
        ("wiki example", Separator),
        ("wiki.example.org bob@example.org", Separator),
        ("wiki.example.org @example.org, group:staff", Separator),
        ("wiki.example.org,bob@example.org", Separator),
        ("*.example.org\t@example.org", Separator),
        ("a.example.org,b.example.org", Separator),
        ("a.example.org, b.example.org: group:staff", Separator),
        ("a.example.org b.example.org:8443", Separator),
        ("caf\u{E9}.example", Host),
        ("[::1]", Ipv6),
        ("[::1]:8080: group:staff", Ipv6),
        ("::1", Ipv6),
        ("https://[::1]:8080", Ipv6),
        ("https://wiki.example.org", Url),
        ("wiki.example.org/page", Url),
        ("wiki.example.org.", Dot),
        ("*.example.org.", Dot),
        ("wiki.example.org.:8443", Dot),
        ("*", Star),
        ("*.org", Star),
        ("*.*.example.org", Star),
        ("w*.example.org", Star),
        ("a.*.example.org", Star),
        ("wiki.example.org:", Nobody),
        ("wiki.example.org: ", Nobody),
        ("wiki.example.org:8443:", Nobody),
        ("wiki.example.org: ,", Item),
        ("wiki.example.org: bob@example.org,", Item),
        ("wiki.example.org: bob", Item),
        ("wiki.example.org: staff", Item),
        ("wiki.example.org: group:", Item),
        ("wiki.example.org: group:Staff", Item),
        ("wiki.example.org: @", Item),
        ("wiki.example.org: @a@b", Item),
        ("wiki.example.org: a@b@c", Item),
        ("wiki.example.org: *", StarInRule),
        ("wiki.example.org: *@example.com", StarInRule),
        ("wiki.example.org: bob@example.org, *@*", StarInRule),
        ("wiki.example.org: @*.example.com", StarInRule),
        ("wiki.example.org: group:*", StarInRule),
        ("wiki.example.org: bob@example.org group:staff", Item),
    ] {
        assert_eq!(text.parse::<ProtectedApp>(), Err(reason), "{text:?}");
    }
}

#[test]
fn the_app_of_a_host_is_the_one_that_names_it_or_else_the_one_with_its_parent() {
    let apps = apps(&[
        "*.example.org: group:all",
        "wiki.example.org: group:wiki",
        "a.b.example.org:8443",
    ]);
    let apps = apps.unwrap();
    let group_of = |text: &str| {
        let app = apps.find(&host(text).unwrap())?;
        let bob = "bob@example.org".parse().unwrap();
        let names = ["all", "wiki"];
        Some(names.map(|name| app.allows(&bob, &groups(&[name]))))
    };
    for (text, allowed) in [
        ("wiki.example.org", Some([false, true])),
        ("other.example.org", Some([true, false])),
        ("a.b.example.org:8443", Some([true, true])),
        ("a.b.example.org", None),
        ("example.org", None),
        ("other.example.org:8443", None),
        ("wiki.example.org.evil.example", None),
        ("evilexample.org", None),
        // The service's own is not taken in with others.
        ("auth.example.org", None),
    ] {
        assert_eq!(group_of(text), allowed, "{text}");
    }
    let origins: Vec<String> = apps.other_origins().collect();
    let expected = ["*.example.org", "wiki.example.org", "a.b.example.org:8443"];
    assert_eq!(origins, expected.map(|host| format!("https://{host}")));
}

#[test]
fn an_app_that_is_given_twice_or_would_be_reached_in_the_open_is_refused() {
    let twice = apps(&["wiki.example.org", "WIKI.example.org:443: @example.org"]);
    assert_eq!(
        twice.unwrap_err(),
        InvalidProtectedApps::Twice("wiki.example.org".to_owned())
    );
    for (text, is_home) in [
        ("localhost:8080", true),
        ("wiki.localhost", true),
        ("*.localhost", true),
        ("127.0.0.1:8080", true),
        ("wiki.example.org", false),
        ("localhost.example.org", false),
        ("notlocalhost", false),
        ("192.168.0.1", false),
    ] {
        let app = vec![text.parse().unwrap()];
        let apps = ProtectedApps::new(app, "http://localhost:5000".parse().unwrap());
        assert_eq!(apps.is_ok(), is_home, "{text}");
    }
}
