//! The rooms, and the files of a room, know each other in one direction only; see the map in
//! `src/lib.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms, each with those that it may import. The words are below all of them.
const ROOMS: &[(&str, &[&str])] = &[
    ("main", &["cli"]),
    (
        "cli",
        &[
            "server",
            "app",
            "operations",
            "auth",
            "db",
            "password",
            "mail",
        ],
    ),
    // Of `app` only how long a body may be, and who is a trusted proxy.
    ("server", &["app"]),
    // Of `password` and `mail` only what a field may be.
    ("app", &["auth", "password"]),
    ("operations", &["auth"]),
    ("auth", &["db", "password", "mail"]),
    ("db", &[]),
    ("password", &[]),
    ("mail", &[]),
];

/// What all rooms share. Each may import those before it.
const WORDS: &[&str] = &[
    "language",
    "error_chain",
    "clock",
    "rfc3339",
    "email",
    "token",
    "source",
    "client",
    "public_url",
    "user",
    "protected_app",
    "wait_budget",
    "metrics",
];

/// Libraries that one room alone uses, and the rooms that may.
const LIBRARIES: &[(&str, &[&str])] = &[
    ("sqlx", &["db"]),
    ("axum", &["app", "operations", "server"]),
    ("axum_extra", &["app"]),
    ("tower", &["app", "server"]),
    ("tower_http", &["app"]),
    ("hyper", &["app", "server"]),
    ("hyper_util", &["server"]),
    ("maud", &["app", "mail"]),
    ("clap", &["cli"]),
    ("csv_core", &["cli"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli"]),
    ("toml_span", &["cli"]),
    ("listenfd", &["server"]),
    ("sd_notify", &["cli"]),
    ("lettre", &["mail"]),
    ("nix", &["cli", "db"]),
    ("bcrypt", &["password"]),
    ("argon2", &["password"]),
    ("pbkdf2", &["password"]),
    ("scrypt", &["password"]),
    ("prometheus_client", &["operations"]),
];

/// A path that a file mentions.
struct Mention {
    line: usize,
    text: String,
    path: Vec<String>,
}

/// The modules of the library: the path of each, such as `db::users`, with its file.
fn modules() -> BTreeMap<Vec<String>, PathBuf> {
    fn add(folder: &Path, module: &[String], modules: &mut BTreeMap<Vec<String>, PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let inner = [module, &[name]].concat();
            if path.is_dir() {
                add(&path, &inner, modules);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                modules.insert(inner, path);
            }
        }
    }
    let mut modules = BTreeMap::new();
    add(&source(), &[], &mut modules);
    modules.retain(|module, _| module[0] != "lib" && module[0] != "bin" && !is_test(module));
    modules
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn is_test(module: &[String]) -> bool {
    module.iter().any(|name| name == "tests")
}

/// The code of a file, line by line, without comments, texts and unit tests.
fn code_of(text: &str) -> Vec<String> {
    let text = text
        .split("#[cfg(test)]\nmod tests")
        .next()
        .unwrap_or_default();
    let without_comment = |line: &str| {
        let line = line.split("//").next().unwrap_or_default();
        let outside_texts: Vec<&str> = line.split('"').step_by(2).collect();
        outside_texts.join("\"\"")
    };
    text.lines().map(without_comment).collect()
}

/// Takes `{a, b::{c, d}}` apart into the paths in it.
fn expand(tree: &str) -> Vec<String> {
    let Some(open) = tree.find('{') else {
        return vec![
            tree.split(" as ")
                .next()
                .unwrap_or_default()
                .trim()
                .to_owned(),
        ];
    };
    let prefix = &tree[..open];
    let inner = &tree[open + 1..tree.rfind('}').unwrap_or(tree.len())];
    let (mut depth, mut start, mut paths) = (0, 0, Vec::new());
    for (index, letter) in inner.char_indices().chain([(inner.len(), ',')]) {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                let branch = inner[start..index].trim();
                if !branch.is_empty() {
                    paths.extend(expand(branch).iter().map(|path| format!("{prefix}{path}")));
                }
                start = index + 1;
            }
            _ => {}
        }
    }
    paths
}

/// Every path that a file imports or writes out, and its own re-exports apart.
fn mentions(text: &str) -> (Vec<Mention>, Vec<Vec<String>>) {
    let code = code_of(text);
    let (mut mentions, mut exports) = (Vec::new(), Vec::new());
    let path_of = |text: &str| {
        text.split("::")
            .map(|part| part.trim().to_owned())
            .collect()
    };
    let mut lines = code.iter().enumerate();
    while let Some((number, line)) = lines.next() {
        let start = line.trim_start();
        let is_export = start.starts_with("pub use ") || start.starts_with("pub(super) use ");
        if let Some(rest) = start.strip_prefix("use ").or_else(|| {
            let after = start.split_once("use ")?.1;
            is_export.then_some(after)
        }) {
            let mut tree = rest.to_owned();
            while !tree.contains(';') {
                tree += lines.next().map_or(";", |(_, line)| line.trim());
            }
            for path in expand(tree.split(';').next().unwrap_or_default()) {
                if is_export {
                    exports.push(path_of(&path));
                } else {
                    let line = number + 1;
                    let text = format!("use {path};");
                    mentions.push(Mention {
                        line,
                        text,
                        path: path_of(&path),
                    });
                }
            }
            continue;
        }
        let is_path = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == ':';
        for word in line
            .split(|letter| !is_path(letter))
            .filter(|word| word.contains("::"))
        {
            let mention = Mention {
                line: number + 1,
                text: line.trim().to_owned(),
                path: path_of(word),
            };
            mentions.push(mention);
        }
    }
    (mentions, exports)
}

/// The whole library: what each module imports from each other, with the line.
struct Library {
    modules: BTreeMap<Vec<String>, PathBuf>,
    exports: BTreeMap<Vec<String>, Vec<Vec<String>>>,
    mentions: BTreeMap<Vec<String>, Vec<Mention>>,
}

impl Library {
    fn read() -> Self {
        let modules = modules();
        let (mut exports, mut all) = (BTreeMap::new(), BTreeMap::new());
        for (module, file) in &modules {
            let (mentions, own) = mentions(&fs::read_to_string(file).unwrap());
            exports.insert(module.clone(), own);
            all.insert(module.clone(), mentions);
        }
        Self {
            modules,
            exports,
            mentions: all,
        }
    }

    /// The module of the library that a path leads to from another one, through re-exports; `None` for
    /// what is not in the library.
    fn resolve(&self, from: &[String], path: &[String]) -> Option<Vec<String>> {
        let (mut at, mut rest) = match path.first()?.as_str() {
            "crate" => (Vec::new(), &path[1..]),
            "self" => (from.to_vec(), &path[1..]),
            "super" => (from[..from.len() - 1].to_vec(), &path[1..]),
            _ => (from.to_vec(), path),
        };
        while rest.first().is_some_and(|part| part == "super") {
            at.pop();
            rest = &rest[1..];
        }
        let is_relative = !["crate", "self", "super"].contains(&path[0].as_str());
        let start = at.len();
        while let Some(part) = rest.first() {
            let inner = [&at[..], std::slice::from_ref(part)].concat();
            if self.modules.contains_key(&inner) || self.is_folder(&inner) {
                at = inner;
                rest = &rest[1..];
            } else {
                break;
            }
        }
        if is_relative && at.len() == start {
            return None;
        }
        if let (Some(item), Some(exports)) = (rest.first(), self.exports.get(&at)) {
            let export = exports.iter().find(|export| export.last() == Some(item));
            if let Some(target) = export.and_then(|export| self.resolve(&at, export)) {
                return Some(target);
            }
        }
        self.modules.contains_key(&at).then_some(at)
    }

    fn is_folder(&self, module: &[String]) -> bool {
        self.modules.keys().any(|other| other.starts_with(module))
    }

    /// Each import of one module by another: from, to, where.
    fn imports(&self) -> Vec<(Vec<String>, Vec<String>, String)> {
        let mut imports = Vec::new();
        for (from, mentions) in &self.mentions {
            for Mention { line, text, path } in mentions {
                if let Some(to) = self.resolve(from, path)
                    && to != *from
                {
                    let file = self.modules[from].strip_prefix(source()).unwrap().display();
                    imports.push((from.clone(), to, format!("src/{file}:{line}: {text}")));
                }
            }
        }
        imports
    }
}

#[test]
fn a_room_imports_only_those_below_it() {
    for (from, to, place) in Library::read().imports() {
        let (from, to) = (&*from[0], &*to[0]);
        let position = |word: &str| WORDS.iter().position(|other| *other == word);
        let is_allowed = match (position(from), position(to)) {
            (_, _) if from == to => true,
            (Some(from), Some(to)) => to < from,
            (Some(_), None) => false,
            (None, Some(_)) => true,
            (None, None) => {
                let room = ROOMS.iter().find(|(room, _)| *room == from);
                let (_, below) =
                    room.unwrap_or_else(|| panic!("no rule says whom `{from}` may import"));
                below.contains(&to)
            }
        };
        assert!(is_allowed, "`{from}` must not import `{to}`:\n{place}");
    }
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let imports = Library::read().imports();
    let mut open: BTreeMap<&[String], BTreeSet<&[String]>> = BTreeMap::new();
    for (from, to, _) in &imports {
        open.entry(from).or_default().insert(to);
        open.entry(to).or_default();
    }
    // Files that import none of the others are on no circle, and so on with those that are left.
    loop {
        let done: Vec<&[String]> = open
            .iter()
            .filter(|(_, below)| below.is_empty())
            .map(|(module, _)| *module)
            .collect();
        if done.is_empty() {
            break;
        }
        for module in done {
            open.remove(module);
            for below in open.values_mut() {
                below.remove(module);
            }
        }
    }
    // Nor are those that none of the others imports.
    loop {
        let imported: BTreeSet<&[String]> = open.values().flatten().copied().collect();
        let before = open.len();
        open.retain(|module, _| imported.contains(module));
        if open.len() == before {
            break;
        }
    }
    let on_circle = |module: &[String]| open.contains_key(module);
    let places: Vec<&str> = imports
        .iter()
        .filter(|(from, to, _)| on_circle(from) && on_circle(to))
        .map(|(_, _, place)| &**place)
        .collect();
    assert!(
        places.is_empty(),
        "files import each other in a circle:\n{}",
        places.join("\n")
    );
}

#[test]
fn a_library_is_used_by_the_room_that_it_is_for() {
    let library = Library::read();
    for (module, mentions) in &library.mentions {
        for Mention { line, text, path } in mentions {
            let rule = LIBRARIES.iter().find(|(library, _)| *library == path[0]);
            let is_allowed = rule.is_none_or(|(_, rooms)| rooms.contains(&&*module[0]));
            let file = library.modules[module]
                .strip_prefix(source())
                .unwrap()
                .display();
            assert!(
                is_allowed,
                "only {:?} uses this:\nsrc/{file}:{line}: {text}",
                rule.unwrap().1
            );
        }
    }
}

#[test]
fn only_the_server_and_what_connects_to_mail_servers_know_sockets() {
    for (module, file) in modules() {
        if module == ["mail", "connection"] {
            continue;
        }
        let code = code_of(&fs::read_to_string(file).unwrap()).join("\n");
        for name in ["TcpListener", "TcpStream", "UnixListener", "UnixStream"] {
            assert!(
                module[0] == "server" || !code.contains(name),
                "{module:?}: {name}"
            );
        }
    }
}

#[test]
fn every_file_can_be_held_in_mind() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/service");
    let mut folders = vec![source(), tests];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let lines = fs::read_to_string(&path).unwrap().lines().count();
                assert!(
                    lines <= 500,
                    "{} has {lines} lines: split it by noun",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn imports_are_taken_apart_and_resolved() {
    assert_eq!(
        expand("crate::a::{b, c::{self, D as E}, f}"),
        [
            "crate::a::b",
            "crate::a::c::self",
            "crate::a::c::D",
            "crate::a::f"
        ]
    );
    let (mentions, exports) =
        mentions("pub use a::B;\nuse x::{\n    Y,\n};\nlet z = w::v(); // q::r\n");
    assert_eq!(exports, [["a", "B"]]);
    let paths: Vec<_> = mentions
        .iter()
        .map(|mention| mention.path.join("::"))
        .collect();
    assert_eq!(paths, ["x::Y", "w::v"]);
    assert_eq!(mentions[0].line, 2);
    let library = Library::read();
    let path = |text: &str| -> Vec<String> { text.split("::").map(str::to_owned).collect() };
    for (from, text, to) in [
        ("auth::login", "crate::db::Users", Some("db::users")),
        ("auth::login", "super::error::Error", Some("auth::error")),
        ("db", "users::Users", Some("db::users")),
        ("db::users", "super::outbox", Some("db::outbox")),
        ("auth", "std::sync::Arc", None),
    ] {
        let resolved = library.resolve(&path(from), &path(text));
        assert_eq!(resolved, to.map(path), "{from}: {text}");
    }
}
