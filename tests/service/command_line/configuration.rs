//! The configuration file, what wins over it, and how it is printed.

use std::path::PathBuf;

use tempfile::TempDir;

use super::*;

/// A folder in which the program runs, with what it is given.
struct Setup {
    folder: TempDir,
    variables: Vec<(&'static str, String)>,
}

/// What `print config` says of one option: what is in front of the comment, and the comment.
type Line = (String, String);

impl Setup {
    /// Nothing is given but this file.
    fn with_file(file: &str) -> Self {
        let folder = tempdir().unwrap();
        fs::write(folder.path().join("bienvenue.toml"), file).unwrap();
        Self {
            folder,
            variables: vec![("BIENVENUE_CONFIG", "bienvenue.toml".to_owned())],
        }
    }

    fn variable(mut self, name: &'static str, value: &str) -> Self {
        self.variables.push((name, value.to_owned()));
        self
    }

    /// Writes a file into the folder.
    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Server::command();
        command.envs(self.variables.iter().cloned());
        command.current_dir(self.folder.path()).args(arguments);
        command.output().unwrap()
    }

    /// What `print config` prints.
    fn printed(&self, arguments: &[&str]) -> String {
        let output = self.run(&[&["print", "config"], arguments].concat());
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Its line about this option.
    fn line(&self, option: &str, arguments: &[&str]) -> Line {
        let printed = self.printed(arguments);
        let name = format!("{option} = ");
        let line = printed
            .lines()
            .find(|line| line.trim_start_matches("# ").starts_with(&name));
        let (value, origin) = line.expect(&printed).split_once("  # ").unwrap();
        (value.to_owned(), origin.to_owned())
    }

    /// What is said when it is refused with status 2.
    fn refusal(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    }
}

fn line(value: &str, origin: &str) -> Line {
    (value.to_owned(), origin.to_owned())
}

#[test]
fn an_option_wins_over_a_variable_that_over_the_file_and_that_over_the_default() {
    // The option, its variable, its default, and the value of each origin.
    for (option, variable, default, values) in [
        (
            "session-lifetime",
            "BIENVENUE_SESSION_LIFETIME",
            "session-lifetime = \"30d\"",
            ["\"21d\"", "\"22d\"", "\"23d\""],
        ),
        (
            "max-connections",
            "BIENVENUE_MAX_CONNECTIONS",
            "max-connections = 4096",
            ["1", "2", "3"],
        ),
        (
            "trusted-proxy",
            "BIENVENUE_TRUSTED_PROXY",
            "# trusted-proxy = [\"ADDRESS[/BITS]\"]",
            [
                "[\"10.0.0.1\"]",
                "[\"10.0.0.2\", \"::1\"]",
                "[\"10.0.0.3\"]",
            ],
        ),
    ] {
        let plain = |value: &str| value.replace(['[', ']', '"', ' '], "");
        for given in 0..8 {
            let [is_flag, is_variable, is_in_file] = [1, 2, 4].map(|bit| given & bit != 0);
            let file = format!("{option} = {}", values[2]);
            let mut setup = Setup::with_file(if is_in_file { &file } else { "" });
            if is_variable {
                setup = setup.variable(variable, &plain(values[1]));
            }
            let flag = format!("--{option}={}", plain(values[0]));
            let arguments = if is_flag { &[&*flag][..] } else { &[] };
            let set = |value: &str| format!("{option} = {value}");
            let (value, origin) = match (is_flag, is_variable, is_in_file) {
                (true, ..) => (set(values[0]), "command line".to_owned()),
                (_, true, _) => (set(values[1]), format!("environment variable {variable}")),
                (_, _, true) => (set(values[2]), "bienvenue.toml, line 1".to_owned()),
                _ if default.starts_with('#') => (default.to_owned(), "not set".to_owned()),
                _ => (default.to_owned(), "default".to_owned()),
            };
            assert_eq!(setup.line(option, arguments), (value, origin), "{given:b}");
        }
    }
}

#[test]
fn a_flag_of_the_file_gives_way_to_its_variable() {
    let file = "public-url = 'https://auth.example.org'\ngive-reset-tokens-to-anyone = ";
    let option = "give-reset-tokens-to-anyone";
    let variable = "BIENVENUE_GIVE_RESET_TOKENS_TO_ANYONE";
    let from_variable = format!("environment variable {variable}");
    let setup = Setup::with_file(&format!("{file}false")).variable(variable, "true");
    let expected = line(&format!("{option} = true"), &from_variable);
    assert_eq!(setup.line(option, &[]), expected);
    let setup =
        Setup::with_file(&format!("{file}true\nmail-dir = 'x'")).variable(variable, "false");
    let expected = line(&format!("{option} = false"), &from_variable);
    assert_eq!(setup.line(option, &[]), expected);
    let setup = Setup::with_file(&format!("{file}false"));
    let expected = line(&format!("{option} = true"), "command line");
    assert_eq!(
        setup.line(option, &["--give-reset-tokens-to-anyone"]),
        expected
    );
}

#[test]
fn an_option_of_the_file_gives_way_to_the_variable_of_its_alternative() {
    let public = "public-url = 'http://localhost:5000'\nmail-from = 'me@example.org'\n";
    for (in_file, variable, value) in [
        (
            "database-url-file = 'no/such'",
            "DATABASE_URL",
            "sqlite:b.db",
        ),
        ("database-url = 'sqlite:c.db'", "DATABASE_URL_FILE", "url"),
        (
            "smtp-url = 'smtp://localhost'",
            "BIENVENUE_MAIL_DIR",
            "mails",
        ),
        (
            "smtp-url-file = 'no/such'",
            "BIENVENUE_SMTP_URL",
            "smtp://localhost",
        ),
        ("mail-dir = 'mails'", "BIENVENUE_SMTP_URL_FILE", "smtp"),
    ] {
        let others = if variable.starts_with("DATABASE") {
            ""
        } else {
            public
        };
        let setup = Setup::with_file(&format!("{others}{in_file}")).variable(variable, value);
        setup.write("url", "sqlite:b.db");
        setup.write("smtp", "smtp://localhost");
        let given = variable.trim_start_matches("BIENVENUE_").to_lowercase();
        let given = given.replace('_', "-");
        let expected = line(
            &format!("{given} = \"{value}\""),
            &format!("environment variable {variable}"),
        );
        assert_eq!(setup.line(&given, &[]), expected);
        let (option, _) = in_file.split_once(" = ").unwrap();
        let (value, why) = setup.line(option, &[]);
        assert!(value.starts_with('#'), "{value}");
        assert_eq!(why, format!("{given} is given"));
    }
}

#[test]
fn what_is_printed_gives_the_same_settings_as_a_file() {
    for (file, arguments) in [
        ("", &[][..]),
        (
            "public-url = 'https://auth.example.org'\n\
             smtp-url = 'smtp://localhost:25'\n\
             mail-from = 'Example <noreply@example.org>'\n\
             trusted-proxy = ['10.0.0.0/8', '127.0.0.1']\n\
             app = ['wiki.example.org: @example.org, group:staff', '*.example.com']\n\
             session-lifetime = '7d'\n\
             log = 'info,sqlx=debug'",
            &["--site-name", "true", "--listen", "0.0.0.0:1"],
        ),
        (
            "public-url = 'https://auth.example.org'\n\
             give-reset-tokens-to-anyone = true\n\
             password-min = 'none'\n\
             database-url-file = 'url'\n\
             log-format = 'json'",
            &[
                "--site-name",
                "\\ \"é\" = '42' # \u{2028}",
                "--login-rate-per-source=7/15m",
            ],
        ),
        (
            "",
            &[
                "--site-name",
                "42",
                "--database-url",
                "postgres://me@host/db?sslmode=verify-full",
            ],
        ),
    ] {
        let values = |printed: &str| -> Vec<String> {
            let lines = printed.lines().filter(|line| !line.starts_with('#'));
            let values = lines.filter_map(|line| line.rsplit_once("  # "));
            values.map(|(value, _)| value.to_owned()).collect()
        };
        let setup = Setup::with_file(file);
        setup.write("url", "sqlite:b.db");
        let printed = setup.printed(arguments);
        assert!(values(&printed).len() > 20, "{printed}");
        setup.write("bienvenue.toml", &printed);
        let again = setup.printed(&[]);
        assert_eq!(values(&printed), values(&again));
        for (number, line) in (1..).zip(printed.lines()) {
            if let Some((value, _)) = line.rsplit_once("  # ")
                && !line.starts_with('#')
            {
                let place = format!("{value}  # bienvenue.toml, line {number}\n");
                assert!(again.contains(&place), "{place}{again}");
            }
        }
    }
}

#[test]
fn passwords_are_not_printed_and_are_left_out_of_what_is_a_file() {
    let setup = Setup::with_file("public-url = 'https://auth.example.org'")
        .variable("BIENVENUE_SMTP_URL", "smtps://me:s3cret@mail.example.org")
        .variable("BIENVENUE_MAIL_FROM", "me@example.org");
    let database = ["--database-url", "postgres://me:s3cret@host/db"];
    let expected = line(
        "# database-url = \"postgres://***@host/db\"",
        "command line; in a configuration file give database-url-file",
    );
    assert_eq!(setup.line("database-url", &database), expected);
    let expected = line(
        "# smtp-url = \"smtps://***@mail.example.org\"",
        "environment variable BIENVENUE_SMTP_URL; in a configuration file give smtp-url-file",
    );
    assert_eq!(setup.line("smtp-url", &database), expected);
    assert!(!setup.printed(&database).contains("s3cret"));
    let database = ["--database-url", "postgres://host/db?password=s3cret"];
    assert!(!setup.printed(&database).contains("s3cret"));

    let setup = Setup::with_file("database-url-file = 'url'");
    setup.write("url", "postgres://me:s3cret@host/db");
    assert!(!setup.printed(&[]).contains("s3cret"));
}

#[test]
fn every_setting_is_printed_with_the_value_that_it_comes_to() {
    let setup = Setup::with_file("");
    let help = String::from_utf8(setup.run(&["--help"]).stdout).unwrap();
    let options = help.split("\n      --").skip(1);
    let mut count = 0;
    for text in options.filter(|text| text.contains("[env: ")) {
        let name = text.split_whitespace().next().unwrap();
        if name == "config" {
            continue;
        }
        count += 1;
        let (value, origin) = setup.line(name, &[]);
        let has_default = text.contains("[default: ") || !text.contains('<');
        let expected = if has_default { "default" } else { "not set" };
        assert_eq!(origin, expected, "{value}");
        assert_eq!(value.starts_with('#'), !has_default, "{value}");
    }
    assert!(count > 30, "{count}");
    let first = setup.printed(&[]);
    assert!(
        first.contains("\n# Configuration file: bienvenue.toml\n"),
        "{first}"
    );
}

#[test]
fn print_config_refuses_what_serve_refuses_in_the_same_words() {
    for (file, said) in [
        (
            "lisen = 1",
            "bienvenue.toml, line 1: lisen is no setting; listen is\n",
        ),
        (
            "\nbcrypt-cost = 40",
            "\n--bcrypt-cost is set by bienvenue.toml, line 2\n",
        ),
        (
            "listen = '0.0.0.0:1'",
            "\n--listen is set by bienvenue.toml, line 1\n",
        ),
        (
            "database-url-file = 'no/such'",
            "cannot read no/such: No such file",
        ),
    ] {
        let setup = Setup::with_file(file);
        // What follows is which command was used, and how.
        let words = |arguments: &[&str]| {
            let refusal = setup.refusal(arguments);
            let lines = refusal.lines();
            let is_usage = |line: &str| line.is_empty() || line.contains("bienvenue ");
            let words = lines.filter(|line| !is_usage(line) && !line.contains("try '--help'"));
            words.map(|line| line.to_owned() + "\n").collect::<String>()
        };
        let of_serve = words(&["serve"]);
        assert!(of_serve.contains(said), "{of_serve}");
        assert_eq!(words(&["print", "config"]), of_serve);
        assert_eq!(words(&[]), of_serve);
        let left: Vec<_> = fs::read_dir(setup.folder.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }
}

#[test]
fn a_missing_file_is_refused_with_the_variable_that_names_it() {
    let setup = Setup::with_file("").variable("BIENVENUE_CONFIG", "no/such.toml");
    let said = setup.refusal(&[]);
    assert!(
        said.contains("--config no/such.toml cannot be read: No such file"),
        "{said}"
    );
    assert!(
        said.ends_with("--config is set by the environment variable BIENVENUE_CONFIG\n"),
        "{said}"
    );
    assert!(setup.run(&["--help"]).status.success());
    assert!(setup.run(&["print", "man"]).status.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_is_set_up_by_a_file() {
    let database = Database::sqlite();
    let setup = Setup::with_file("");
    let file = format!(
        "database-url = '{}'\nlisten = '127.0.0.1:0'\nbcrypt-cost = 5\n\
         trusted-proxy = ['192.0.2.1', '127.0.0.1']\nsign-up-rate-per-source = '1/h'",
        database.url
    );
    let file = setup.write("service.toml", &file);
    let mut command = Server::command();
    command.arg("--config").arg(file);
    let server = Server::spawn(command);
    server.registered("bob@example.org", "b4l0u").await;
    for (client, status) in [("192.0.2.7", 400), ("192.0.2.8", 400), ("192.0.2.7", 429)] {
        let form = [("email", "bob@example.org"), ("password", "b4l0u")];
        let call = server
            .post("/users", &form)
            .header("x-forwarded-for", client);
        assert_eq!(call.send().await.status, status, "{client}");
    }
    let hash = database
        .look_inside()
        .await
        .hash_of("bob@example.org")
        .await;
    assert!(hash.starts_with("$2b$05$"), "{hash}");
    let (_, log) = server.stop();
    assert!(!log.contains("is no setting"), "{log}");
}

#[test]
fn a_relative_name_of_a_secret_file_may_be_that_of_a_credential() {
    let mails = "public-url = 'https://auth.example.org'\nmail-from = 'me@example.org'\n";
    let in_file = format!("{mails}smtp-url-file = 'smtp-url'");
    let flag = ["--smtp-url-file", "smtp-url"];
    for (file, variable, arguments) in [
        (&*in_file, None, &[][..]),
        (mails, Some("BIENVENUE_SMTP_URL_FILE"), &[]),
        (mails, None, &flag),
    ] {
        let mut setup = Setup::with_file(file);
        let credential = setup.write(
            "credentials/smtp-url",
            "smtps://me:s3cret@mail.example.org\n",
        );
        let credentials = credential.parent().unwrap().display().to_string();
        if let Some(variable) = variable {
            setup = setup.variable(variable, "smtp-url");
        }
        let arguments = [&["print", "config"], arguments].concat();
        let said = setup.refusal(&arguments);
        assert!(
            said.contains("cannot read smtp-url: No such file"),
            "{said}"
        );

        setup = setup.variable("CREDENTIALS_DIRECTORY", &credentials);
        assert!(setup.run(&arguments).status.success());
        // It wins over another file of that name.
        let other = setup.write("smtp-url", "no URL");
        assert!(setup.run(&arguments).status.success());

        fs::write(&credential, "ftp://me:s3cret@host").unwrap();
        let said = setup.refusal(&arguments);
        let told = format!("in {}: give smtps://", credential.display());
        assert!(said.contains(&told) && !said.contains("s3cret"), "{said}");

        fs::remove_file(&credential).unwrap();
        let said = setup.refusal(&arguments);
        assert!(said.contains("in smtp-url: give smtps://"), "{said}");
        fs::remove_file(&other).unwrap();
        let said = setup.refusal(&arguments);
        let told = format!(
            "cannot read smtp-url, nor is there {}: No such",
            credential.display()
        );
        assert!(said.contains(&told), "{said}");
    }
    let setup = Setup::with_file("").variable("CREDENTIALS_DIRECTORY", "/nowhere");
    let url = setup.write("url", "sqlite:b.db");
    let absolute = [
        "print",
        "config",
        "--database-url-file",
        url.to_str().unwrap(),
    ];
    assert!(setup.run(&absolute).status.success());
}
