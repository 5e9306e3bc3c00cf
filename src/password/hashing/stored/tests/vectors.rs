//! The hashes of other programs.

use super::*;

const PLAIN: &str = "b4l0u";
const ACCENTS: &str = "pâté à l'ail 🥧";
/// Longer than what bcrypt reads.
const LONG: &str =
    "tartiflette tartiflette tartiflette tartiflette tartiflette tartiflette tartiflette ";

/// Made by the programs themselves: a password, its hash, and what that is.
const VECTORS: &[(&str, &str, HashKind)] = &[
    // Werkzeug 3.1.9, generate_password_hash: without arguments, and with others.
    (
        PLAIN,
        "scrypt:32768:8:1$7oI7Rds9sjZARjmG$a0621ac195a4c5fc576adeb857ea97563fafe786e40178600e00750c1527\
         6883d9eca13b042653d312a8cf3a9c2c0175dc09083da978a6f3549ddd32b41468e5",
        HashKind::Scrypt,
    ),
    (
        ACCENTS,
        "scrypt:1024:8:2$u$051cdb7d44507415814142587d8721b5ca078026906b6c30e2972863509916c6914c8562d2d5\
         643ed8773c5e7dca341d59bfef9cff2652b9b28e5c8141106139",
        HashKind::Scrypt,
    ),
    (
        LONG,
        "scrypt:512:4:3$HZ23Xw0NExFToI2b$b5a53778ffdb16a561ba1ad9f442a11897a618b28f0314487eebb3ea58d20b\
         826d7eb1f58481cb749a7259173f9659a569b6f7248b6359632866dd3554fdb150",
        HashKind::Scrypt,
    ),
    (
        PLAIN,
        "pbkdf2:sha256:1000000$mgaATEh1DR5TIF5e$f650062fb479644ce696f17e4929c4edfd58f5275be4fd700d8beee\
         fdae9f575",
        HashKind::Pbkdf2,
    ),
    (
        ACCENTS,
        "pbkdf2:sha256:1000$zVTPbvkNtQqpU9HX$8fe1a74a948eea2689fef0f851c077e09ed57ce0a7a5383cb8be06b02f\
         059e35",
        HashKind::Pbkdf2,
    ),
    (
        LONG,
        "pbkdf2:sha512:1000$F5Qezbpkcwedj400r6D2X1lFI0Whd53063FrmkfEHtrnLrkmFILRsLpm2O17RNUw$3fe6cd39ed\
         4f0f333caf7bc661ba5c0cf86060bb0102a0fb7ec65ed9ab7bb97eb29d75f58a6bcf0cbcbb0a855901f2ca3e431973\
         6f7289917bd30cc8ed1ab2a4",
        HashKind::Pbkdf2,
    ),
    // Werkzeug 0.9.6 and 1.0.1, without arguments.
    (
        PLAIN,
        "pbkdf2:sha1:1000$JuwS5c9L$f147c14d9d9387644607f74d196ff66d8f41970b",
        HashKind::Pbkdf2,
    ),
    (
        PLAIN,
        "pbkdf2:sha256:150000$a8zE7zVM$b8294733c0ccc9f3d448668ee9c57b2607a8601a947365a08cff774ad4362cbf",
        HashKind::Pbkdf2,
    ),
    // Django 5.2.19, make_password by each of its default hashers.
    (
        PLAIN,
        "pbkdf2_sha256$1000000$wE7FRALenOo4P9spe7YdbC$icKOIpv5rK7Z+6NeMBuLzG1NbZRchs2moQbVa7cjdOg=",
        HashKind::Pbkdf2,
    ),
    (
        PLAIN,
        "pbkdf2_sha1$1000000$nEPqvwliYhnbrZurrxL8Ir$slB4IssrqxUSDionO1B+i1HrRL8=",
        HashKind::Pbkdf2,
    ),
    (
        PLAIN,
        "argon2$argon2id$v=19$m=102400,t=2,p=8$WHBMamxVeFBiNklPTFcyZjd6NkdEZg$izbZ3YUUqzLsbV1UtlprSX+nc\
         g1TT20gLCWnjDQLEDU",
        HashKind::Argon2,
    ),
    (
        PLAIN,
        "scrypt$16384$7gireCWicTtxU5l74xZ8dJ$8$5$N0Fd3PnOOdu0Zms4fSI2Y+Nr0Vuala4CFlJ2RAkx7vxlCUTaZzAHwC\
         i3WN9iPEj2Zn3pgAS5f0oZQVWEnNiBlQ==",
        HashKind::Scrypt,
    ),
    // Django 5.2.19, its hashers' encode with lower parameters.
    (
        ACCENTS,
        "pbkdf2_sha256$1000$i0OBEWaLuDbaJDN1xm3ynh$xeUqrEQ9nkTflTbngH+XVCGXII42ftWj4whIrBGm15A=",
        HashKind::Pbkdf2,
    ),
    (
        LONG,
        "pbkdf2_sha1$1000$nNrLSmwP5sVFWWBi40IqMm$wsXNBoWbgEPcnigtDmjBNUvUZKw=",
        HashKind::Pbkdf2,
    ),
    (
        LONG,
        "scrypt$64$8E50b62zN3xC6sgmCw3vns$8$5$rvKl+tol1+fP/e7OSvFpHeYRe1ej49LO4GfvT3LtPjO/KkGSmiBsAVo7g\
         egW1johW5RVPX8IORBQ4WzdxX3cnQ==",
        HashKind::Scrypt,
    ),
    (
        ACCENTS,
        "argon2$argon2id$v=19$m=64,t=2,p=2$ZkVFeTh0NVlaUkVpcXo2dXFrZWVjcg$FLy2cciuKZLrxfbxNjl3OADdY0bQS\
         7CG0ET4PC8/rQU",
        HashKind::Argon2,
    ),
    // argon2-cffi 25.1.0: the default, Argon2i with those of its first versions, and version 16.
    (
        PLAIN,
        "$argon2id$v=19$m=65536,t=3,p=4$A5o2RsLSfFqawbBlHpXrkg$GNdGsQrTagnNV4t4VfN0wOWa1Qxx9KTxmzj36z8q\
         fT4",
        HashKind::Argon2,
    ),
    (
        LONG,
        "$argon2i$v=19$m=512,t=2,p=2$2rEvHtZU5mEL0Cv6GZY48A$h02IYYltbulhYWPxQvSZ2Q",
        HashKind::Argon2,
    ),
    (
        ACCENTS,
        "$argon2id$v=16$m=64,t=3,p=4$QBYcaaFdI8w$TlW2kMMKCUkOPbxPPv+2Rpgf2N0CAJqhdVte/yOrmfCyBUJwT9WvqO\
         QmHpa4CPYREScZ0k6GKb2/E9NOOaqNwQ",
        HashKind::Argon2,
    ),
    (
        ACCENTS,
        "$argon2id$m=64,t=3,p=4$QBYcaaFdI8w$TlW2kMMKCUkOPbxPPv+2Rpgf2N0CAJqhdVte/yOrmfCyBUJwT9WvqOQmHpa\
         4CPYREScZ0k6GKb2/E9NOOaqNwQ",
        HashKind::Argon2,
    ),
];

#[test]
fn the_hashes_of_other_programs_are_those_of_their_passwords_and_of_no_others() {
    for (password, text, kind) in VECTORS {
        assert_eq!(HashKind::of(text), Ok(*kind), "{text}");
        let hash = foreign(text);
        assert!(hash.is_of(password.as_bytes()), "{text}");
        if hash.rounds() < 1000 {
            let (shorter, _) =
                password.split_at(password.len() - 1 - 3 * usize::from(!password.is_ascii()));
            for other in [
                shorter,
                &format!("{password} "),
                &password.to_uppercase(),
                "",
            ] {
                assert!(!hash.is_of(other.as_bytes()), "{text}: {other}");
            }
        }
    }
}
