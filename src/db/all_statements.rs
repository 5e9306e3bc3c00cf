//! The list of all statements.

use super::{
    app_sessions, groups, outbox, past_addresses, pending_addresses, rate_limits, reset_tokens,
    schema, sessions, sign_ups, users,
};

/// All statements with their names, so that a test can prepare each on both databases.
pub fn statements() -> Vec<(&'static str, &'static str)> {
    let named = |name: &'static str, texts: &[&'static str]| -> Vec<_> {
        texts.iter().map(|text| (name, *text)).collect()
    };
    macro_rules! in_widths {
        ($statement:path) => {
            named(stringify!($statement), $statement.texts())
        };
    }
    [
        users::STATEMENTS.to_vec(),
        users::accounts::STATEMENTS.to_vec(),
        users::address::STATEMENTS.to_vec(),
        users::by_session::STATEMENTS.to_vec(),
        users::changes::STATEMENTS.to_vec(),
        users::export::STATEMENTS.to_vec(),
        users::import::STATEMENTS.to_vec(),
        named("users::import::ADD", &users::import::ADD),
        in_widths!(users::import::FIND),
        in_widths!(users::import::FIND_KEPT),
        groups::STATEMENTS.to_vec(),
        sessions::STATEMENTS.to_vec(),
        sessions::acting::STATEMENTS.to_vec(),
        sessions::of_user::STATEMENTS.to_vec(),
        sessions::insert::STATEMENTS.to_vec(),
        named("sessions::insert::ADD", &sessions::insert::ADD),
        in_widths!(sessions::insert::FIND_CROWDED_USERS),
        in_widths!(sessions::look_up::FIND_USERS),
        in_widths!(sessions::look_up::FIND_USERS_WITH_GROUPS),
        in_widths!(sessions::look_up::FIND_APP_USERS),
        app_sessions::STATEMENTS.to_vec(),
        reset_tokens::STATEMENTS.to_vec(),
        sign_ups::STATEMENTS.to_vec(),
        pending_addresses::STATEMENTS.to_vec(),
        past_addresses::STATEMENTS.to_vec(),
        rate_limits::buckets::STATEMENTS.to_vec(),
        in_widths!(rate_limits::buckets::FIND),
        rate_limits::familiar_sources::STATEMENTS.to_vec(),
        outbox::STATEMENTS.to_vec(),
        outbox::delivery::STATEMENTS.to_vec(),
        outbox::notices::STATEMENTS.to_vec(),
        outbox::waiting::STATEMENTS.to_vec(),
        schema::STATEMENTS.to_vec(),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

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
            if name == "all_statements" {
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
    fn the_list_of_statements_leaves_none_out() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/db");
        let listed = include_str!("all_statements.rs");
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
}
