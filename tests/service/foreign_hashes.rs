//! Users who were brought along from another system, with hashes that bcrypt has not made.

use std::sync::Arc;

use bienvenue::password::{Cost, HashKind};
use bienvenue::token::OsRandom;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::on_each_engine;
use crate::support::TestApp;
use crate::support::server::Server;

const EMAIL: &str = "bob@example.org";
const UNKNOWN: &str = "nobody@example.org";

/// `b4l0u` as it is stored by Werkzeug (3.1.9: scrypt by default and with less memory; 0.9.6: PBKDF2 by
/// default), by Django 5.2.19 (argon2 by default, the others with less work) and by argon2-cffi 25.1.0 (by
/// default and with the least memory).
const HASHES: [(&str, HashKind); 7] = [
    (
        "scrypt:32768:8:1$7oI7Rds9sjZARjmG$a0621ac195a4c5fc576adeb857ea97563fafe786e40178600e00750c1527\
         6883d9eca13b042653d312a8cf3a9c2c0175dc09083da978a6f3549ddd32b41468e5",
        HashKind::Scrypt,
    ),
    (
        "scrypt:64:8:2$ndXeJvpgaErVX5ZE$16b5b13c6377d95c071dad4d6d2609d0e643c8533b6d061982ff242ad482b39\
         83ca3956bd397ce683cc12f6326c2fafb7d4660932416f18034ac2aadb860b17c",
        HashKind::Scrypt,
    ),
    (
        "pbkdf2:sha1:1000$JuwS5c9L$f147c14d9d9387644607f74d196ff66d8f41970b",
        HashKind::Pbkdf2,
    ),
    (
        "argon2$argon2id$v=19$m=102400,t=2,p=8$WHBMamxVeFBiNklPTFcyZjd6NkdEZg$izbZ3YUUqzLsbV1UtlprSX+nc\
         g1TT20gLCWnjDQLEDU",
        HashKind::Argon2,
    ),
    (
        "pbkdf2_sha256$1$aYrWnyqaqVEAubM5uFj3n7$jjKmsXOxgIWT+y61wBJ+Exy1pz/kUqcpsyLj6CAhKFw=",
        HashKind::Pbkdf2,
    ),
    (
        "$argon2id$v=19$m=65536,t=3,p=4$A5o2RsLSfFqawbBlHpXrkg$GNdGsQrTagnNV4t4VfN0wOWa1Qxx9KTxmzj36z8q\
         fT4",
        HashKind::Argon2,
    ),
    (CHEAP, HashKind::Argon2),
];

const CHEAP: &str =
    "$argon2id$v=19$m=8,t=1,p=1$i4Lfy9WSEAy0nWa1Cv5AIQ$u296cqjkZ2N+Qj4wqAqUl2fy21BwHRis5XXQso0MyZg";

on_each_engine! {
    async fn a_user_logs_in_by_a_hash_of_another_program_which_bcrypt_then_replaces(database: Database) {
        let app = TestApp::with(database, Cost::new(5).unwrap(), Arc::new(OsRandom)).await;
        app.registered(EMAIL, "another").await;
        for (hash, kind) in HASHES {
            assert_eq!(HashKind::of(hash), Ok(kind), "{hash}");
            app.inside.set_hash(EMAIL, hash).await;
            app.assert_refused(app.log_in(EMAIL, "b4l0U"), 401, "wrong email or password").await;
            assert_eq!(app.inside.hash_of(EMAIL).await, hash, "a wrong password changes nothing");

            let session = app.logged_in(EMAIL, "b4l0u").await;
            let replaced = app.inside.hash_of(EMAIL).await;
            assert!(replaced.starts_with("$2b$05$"), "{hash}: {replaced}");
            assert!(bcrypt::verify("b4l0u", &replaced).unwrap(), "{hash}");
            assert!(app.is_logged_in(&session).await, "a new hash of the same password ends nothing");

            assert!(app.can_log_in(EMAIL, "b4l0u").await, "{hash}");
            assert!(!app.can_log_in(EMAIL, "b4l0U").await, "{hash}");
            assert_eq!(app.inside.hash_of(EMAIL).await, replaced, "once is enough");
        }
    }

    async fn an_unusable_hash_looks_and_costs_like_an_unknown_address(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, "b4l0u").await;
        for hash in [
            "scrypt:32768:8:1073741824$salt$00",
            "scrypt:32768:8:1$$00",
            "pbkdf2:sha256:1000000000000$JuwS5c9L$00",
            "pbkdf2_sha256$1$aYrWnyqaqVEAubM5uFj3n7$jjKmsXOxgIWT+y61wBJ+Exy1pz/kUqcpsyLj6CAhKFw",
            "$argon2id$v=19$m=4294967295,t=1,p=1$i4Lfy9WSEAy0nWa1Cv5AIQ$u296cqjkZ2N+Qj4wqAqUl2fy21BwHRis5XXQso0MyZg",
            "!nW5meFMy1NodE3JGYOH0H500G64JC3Ti23SnSzzt",
            &"$argon2id$".repeat(100_000),
        ] {
            let shown = &hash[..hash.len().min(80)];
            assert!(HashKind::of(hash).is_err(), "{shown}");
            app.inside.set_hash(EMAIL, hash).await;
            for email in [EMAIL, UNKNOWN] {
                let before = app.passwords.rounds_spent();
                app.assert_refused(app.log_in(email, "b4l0u"), 401, "wrong email or password").await;
                assert_eq!(app.passwords.rounds_spent() - before, 16, "{email} {shown}");
            }
            assert_eq!(app.inside.hash_of(EMAIL).await, hash);
        }
        // The owner chooses a new password, and is back.
        let token = app.reset_token(EMAIL).await;
        assert_eq!(app.reset(EMAIL, &token, "t4rt1fl3tt3").send().await.status, 200);
        assert!(app.can_log_in(EMAIL, "t4rt1fl3tt3").await);
    }

    async fn an_unusable_hash_is_logged_at_each_login_with_the_user_and_the_reason(database: Database) {
        let options = ["--bcrypt-cost", "4", "--log-format", "json"];
        let server = Server::start_with(&database.url, &options);
        server.registered(EMAIL, "b4l0u").await;
        let inside = database.look_inside().await;
        let reasons = [
            ("!canary", "of no known form; known are bcrypt"),
            ("scrypt:16:8:99$canary$00", "out of bounds: scrypt's p must be from 1 to 16"),
            ("pbkdf2_sha256$1$canary", "malformed: a field is missing"),
        ];
        for (hash, _) in reasons {
            inside.set_hash(EMAIL, hash).await;
            assert_eq!(server.log_in(EMAIL, "b4l0u").send().await.status, 401);
        }
        inside.set_hash(EMAIL, CHEAP).await;
        server.logged_in(EMAIL, "b4l0u").await;
        let (_, log) = server.stop();
        assert!(!log.contains("canary"), "{log}");
        let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let errors: Vec<Value> = lines.filter(|line| line["level"] == "ERROR").collect();
        assert_eq!(errors.len(), reasons.len(), "{errors:#?}");
        for (error, (_, reason)) in errors.iter().zip(reasons) {
            assert_eq!(error["user"], 1);
            assert!(error["reason"].as_str().unwrap().starts_with(reason), "{error}");
        }
    }

    async fn a_foreign_hash_costs_the_bcrypt_of_an_unknown_address_right_or_wrong(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, "b4l0u").await;
        app.inside.set_hash(EMAIL, CHEAP).await;
        for (email, password) in [(UNKNOWN, "b4l0u"), (EMAIL, "wrong"), (EMAIL, "b4l0u")] {
            let before = app.passwords.rounds_spent();
            app.log_in(email, password).send().await;
            assert_eq!(app.passwords.rounds_spent() - before, 16, "{email} {password}");
        }
    }

    async fn logins_at_the_same_time_replace_a_foreign_hash_once(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, "another").await;
        app.inside.set_hash(EMAIL, CHEAP).await;
        let mut logins = JoinSet::new();
        for _ in 0..20 {
            logins.spawn(app.log_in(EMAIL, "b4l0u").send());
        }
        for reply in logins.join_all().await {
            assert_eq!(reply.status, 200, "{reply:?}");
        }
        let replaced = app.inside.hash_of(EMAIL).await;
        assert!(bcrypt::verify("b4l0u", &replaced).unwrap(), "{replaced}");
        assert!(app.can_log_in(EMAIL, "b4l0u").await);
    }
}
