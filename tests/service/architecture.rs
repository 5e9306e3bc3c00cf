//! The rooms know each other in one direction only; see the map in `src/lib.rs`.

use std::fs;
use std::path::{Path, PathBuf};

/// What everybody may know, and what knows nobody.
const WORDS: &[&str] = &[
    "clock",
    "email",
    "error_chain",
    "public_url",
    "source",
    "token",
    "user",
    "wait_budget",
];

/// The rooms that hang off `auth`.
const SIDE_ROOMS: &[&str] = &["db", "mail", "password", "throttle"];

/// Rooms, what they may not mention, and the reason.
type Rule = (
    &'static [&'static [&'static str]],
    &'static [&'static str],
    &'static str,
);

const FORBIDDEN: [Rule; 14] = [
    (
        &[
            &["app", "auth", "config", "lib", "logging", "main", "server"],
            &["mail", "password", "throttle"],
            WORDS,
        ],
        &["sqlx", "AnyPool"],
        "only `db` speaks SQL",
    ),
    (
        &[&["auth"], SIDE_ROOMS, WORDS],
        &["axum", "http", "StatusCode", "tower", "hyper"],
        "only `app` speaks HTTP",
    ),
    (
        &[&["app"]],
        &[
            "db",
            "Db",
            "mail",
            "Mailer",
            "Passwords",
            "Clock",
            "throttle",
        ],
        "`app` calls only `auth`",
    ),
    (
        &[&["auth"], SIDE_ROOMS, WORDS],
        &["app", "config", "server"],
        "arrows point down",
    ),
    (
        &[&["app"]],
        &["crate::server", "TcpListener", "TcpStream"],
        "only `server` knows sockets",
    ),
    (
        &[&["server"]],
        &[
            "Auth",
            "Db",
            "Settings",
            "crate::auth",
            "crate::config",
            "crate::db",
        ],
        "`server` serves any router",
    ),
    (&[SIDE_ROOMS, WORDS], &["auth"], "arrows point down"),
    (
        &[WORDS],
        &["db", "mail", "password", "throttle"],
        "the words know nobody",
    ),
    (
        &[&["db", "password"]],
        &["mail", "lettre", "throttle", "RateLimits"],
        "only `auth` sends mail and counts attempts",
    ),
    (
        &[&["mail"]],
        &["db", "Db", "Passwords"],
        "only `auth` asks the database",
    ),
    (
        &[&["mail"]],
        &["crate::throttle", "Throttle", "RateLimits"],
        "only `auth` counts attempts",
    ),
    (
        &[&["throttle"]],
        &[
            "crate::mail",
            "Mailer",
            "lettre",
            "crate::password",
            "Passwords",
        ],
        "it only counts",
    ),
    (
        &[&["password"]],
        &["crate::db", "Db"],
        "only `auth` asks the database",
    ),
    (
        &[&["db"]],
        &["crate::password", "Passwords", "PasswordRule"],
        "only `auth` judges passwords",
    ),
];

/// The source files of a room: `auth.rs`, and what is in the folder `auth`.
fn files_of(room: &str) -> Vec<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = vec![source.join(format!("{room}.rs"))];
    let mut folders = vec![source.join(room)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files
}

/// The words of the code, without comments and texts.
fn words_of(code: &str) -> Vec<String> {
    let mut words = Vec::new();
    for line in code.lines() {
        let line = line.split("//").next().unwrap_or_default();
        let outside_texts: Vec<&str> = line.split('"').step_by(2).collect();
        let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
        let line = outside_texts.join(" ");
        words.extend(line.split(|letter| !is_word(letter)).map(str::to_owned));
    }
    words
}

/// Whether a name or a path is among the words of some code.
fn mentions(words: &[String], name: &str) -> bool {
    let name = words_of(name);
    words.windows(name.len()).any(|some| some == name)
}

#[test]
fn arrows_point_down_only() {
    for (rooms, forbidden, reason) in FORBIDDEN {
        for file in rooms.concat().iter().flat_map(|room| files_of(room)) {
            let words = words_of(&fs::read_to_string(&file).unwrap());
            for name in forbidden {
                assert!(
                    !mentions(&words, name),
                    "{} mentions `{name}`, but {reason}",
                    file.display()
                );
            }
        }
    }
}

#[test]
fn every_room_has_its_rules() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for entry in fs::read_dir(source).unwrap() {
        let path = entry.unwrap().path();
        let room = path.file_stem().unwrap().to_str().unwrap();
        let has_rules = FORBIDDEN
            .iter()
            .any(|(rooms, _, _)| rooms.concat().contains(&room));
        assert!(
            has_rules || room == "bin",
            "no rule says whom `{room}` may know"
        );
    }
}

#[test]
fn words_leave_out_comments_and_texts() {
    let code = "use crate::db; // axum\n/// sqlx\nlet text = \"http://x\";";
    assert_eq!(
        words_of(code)
            .join(" ")
            .split_whitespace()
            .collect::<Vec<_>>(),
        ["use", "crate", "db", "let", "text"]
    );
}

#[test]
fn a_path_is_mentioned_where_it_is_written_out() {
    let words = words_of("use crate::db::Db;\nlet password = db;");
    for name in ["crate::db", "Db", "password", "db"] {
        assert!(mentions(&words, name), "{name}");
    }
    for name in ["crate::password", "crate::Db", "crate", "data"] {
        assert_eq!(mentions(&words, name), name == "crate", "{name}");
    }
}
