use super::*;

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
