//! What a configuration file gives, and how it is refused.

use std::fs;

use proptest::prelude::*;

use super::*;

/// What these arguments come to with this as the configuration file, or what is said against it: the first
/// line, and where options come from.
fn read_with(file: &[u8], arguments: &[&str]) -> Result<Request, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bienvenue.toml");
    fs::write(&path, file).unwrap();
    let arguments = [&["bienvenue"], arguments].concat();
    let arguments: Vec<OsString> = arguments.into_iter().map(OsString::from).collect();
    read(&arguments, &path).map_err(|refusal| {
        let text = refusal.error.to_string();
        let said = text.lines().next().unwrap();
        let lines = [said.strip_prefix("error: ").unwrap().to_owned()];
        let said = [&lines[..], &refusal.sources].concat().join("\n");
        let place = format!("{}/", folder.path().display());
        said.replace(&place, "")
    })
}

fn options_of(file: &str, arguments: &[&str]) -> ServeOptions {
    match read_with(file.as_bytes(), arguments).unwrap().command {
        Command::Serve(options) => *options,
        command => panic!("{command:?}"),
    }
}

fn refusal_of(file: &str) -> String {
    read_with(file.as_bytes(), &[]).err().expect(file)
}

#[test]
fn a_file_gives_options_of_each_kind() {
    let file = "\
        # For the world.\n\
        public-url = 'https://auth.example.org'\n\
        give-reset-tokens-to-anyone = true\n\
        trusted-proxy = [\"10.0.0.0/8\", \"127.0.0.1\"]\n\
        bcrypt-cost = 5\n\
        login-rate-per-account = \"7/15m\"\n\
        site-name = \"-x = \\\"é\\\"\"\n";
    for arguments in [&[][..], &["serve"]] {
        let options = options_of(file, arguments);
        let settings = options.settings();
        assert_eq!(
            settings.public_url.unwrap().origin(),
            "https://auth.example.org"
        );
        assert!(options.exposure.give_reset_tokens_to_anyone);
        assert_eq!(settings.trusted_proxies.len(), 2);
        assert_eq!(options.accounts.bcrypt_cost.to_string(), "5");
        assert_eq!(settings.brand.site_name.as_str(), "-x = \"é\"");
        let expected = RateLimits {
            logins_per_account: "7/15m".parse().unwrap(),
            ..RateLimits::public()
        };
        assert_eq!(options.limits(), expected);
    }
}

#[test]
fn one_string_stands_for_a_list_and_an_empty_list_for_none() {
    for (list, count) in [
        ("\"10.0.0.0/8\"", 1),
        ("\"10.0.0.0/8,127.0.0.1\"", 2),
        ("[]", 0),
    ] {
        let options = options_of(&format!("trusted-proxy = {list}"), &[]);
        assert_eq!(options.settings().trusted_proxies.len(), count, "{list}");
    }
}

#[test]
fn a_flag_that_is_false_is_not_given() {
    let options = options_of("give-reset-tokens-to-anyone = false", &[]);
    assert!(!options.exposure.give_reset_tokens_to_anyone);
}

#[test]
fn the_command_line_wins_over_the_file() {
    let file = "listen = '127.0.0.1:1'\ntrusted-proxy = ['10.0.0.1']\nlog = 'no level'";
    let arguments = [
        "--listen=127.0.0.1:2",
        "--trusted-proxy",
        "10.0.0.2",
        "--log",
        "warn",
    ];
    let options = options_of(file, &arguments);
    assert_eq!(options.listen, "127.0.0.1:2".parse().unwrap());
    let proxies = options.settings().trusted_proxies;
    assert_eq!(proxies, ["10.0.0.2".parse().unwrap()]);
}

#[test]
fn the_command_line_wins_over_the_alternative_of_its_option_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let url = folder.path().join("url");
    fs::write(&url, "sqlite:other.db").unwrap();
    let url = url.display();
    let file = format!("database-url-file = '{url}'");
    let options = options_of(&file, &["--database-url", "sqlite:b.db"]);
    assert_eq!(options.database.url().to_string(), "sqlite:b.db");
    let url = url.to_string();
    let options = options_of(
        "database-url = 'sqlite:b.db'",
        &["--database-url-file", &url],
    );
    assert_eq!(options.database.url().to_string(), "sqlite:other.db");

    let public = [
        "--public-url",
        "http://localhost:5000",
        "--mail-dir",
        "mails",
    ];
    for alternative in ["smtp-url = 'smtp://localhost'", "smtp-url-file = 'no/such'"] {
        let options = options_of(alternative, &public);
        let (transport, _) = options.mail.transport().unwrap();
        assert!(
            matches!(transport, MailTransport::Folder(_)),
            "{alternative}"
        );
    }
}

#[test]
fn alternatives_in_the_file_are_refused_with_the_place_of_each() {
    assert_eq!(
        refusal_of("smtp-url = 'smtp://localhost'\n\nmail-dir = 'mails'"),
        "the argument '--smtp-url <URL>' cannot be used with '--mail-dir <FOLDER>'\n\
         --smtp-url is set by bienvenue.toml, line 1\n\
         --mail-dir is set by bienvenue.toml, line 3"
    );
}

#[test]
fn a_bad_value_is_refused_in_the_words_of_the_command_line_and_with_its_place() {
    let proxies = "trusted-proxy = [\n  '10.0.0.1',\n  'localhost',\n]";
    for (file, option, line) in [
        ("bcrypt-cost = 40", "--bcrypt-cost=40", 1),
        ("\n\nlisten = '5000'", "--listen=5000", 3),
        ("log = ''", "--log=", 1),
        ("log-format = \"xml\"", "--log-format=xml", 1),
        (
            "database-url = 'mysql://h/d'",
            "--database-url=mysql://h/d",
            1,
        ),
        ("smtp-url-file = 'no/such'", "--smtp-url-file=no/such", 1),
        (proxies, "--trusted-proxy=localhost", 1),
        ("listen = '0.0.0.0:80'", "--listen=0.0.0.0:80", 1),
        ("mail-dir = 'mails'", "--mail-dir=mails", 1),
    ] {
        let (name, _) = option.split_once('=').unwrap();
        let told = read_with(b"", &[option]).err().expect(option);
        let source = format!("\n{name} is set by bienvenue.toml, line {line}");
        let source = if told.contains(name) { &source } else { "" };
        assert_eq!(refusal_of(file), told + source);
    }
}

#[test]
fn what_is_no_list_of_settings_is_refused_with_the_line_and_what_would_be_right() {
    for (file, said) in [
        ("lisen = 1", "line 1: lisen is no setting; listen is"),
        (
            "listen = '[::1]:1'\n\"public_url\" = ''",
            "line 2: public_url is no setting; public-url is",
        ),
        (
            "\nDATABASE_URL = ''",
            "line 2: DATABASE_URL is no setting; database-url is",
        ),
        (
            "BIENVENUE_LOG = ''",
            "line 1: BIENVENUE_LOG is no setting; log is",
        ),
        ("config = 'x'", "line 1: config is no setting"),
        ("help = true", "line 1: help is no setting"),
        ("coffee-machine = 1", "line 1: coffee-machine is no setting"),
        ("\"a\\nb\" = 1", "line 1: a\u{fffd}b is no setting"),
        (
            "log = 'info'\r\n\r\nlog = 'warn'\r\n",
            "line 3: log is already there, on line 1",
        ),
        (
            "log = true",
            "line 1: log takes a string or a whole number, not true or false",
        ),
        (
            "notify-logins = true",
            "line 1: notify-logins takes a string or a whole number, such as \"on\" or \"off\" in quotes, not \
             true or false",
        ),
        (
            "login-rate-per-source = false",
            "line 1: login-rate-per-source takes a string or a whole number, such as \"off\" in quotes, not \
             true or false",
        ),
        (
            "password-min = false",
            "line 1: password-min takes a string or a whole number, such as \"none\" in quotes, not true or \
             false",
        ),
        (
            "sign-up = true",
            "line 1: sign-up takes \"verified\", \"unverified\" or \"closed\" in quotes, not true or false",
        ),
        (
            "log-format = false",
            "line 1: log-format takes \"text\" or \"json\" in quotes, not true or false",
        ),
        (
            "bcrypt-cost = 12.5",
            "line 1: bcrypt-cost takes a string or a whole number, not a number with a fraction",
        ),
        (
            "log = ['info']",
            "line 1: log takes a string or a whole number, not a list",
        ),
        (
            "trusted-proxy = [['10.0.0.1']]",
            "line 1: trusted-proxy takes a string, or a list of strings, not a list",
        ),
        (
            "trusted-proxy = false",
            "line 1: trusted-proxy takes a string, or a list of strings, not true or false",
        ),
        (
            "give-reset-tokens-to-anyone = 'yes'",
            "line 1: give-reset-tokens-to-anyone takes true or false, not a string",
        ),
        (
            "[mail]\nsmtp-url = 'smtp://localhost'",
            "line 1: mail is a table: options stand in no table, but each on a line of its own, such as \
             listen = \"127.0.0.1:5000\"",
        ),
        (
            "log.format = 'json'",
            "line 1: log is a table: options stand in no table, but each on a line of its own, such as \
             listen = \"127.0.0.1:5000\"",
        ),
        (
            "log = 'info'\nlisten = localhost:5000",
            "line 2: not TOML: invalid TOML value, did you mean to use a quoted string?",
        ),
        ("log = 'info", "line 1: not TOML: unterminated string"),
        ("log", "line 1: not TOML: expected an equals, found eof"),
    ] {
        assert_eq!(
            refusal_of(file),
            format!("bienvenue.toml, {said}"),
            "{file}"
        );
    }
    let not_utf8 = read_with(b"log = 'info'\nsite-name = '\xe9'\n", &[]);
    let said = "bienvenue.toml, line 2: not UTF-8";
    assert_eq!(not_utf8.err().as_deref(), Some(said));
}

#[test]
fn of_several_faults_the_first_is_named() {
    assert_eq!(
        refusal_of("site-nam = 'x'\nbrand-colr = 'y'"),
        "bienvenue.toml, line 1: site-nam is no setting; site-name is"
    );
}

#[test]
fn passwords_are_refused_in_the_file_and_not_repeated() {
    for (file, option) in [
        (
            "database-url = 'postgres://me:s3cret@host/db'",
            "database-url",
        ),
        (
            "database-url = 'postgres://host/db?password=s3cret'",
            "database-url",
        ),
        (
            "database-url = 'postgres://host/db?p%61ssword=s3cret'",
            "database-url",
        ),
        ("smtp-url = 'smtps://me:s3cret@host'", "smtp-url"),
    ] {
        let told = format!(
            "bienvenue.toml, line 1: {option} has a password, which does not belong here: put the URL \
             into a file that only its owner can read, and give the name of that by {option}-file"
        );
        assert_eq!(refusal_of(file), told);
    }
    for file in [
        "database-url = postgres://me:s3cret@host/db",
        "database-url = 'postgres://me:s3cret@host/db",
        "database-url = 'mysql://me:s3cret@host/db'",
        "database-url = 'postgres://me:s3cret@ho st/db'",
        "database-url = ['postgres://me:s3cret@host/db']",
        "smtp-url = 'smtps://s3cret@host'",
        "log-format = 'smtps://me:s3cret@host'",
        "'postgres://me:s3cret@host/db' = 1",
    ] {
        let said = refusal_of(file);
        assert!(!said.contains("s3cret"), "{said}");
    }
    let options = options_of("database-url = 'postgres://me@host/db'", &[]);
    assert_eq!(options.database.url().to_string(), "postgres://me@host/db");
}

#[test]
fn a_file_that_is_named_must_be_there() {
    let said = |arguments: &[&str]| read_with(b"", arguments).err();
    assert_eq!(
        said(&["--config", "no/such.toml"]).unwrap(),
        "--config no/such.toml cannot be read: No such file or directory (os error 2)"
    );
    assert_eq!(
        said(&["--config", "src"]).unwrap(),
        "--config src cannot be read: Is a directory (os error 21)"
    );
    let endless = said(&["--config=/dev/zero"]).unwrap();
    assert!(endless.contains("more than 262144 bytes"), "{endless}");
    let secret = said(&["--config", "postgres://me:s3cret@host/db"]).unwrap();
    assert!(!secret.contains("s3cret"), "{secret}");
}

#[test]
fn a_file_that_is_named_is_read_instead_of_the_usual_one() {
    let folder = tempfile::tempdir().unwrap();
    let named = folder.path().join("named.toml");
    fs::write(&named, "listen = '127.0.0.1:1'").unwrap();
    let arguments = ["--config", named.to_str().unwrap()];
    let options = options_of("no file of options", &arguments);
    assert_eq!(options.listen, "127.0.0.1:1".parse().unwrap());
}

#[test]
fn help_and_what_needs_no_settings_do_not_read_the_file() {
    let wrong = b"no file of options";
    assert!(read_with(wrong, &["print", "man"]).is_ok());
    let arguments: [OsString; 2] = ["bienvenue".into(), "--help".into()];
    let help = read(&arguments, Path::new("Cargo.toml")).err().unwrap();
    assert_eq!(help.error.kind(), ErrorKind::DisplayHelp);
    let unknown = read_with(wrong, &["srve"]).err().unwrap();
    assert!(unknown.contains("'srve'"), "{unknown}");
}

#[test]
fn every_command_that_has_settings_takes_a_configuration_file() {
    fn check(command: &clap::Command) {
        let has = |name: &str| {
            command
                .get_arguments()
                .any(|option| option.get_id() == name)
        };
        let settings = options::setting::of_command(command).count();
        assert_eq!(has("config"), settings > 0, "{}", command.get_name());
        command.get_subcommands().for_each(check);
    }
    check(&command());
}

#[test]
fn a_tower_of_brackets_is_refused() {
    for tower in ["[", "{a=", "[[", "a."] {
        let file = format!("log = {}", tower.repeat(60_000));
        assert!(read_with(file.as_bytes(), &[]).is_err(), "{tower}");
        let file = tower.repeat(60_000);
        assert!(read_with(file.as_bytes(), &[]).is_err(), "{tower}");
    }
}

proptest! {
    #[test]
    fn no_file_makes_it_panic(
        bytes in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..100),
            "([a-z-]{1,8}|log|trusted-proxy|['\"]{1,3}|[\\[\\]{}=.,#\\\\uxe_+0-9 \n\r\t-]|\\PC){0,60}"
                .prop_map(String::into_bytes),
            "(log|listen|trusted-proxy|database-url) = ('\\PC{0,20}'|\"[ -~]{0,20}\"|[0-9eE+._:-]{1,9})\n"
                .prop_map(String::into_bytes),
        ]
    ) {
        let _ = read_with(&bytes, &["print", "config"]);
    }
}
