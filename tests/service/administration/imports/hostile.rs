//! Files that are damaged, or made to harm.

use std::fmt::Write as _;

use super::*;
use crate::on_each_engine;

const HASH: &str = "$2b$04$eImiTXuWVxfM37uY4JANjOL7wZ5rfmmW0cEeqhbJyvb9LrGcYWVmC";

/// A file of which a part is used: what it is, the reasons for the rest, the summary.
#[expect(clippy::too_many_lines, reason = "a list")]
fn files_in_part() -> Vec<(Vec<u8>, Vec<&'static str>, &'static str)> {
    let csv = |lines: &[&[u8]]| {
        let good = format!("good@example.org,{HASH}");
        [
            &[b"email,password_hash".as_slice()],
            lines,
            &[good.as_bytes()],
        ]
        .concat()
        .join(b"\n".as_slice())
    };
    let json = |lines: &[&str]| {
        let good = format!(r#"{{"email":"good@example.org","password_hash":"{HASH}"}}"#);
        [&[good.as_str()], lines].concat().join("\n").into_bytes()
    };
    let nested = format!(r#"{{"email":{}"#, "[".repeat(60_000));
    let long = format!("long@example.org,{}", "x".repeat(70_000));
    let one = "1 imported, 0 exist already, 1 not usable";
    vec![
        (
            csv(&[b"p@example.org,scrypt:16:8:1073741824$salt$00"]),
            vec![
                "line 2: p@example.org: the password \
            hash is out of bounds: scrypt's p must be from 1 to 16",
            ],
            one,
        ),
        (
            csv(&[b"p@example.org,plain text"]),
            vec![
                "line 2: p@example.org: the password hash is of no known \
            form",
            ],
            one,
        ),
        (
            csv(&[long.as_bytes()]),
            vec!["line 2: is longer than 65536 bytes"],
            one,
        ),
        (
            csv(&[b"\xff\xfe@example.org,x"]),
            vec!["line 2: is not UTF-8"],
            one,
        ),
        (
            csv(&[b"a\0@example.org,x"]),
            vec!["line 2: email is not an email address"],
            one,
        ),
        (
            csv(&[format!("n@example.org,{HASH}\0").as_bytes()]),
            vec!["line 2: n@example.org: the password hash"],
            one,
        ),
        (
            csv(&[b"n@example.org,"]),
            vec!["line 2: has no password_hash"],
            one,
        ),
        (
            csv(&[b"n@example.org"]),
            vec!["line 2: has 1 fields, where the header has 2"],
            one,
        ),
        (
            csv(&[",".repeat(1_000).as_bytes()]),
            vec!["line 2: is longer"],
            one,
        ),
        (
            csv(&["m\u{E4}x@example.org,x".as_bytes()]),
            vec!["line 2: email has characters other than ASCII"],
            one,
        ),
        (
            csv(&[format!("GOOD@example.org,{HASH}").as_bytes()]),
            vec![
                "line 3: good@example.org: the address \
            stands before",
            ],
            one,
        ),
        (
            json(&[&nested]),
            vec!["line 2: is not a JSON object: see column"],
            one,
        ),
        (
            json(&["\0"]),
            vec!["line 2: is not a JSON object: see column 1"],
            one,
        ),
        (json(&["[]"]), vec!["line 2: is not a JSON object"], one),
        (
            json(&[r#"{"email":7,"password_hash":"secret"}"#]),
            vec!["line 2: email is not a text"],
            one,
        ),
        (
            json(&[r#"{"email":"a@b","password_hash":7}"#]),
            vec!["line 2: password_hash is not a text"],
            one,
        ),
        (
            json(&[r#"{"email":"a@b"}"#]),
            vec!["line 2: has no password_hash"],
            one,
        ),
        (
            json(&[&format!(
                r#"{{"email":"a@b","password_hash":"{HASH}","created_at":"soon"}}"#
            )]),
            vec!["line 2: created_at is not a time of RFC 3339"],
            one,
        ),
        (
            json(&[&format!(
                r#"{{"email":"a@b","password_hash":"{HASH}","groups":["A b"]}}"#
            )]),
            vec![
                "line 2: groups is not an array of names of groups, each of 1 to 32 of a-z, 0-9, _ and -",
            ],
            one,
        ),
        (
            format!(r#"[{{"email":"good@example.org","password_hash":"{HASH}"}},{nested}"#)
                .into_bytes(),
            vec!["line 1: the file ends within an object"],
            "1 imported, 0 exist already, 0 not usable",
        ),
        (
            format!(r#"[{{"email":"good@example.org","password_hash":"{HASH}"}}"#).into_bytes(),
            vec!["line 1: the file ends before the ]"],
            "1 imported, 0 exist already, 0 not usable",
        ),
        (
            format!("[{{\"email\":\"good@example.org\",\"password_hash\":\"{HASH}\"}}\n 7]")
                .into_bytes(),
            vec!["line 2: there is no comma or ] after an object"],
            "1 imported, 0 exist already, 0 not usable",
        ),
    ]
}

on_each_engine! {
    async fn a_bad_line_is_reported_and_the_others_are_imported(database: Database) {
        prepare(&database);
        let inside = database.look_inside().await;
        for (file, reasons, summary) in files_in_part() {
            let planned = import(&database, &["--dry-run"], &file);
            assert_eq!(inside.count("users").await, 0);
            let imported = import(&database, &[], &file);
            assert_eq!(imported.code, 1, "{imported:?}");
            assert_summary(&imported, summary);
            for reason in reasons {
                let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
                assert!(imported.stderr.contains(&reason), "{reason}: {imported:?}");
                assert!(planned.stderr.contains(&reason), "{reason}: {planned:?}");
            }
            assert_summary(&planned, &summary.replace("1 imported", "1 would be imported"));
            assert!(!imported.stderr.contains("secret"), "{imported:?}");
            assert_eq!(inside.count("users").await, 1);
            run(&database, &["users", "delete", "good@example.org", "--yes"]).done();
        }
    }

    async fn a_quote_that_is_not_closed_ends_the_import_with_its_line(database: Database) {
        prepare(&database);
        let inside = database.look_inside().await;
        let mut many = format!("email,password_hash\na@example.org,{HASH}\n\"b@example.org,{HASH}\n");
        let few = format!("{many}c@example.org,\"{HASH}\"\nd@example.org,{HASH}\n");
        for number in 0..2_000 {
            let _ = writeln!(many, "user{number}@example.org,{HASH}");
        }
        for csv in [few, many] {
            let words = "line 3: a quote is not closed, so the lines behind it cannot be told apart";
            import(&database, &[], &csv).refused(1, words);
        }
        assert_eq!(inside.count("users").await, 1);
    }

    async fn a_file_that_is_no_list_of_users_changes_nothing(database: Database) {
        prepare(&database);
        let inside = database.look_inside().await;
        let headless = format!("{EMAIL},{HASH}\n");
        let garbage: Vec<u8> = (0..200_000_u32).map(|n| (n.wrapping_mul(n) >> 3).to_le_bytes()[0] | 0x80).collect();
        for (file, words) in [
            (b"".as_slice(), "the file is empty"),
            (b" \n\r\n", "the file is empty"),
            (b"\xEF\xBB\xBF", "the file is empty"),
            (headless.as_bytes(), "line 1: no column has the name email: the first line must name"),
            (b"email\n", "line 1: no column has the name password_hash"),
            (b"\nemail,email,password_hash\n", "line 2: two columns have the name email"),
            (&garbage, "line 1: cannot be read as a header"),
            (b"[7]", "line 1: there is no object"),
            (b"[\n{},]", "line 2: there is no object"),
            (b"[] []", "line 1: something follows the ]"),
        ] {
            let refused = import(&database, &[], file);
            refused.refused(1, words);
            assert!(!refused.stderr.contains(HASH), "{refused:?}");
            assert_eq!(inside.count("users").await, 0);
        }
        import(&database, &["--format", "auth0"], "{}").refused(1, "line 1: there is no [ at the start");
        import(&database, &["--format", "xml"], "").refused(2, "[possible values: flask, csv, jsonl, auth0]");
    }

    async fn a_line_of_a_hundred_megabytes_is_not_held(database: Database) {
        const MEGABYTES: usize = 100;
        const MOST_KILOBYTES: u64 = 60_000;

        prepare(&database);
        let piece = "x".repeat(1 << 20);
        let good = format!("\"email\":\"good@example.org\",\"password_hash\":\"{HASH}\"}}");
        for (number, (start, end)) in [
            ("email,password_hash\n\"", "\",\ngood@example.org,HASH\n".replace("HASH", HASH)),
            ("{\"a\":\"", format!("\"}}\n{{{good}\n")),
            ("[{\"a\":\"", format!("\"}},{{{good}]")),
        ]
        .into_iter()
        .enumerate()
        {
            let mut process = command(&database, &["users", "import", "-"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let mut stdin = process.stdin.take().unwrap();
            stdin.write_all(start.as_bytes()).unwrap();
            for _ in 0..MEGABYTES {
                stdin.write_all(piece.as_bytes()).unwrap();
            }
            let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
            let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
            let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
            assert!(peak < MOST_KILOBYTES, "{peak} kB");
            stdin.write_all(end.as_bytes()).unwrap();
            drop(stdin);
            let ended: Ended = process.wait_with_output().unwrap().into();
            assert_eq!(ended.code, 1, "{ended:?}");
            let counts = match number {
                0 => "1 imported, 0 exist already",
                _ => "0 imported, 1 exist already",
            };
            assert_summary(&ended, &format!("{counts}, 1 not usable"));
            assert!(ended.stderr.contains("longer than 65536 bytes"), "{ended:?}");
        }
    }

    async fn lines_of_any_end_are_counted(database: Database) {
        prepare(&database);
        for end in ["\n", "\r\n"] {
            let mut csv = "email,password_hash".to_owned();
            for number in 2..3_000 {
                let _ = write!(csv, "{end}{number}@example.org,{HASH}");
            }
            let _ = write!(csv, "{end}{end}bad,{HASH}{end}");
            let imported = import(&database, &[], &csv);
            assert!(imported.stderr.contains("line 3001: email is not"), "{imported:?}");
        }
    }
}
