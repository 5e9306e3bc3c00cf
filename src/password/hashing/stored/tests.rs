//! What a text may be and ask for, and texts that are no hashes.

use proptest::prelude::*;

use super::*;

mod vectors;

fn foreign(text: &str) -> ForeignHash {
    match text.parse() {
        Ok(StoredHash::Foreign(hash)) => hash,
        Ok(_) => panic!("{text}: bcrypt"),
        Err(error) => panic!("{text}: {error}"),
    }
}

#[test]
fn bcrypt_is_told_by_its_kind_too() {
    // From the test suite of OpenBSD's bcrypt.
    for text in [
        "$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i",
        "$2b$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i",
        "$2y$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i",
    ] {
        assert_eq!(HashKind::of(text), Ok(HashKind::Bcrypt), "{text}");
    }
}

/// The least and the most of each parameter in each form, between `{` and `}`, and what is out of bounds
/// beyond them.
const BOUNDS: &[(&str, [&str; 2], [&str; 2], &str)] = &[
    (
        "$2b${}${SALT22}{HASH31}",
        ["04", "16"],
        ["03", "17"],
        "the bcrypt cost must be from 4 to 16",
    ),
    (
        "scrypt:{}:1:1$salt${HEX64}",
        ["2", "1048576"],
        ["1", "2097152"],
        "scrypt's N × r must be from 2 to 1048576",
    ),
    (
        "scrypt:{}:8:1$salt${HEX64}",
        ["2", "131072"],
        ["0", "262144"],
        "scrypt's N × r must be from 2 to 1048576",
    ),
    (
        "scrypt:16:{}:1$salt${HEX64}",
        ["1", "32"],
        ["0", "33"],
        "scrypt's r must be from 1 to 32",
    ),
    (
        "scrypt:16:8:{}$salt${HEX64}",
        ["1", "16"],
        ["0", "17"],
        "scrypt's p must be from 1 to 16",
    ),
    (
        "scrypt:131072:8:{}$salt${HEX64}",
        ["1", "2"],
        ["0", "3"],
        "scrypt's ",
    ),
    (
        "scrypt${}$salt$8$1${BASE64}",
        ["2", "131072"],
        ["0", "262144"],
        "scrypt's N × r must be from 2 to 1048576",
    ),
    (
        "scrypt$16$salt${}$1${BASE64}",
        ["1", "32"],
        ["0", "33"],
        "scrypt's r must be from 1 to 32",
    ),
    (
        "scrypt$16$salt$8${}${BASE64}",
        ["1", "16"],
        ["0", "17"],
        "scrypt's p must be from 1 to 16",
    ),
    (
        "pbkdf2:sha256:{}$salt${HEX32}",
        ["1", "3000000"],
        ["0", "3000001"],
        "the number of PBKDF2 iterations must be from 1 to 3000000",
    ),
    (
        "pbkdf2_sha256${}$salt${BASE32}",
        ["1", "3000000"],
        ["0", "3000001"],
        "the number of PBKDF2 iterations must be from 1 to 3000000",
    ),
    (
        "pbkdf2:sha256:9${}${HEX32}",
        ["x", "{SALT64}"],
        ["", "{SALT64}x"],
        "the length of the salt in bytes must be from 1 to 64",
    ),
    (
        "scrypt$16${}$8$1${BASE64}",
        ["x", "{SALT64}"],
        ["", "{SALT64}x"],
        "the length of the salt in bytes must be from 1 to 64",
    ),
    (
        "$argon2id$v=19$m={},t=1,p=1$c2FsdHNhbHQ${RAW32}",
        ["8", "131072"],
        ["7", "131073"],
        "the Argon2 memory in KiB must be from 8 to 131072",
    ),
    (
        "$argon2i$v=19$m=131072,t={},p=1$c2FsdHNhbHQ${RAW32}",
        ["1", "8"],
        ["0", "9"],
        "the Argon2 memory in KiB × passes must be from 8 to 1048576",
    ),
    (
        "argon2$argon2id$v=19$m=8,t={},p=1$c2FsdHNhbHQ${RAW32}",
        ["1", "131072"],
        ["0", "131073"],
        "the Argon2 memory in KiB × passes must be from 8 to 1048576",
    ),
    (
        "$argon2id$v=19$m=2040,t=1,p={}$c2FsdHNhbHQ${RAW32}",
        ["1", "255"],
        ["0", "256"],
        "the number of Argon2 lanes must be from 1 to 255",
    ),
    (
        "$argon2id$v=19$m=8,t=1,p=1${}${RAW32}",
        ["c2FsdHNhbHQ", "{RAW64}"],
        ["c2FsdHNhbA", "{RAW65}"],
        "the length of the Argon2 salt in bytes must be from 8 to 64",
    ),
    (
        "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ${}",
        ["{RAW16}", "{RAW64}"],
        ["{RAW15}", "{RAW65}"],
        "the length of the Argon2 hash in bytes must be from 16 to 64",
    ),
];

/// Puts hashes and salts of some length into their places.
fn filled(text: &str) -> String {
    let mut text = text
        .replace("{SALT22}", &".".repeat(22))
        .replace("{HASH31}", &".".repeat(31));
    text = text.replace("{SALT64}", &"s".repeat(64));
    for bytes in [15, 16, 20, 32, 64, 65] {
        let zeros = vec![0; bytes];
        text = text
            .replace(&format!("{{HEX{bytes}}}"), &"00".repeat(bytes))
            .replace(&format!("{{BASE{bytes}}}"), &BASE64_STANDARD.encode(&zeros))
            .replace(
                &format!("{{RAW{bytes}}}"),
                &BASE64_STANDARD_NO_PAD.encode(&zeros),
            );
    }
    text
}

#[test]
fn a_parameter_may_be_up_to_its_bound_and_not_beyond() {
    for (form, within, beyond, reason) in BOUNDS {
        for value in within {
            let text = filled(&form.replace("{}", value));
            assert!(
                HashKind::of(&text).is_ok(),
                "{text}: {:?}",
                HashKind::of(&text)
            );
        }
        for value in beyond {
            let text = filled(&form.replace("{}", value));
            let error = HashKind::of(&text).unwrap_err();
            assert!(
                matches!(error, UnusableHash::OutOfBounds { .. }),
                "{text}: {error}"
            );
            let shown = error.to_string();
            assert!(
                shown.starts_with(&format!("out of bounds: {reason}")),
                "{text}: {shown}"
            );
        }
    }
}

#[test]
fn the_most_that_a_hash_may_take_is_two_seconds_of_a_core() {
    for (form, [_, most], _, _) in BOUNDS {
        if let Ok(StoredHash::Foreign(hash)) = filled(&form.replace("{}", most)).parse() {
            assert!(hash.rounds() <= 66_666, "{form}: {}", hash.rounds());
        }
    }
    let longest = filled("pbkdf2:sha512:3000000$salt${HEX64}");
    assert_eq!(foreign(&longest).rounds(), 66_666);
}

#[test]
fn texts_of_no_known_form_are_told_so() {
    for text in [
        "b4l0u",
        "plain$$b4l0u",
        "sha1$salt$da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "md5$salt$d41d8cd98f00b204e9800998ecf8427e",
        "bcrypt_sha256$$2b$12$nRJ36PLJwUgQfHhYu2fGTOcslfutw0kc3XHIqvmdIdTr2iHFZ3Ex6",
        "bcrypt$$2b$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i",
        "!nW5meFMy1NodE3JGYOH0H500G64JC3Ti23SnSzzt",
        "$1$salt$qJH7.N4xYta3aEG/dfqo/0",
        "$2x$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i",
        "$argon2d$v=19$m=8,t=1,p=1$KPYfPDkjP4ioB3JsZHpJNQ$84VGCuXjoJ+CKOj6+pyW3jeZRLURbfmf5v+25lgDo2s",
        "$ARGON2ID$v=19$m=8,t=1,p=1$i4Lfy9WSEAy0nWa1Cv5AIQ$u296cqjkZ2N+Qj4wqAqUl2fy21BwHRis5XXQso0MyZg",
        "$scrypt$ln=15,r=8,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "argon2",
        "argon2$",
        "$",
        "$$",
        "pbkdf2:md5:1000$salt$d41d8cd98f00b204e9800998ecf8427e",
        " scrypt:16:8:1$salt${HEX64}",
    ] {
        let text = filled(text);
        assert_eq!(
            HashKind::of(&text),
            Err(UnusableHash::UnknownForm),
            "{text}"
        );
    }
}

#[test]
fn hostile_texts_are_unusable() {
    let long = "x".repeat(1 << 20);
    for text in [
        "",
        &long,
        &format!("$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ${long}"),
        // Numbers beyond every type, below zero, and none.
        "scrypt:32768:8:1073741824$salt${HEX64}",
        "scrypt:4294967296:4294967296:4294967296$salt${HEX64}",
        "scrypt:18446744073709551616:8:1$salt${HEX64}",
        "scrypt:-16:8:1$salt${HEX64}",
        "scrypt:+16:8:1$salt${HEX64}",
        "scrypt: 16:8:1$salt${HEX64}",
        "scrypt:16::1$salt${HEX64}",
        "scrypt:١٦:8:1$salt${HEX64}",
        "scrypt:24:8:1$salt${HEX64}",
        "pbkdf2:sha256:1000000000000$salt${HEX32}",
        "pbkdf2:sha256:1e3$salt${HEX32}",
        "pbkdf2_sha256$1000000000000$salt${BASE32}",
        "$argon2id$v=19$m=4294967295,t=1,p=1$c2FsdHNhbHQ${RAW32}",
        "$argon2id$v=19$m=8,t=4294967295,p=1$c2FsdHNhbHQ${RAW32}",
        "$argon2id$v=19$m=8,t=1,p=1073741824$c2FsdHNhbHQ${RAW32}",
        "$argon2id$v=19$m=16,t=1,p=3$c2FsdHNhbHQ${RAW32}",
        "$2b$99${SALT22}{HASH31}",
        // Fields that are missing or too many, and in another order.
        "scrypt:16:8$salt${HEX64}",
        "scrypt:16:8:1:1$salt${HEX64}",
        "scrypt:16:8:1$salt",
        "scrypt:16:8:1$salt${HEX64}$",
        "scrypt:$salt${HEX64}",
        "scrypt$16$salt$8$1",
        "pbkdf2$salt${HEX32}",
        "pbkdf2:sha256$salt${HEX32}",
        "pbkdf2:sha256:$salt${HEX32}",
        "pbkdf2_sha256$1000$salt",
        "pbkdf2_sha256:1000$1000$salt${BASE32}",
        "$argon2id$",
        "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ",
        "$argon2id$v=19$m=8,p=1,t=1$c2FsdHNhbHQ${RAW32}",
        "$argon2id$v=19$m=8,t=1$c2FsdHNhbHQ${RAW32}",
        "$argon2id$v=19$m=8,t=1,p=1,keyid=AA$c2FsdHNhbHQ${RAW32}",
        "$argon2id$v=18$m=8,t=1,p=1$c2FsdHNhbHQ${RAW32}",
        // Salts and hashes that are none.
        "scrypt:16:8:1$${HEX64}",
        "scrypt:16:8:1$sélt${HEX64}",
        "scrypt:16:8:1$s lt${HEX64}",
        "scrypt:16:8:1$salt${HEX32}",
        "scrypt:16:8:1$salt${HEX64}0",
        "scrypt:16:8:1$salt${HEX64} ",
        "scrypt:16:8:1$salt$",
        "pbkdf2:sha256:9$salt${HEX20}",
        "pbkdf2:sha1:9$salt${HEX32}",
        "pbkdf2:sha256:9$salt$zz{HEX32}",
        "pbkdf2_sha256$9$salt${RAW32}",
        "pbkdf2_sha256$9$salt${BASE32}=",
        "pbkdf2_sha256$9$salt${BASE32}\n",
        "pbkdf2_sha256$9$salt$é",
        "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ${RAW32}=",
        "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ=${RAW32}",
        "$argon2id$v=19$m=8,t=1,p=1$é${RAW32}",
        "$2b$04${SALT22}{HASH31}a",
        "$2b$04$é",
    ] {
        let text = filled(text);
        let error = HashKind::of(&text).expect_err(&text);
        let shown = error.to_string();
        assert!(shown.len() < 200 && !shown.contains("salt$"), "{shown}");
    }
}

#[test]
fn a_hash_does_not_show_its_salt() {
    let hash = foreign(&filled("pbkdf2:sha256:1000$SALT${HEX32}"));
    let shown = format!("{hash:?}");
    assert!(
        shown.contains("1000") && !shown.contains("83, 65, 76, 84"),
        "{shown}"
    );
}

/// Texts that are near those of hashes: what real ones are made of, in any order.
fn near_texts() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        8 => proptest::sample::select(vec![
            "$", ":", ",", "=", "scrypt", "scrypt:", "pbkdf2:sha256:", "pbkdf2_sha256$", "argon2$argon2id$",
            "$argon2id$v=19$", "$argon2i$", "m=", "t=", "p=", "$2b$", "04$", "c2FsdHNhbHQ",
            "salt", "8", "16", "é", "\0",
        ]).prop_map(str::to_owned),
        2 => any::<u64>().prop_map(|number| number.to_string()),
        2 => (0..70_usize).prop_map(|bytes| "00".repeat(bytes)),
        2 => (0..70_usize).prop_map(|bytes| BASE64_STANDARD.encode(vec![0; bytes])),
        1 => any::<String>(),
    ];
    proptest::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
}

/// Texts of the known forms with numbers around and far beyond the bounds.
fn numbered_texts() -> impl Strategy<Value = String> {
    let number = || {
        prop_oneof![
            0..40_u64,
            (0..64_u32).prop_map(|power| 1 << power),
            any::<u64>(),
        ]
    };
    (0..7_u8, number(), number(), number()).prop_map(|(form, a, b, c)| {
        filled(&match form {
            0 => format!("scrypt:{a}:{b}:{c}$salt${{HEX64}}"),
            1 => format!("scrypt${a}$salt${b}${c}${{BASE64}}"),
            2 => format!("pbkdf2:sha512:{a}$salt${{HEX64}}"),
            3 => format!("pbkdf2_sha1${a}$salt${{BASE20}}"),
            4 => format!("$argon2id$v=19$m={a},t={b},p={c}$c2FsdHNhbHQ${{RAW32}}"),
            5 => format!("argon2$argon2i$m={a},t={b},p={c}$c2FsdHNhbHQ${{RAW16}}"),
            _ => format!("$2b${a:02}${{SALT22}}{{HASH31}}"),
        })
    })
}

proptest! {
    #[test]
    fn no_text_panics_or_takes_more_than_the_bounds(
        text in prop_oneof![any::<String>(), near_texts(), numbered_texts()],
    ) {
        if let Ok(StoredHash::Foreign(hash)) = text.parse() {
            prop_assert!((1..=66_666).contains(&hash.rounds()));
            match hash.function() {
                Function::Scrypt(params) => {
                    prop_assert!(params.n() * u64::from(params.r()) * 128 <= 128 << 20);
                }
                Function::Argon2(argon2) => prop_assert!(argon2.params().block_count() <= 128 << 10),
                Function::Pbkdf2 { .. } => {}
            }
            // Those that take no time.
            if hash.rounds() < 20 {
                prop_assert!(!hash.is_of(b"b4l0u"));
            }
        }
    }
}
