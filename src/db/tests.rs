use std::fs;
use std::path::Path;

use super::*;

/// Every file with statements in this folder, by the path of its module.
fn files_with_statements(folder: &Path, module: &str) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        if path.is_dir() {
            files.extend(files_with_statements(&path, &format!("{module}{name}::")));
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        if text.contains("statements! {\n    ///") || text.contains(": LazyLock<") {
            files.push((format!("{module}{name}::"), text));
        }
    }
    files
}

#[test]
fn every_file_of_the_migrations_folder_is_embedded_in_order() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert_eq!(files.len(), MIGRATIONS.len());
    for (file, (version, _, text)) in files.iter().zip(MIGRATIONS) {
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with(&format!("{version:04}_")), "{name}");
        assert_eq!(std::fs::read_to_string(file).unwrap(), *text, "{name}");
    }
}

#[test]
fn no_word_of_the_schema_is_left_to_fill_in() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        for (_, name, text) in MIGRATIONS {
            assert!(!engine.translate(text).contains(['{', '}']), "{name}");
        }
    }
}

#[test]
fn the_list_of_statements_leaves_none_out() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/db");
    let listed = include_str!("../db.rs");
    let files = files_with_statements(&folder, "");
    assert!(files.len() >= 7, "{files:?}");
    for (module, text) in files {
        if text.contains("statements! {\n    ///") {
            assert!(listed.contains(&format!("{module}STATEMENTS")), "{module}");
        }
        for line in text.lines().filter(|line| line.contains(": LazyLock<")) {
            let name = line
                .split([' ', ':'])
                .skip_while(|word| *word != "static")
                .nth(1);
            assert!(
                listed.contains(&format!("{module}{}", name.unwrap())),
                "{line}"
            );
        }
    }
}
