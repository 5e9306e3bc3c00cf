//! What a hash is of, and that checking one costs the same whatever is stored.

use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;
use std::sync::atomic::AtomicUsize;
use std::task::{Context, Wake};
use std::thread::{self, Thread};

use super::*;
use crate::source::Source;

/// `b4l0u` as Werkzeug 0.9.6, Django 5.2.19 (with one iteration) and argon2-cffi 25.1.0 (with the least
/// memory) store it.
const FOREIGN: [&str; 3] = [
    "pbkdf2:sha1:1000$JuwS5c9L$f147c14d9d9387644607f74d196ff66d8f41970b",
    "pbkdf2_sha256$1$aYrWnyqaqVEAubM5uFj3n7$jjKmsXOxgIWT+y61wBJ+Exy1pz/kUqcpsyLj6CAhKFw=",
    "$argon2id$v=19$m=8,t=1,p=1$i4Lfy9WSEAy0nWa1Cv5AIQ$u296cqjkZ2N+Qj4wqAqUl2fy21BwHRis5XXQso0MyZg",
];

/// `tartiflette ` seven times as Django 5.2.19 stores it (with 1,000 iterations).
const LONG_PASSWORD: &str = "pbkdf2_sha1$1000$nNrLSmwP5sVFWWBi40IqMm$wsXNBoWbgEPcnigtDmjBNUvUZKw=";

fn password(text: &str) -> Password {
    text.parse().unwrap()
}

fn passwords(cost: Cost) -> Passwords {
    // More than a machine that is busy with other tests can need.
    Passwords::new(cost, Duration::from_mins(1))
}

fn stored(text: &str) -> HashedPassword {
    HashedPassword::new(text.to_owned())
}

fn home() -> Source {
    IpAddr::from(Ipv4Addr::LOCALHOST).into()
}

/// Checks `text` against `hash` and returns the verdict with the rounds that it took.
async fn verify_at(cost: u32, text: &str, hash: Option<HashedPassword>) -> (Verdict, u64) {
    let passwords = passwords(Cost::new(cost).unwrap());
    let verdict = passwords
        .verify(&password(text), hash.as_ref(), home())
        .await
        .unwrap();
    (verdict, passwords.rounds_spent())
}

#[tokio::test]
async fn a_hash_is_2b_at_the_given_cost_and_verifies() {
    let passwords = passwords(Cost::new(5).unwrap());
    let hash = passwords.hash(&password("b4l0u"), home()).await.unwrap();
    assert!(hash.as_str().starts_with("$2b$05$"));

    let right = passwords
        .verify(&password("b4l0u"), Some(&hash), home())
        .await;
    assert!(matches!(right.unwrap(), Verdict::Right { stronger: None }));
    let wrong = passwords
        .verify(&password("b4l0U"), Some(&hash), home())
        .await;
    assert!(matches!(wrong.unwrap(), Verdict::Wrong));
}

#[tokio::test]
async fn every_byte_counts() {
    let passwords = passwords(Cost::MIN);
    for length in [72, 73, 200, 1024] {
        let start = "x".repeat(length - 1);
        let chosen = password(&(start.clone() + "y"));
        let hash = passwords.hash(&chosen, home()).await.unwrap();
        for (text, is_right) in [
            (start.clone() + "y", true),
            (start.clone() + "z", false),
            (start, false),
        ] {
            let text = password(&text);
            let verdict = passwords.verify(&text, Some(&hash), home()).await;
            assert_eq!(
                matches!(verdict.unwrap(), Verdict::Right { .. }),
                is_right,
                "{length}"
            );
        }
    }
}

#[tokio::test]
async fn hashes_of_72_bytes_and_less_are_those_of_any_bcrypt() {
    for length in [1, 71, 72] {
        let text = "x".repeat(length);
        let hash = stored(&bcrypt::hash(&text, 4).unwrap());
        let (verdict, _) = verify_at(4, &text, Some(hash)).await;
        assert!(matches!(verdict, Verdict::Right { .. }), "{length}");
        let hash = passwords(Cost::MIN).hash(&password(&text), home()).await;
        assert!(bcrypt::verify(&text, hash.unwrap().as_str()).unwrap());
    }
}

#[tokio::test]
async fn a_longer_password_is_hashed_by_its_hmac_as_documented() {
    // Made with Python's hmac and base64, as the documentation of the key says.
    let text = "tartiflette ".repeat(7);
    let letters = "X83f7pVohydZRCbjHR1cYojW/ujGAGDwKOInpYiKY+kOOrNMJfC1yaDgUYwlBk8c";
    let hash = passwords(Cost::MIN).hash(&password(&text), home()).await;
    assert!(bcrypt::verify(letters, hash.unwrap().as_str()).unwrap());
}

#[tokio::test]
async fn hashes_from_elsewhere_are_read() {
    // The same 23 bytes under the three names that other programs write.
    for version in ["2a", "2b", "2y"] {
        let parts = bcrypt::hash_with_salt("t4rt1fl3tt3", 4, [7; 16]).unwrap();
        let hash = parts.to_string().replacen("2b", version, 1);
        let (verdict, _) = verify_at(4, "t4rt1fl3tt3", Some(stored(&hash))).await;
        assert!(matches!(verdict, Verdict::Right { .. }), "{version}");
    }
}

#[tokio::test]
async fn a_published_vector_verifies() {
    // From the test suite of OpenBSD's bcrypt, as other implementations carry it.
    let hash = "$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i";
    let (verdict, _) = verify_at(6, "abc", Some(stored(hash))).await;
    assert!(matches!(verdict, Verdict::Right { stronger: None }));
}

#[tokio::test]
async fn a_cheaper_hash_is_made_anew_when_the_password_is_right() {
    let hash = bcrypt::hash("b4l0u", 4).unwrap();
    let (verdict, rounds) = verify_at(6, "b4l0u", Some(stored(&hash))).await;
    let Verdict::Right {
        stronger: Some(stronger),
    } = verdict
    else {
        panic!("{verdict:?}")
    };
    assert!(stronger.as_str().starts_with("$2b$06$"));
    assert!(bcrypt::verify("b4l0u", stronger.as_str()).unwrap());
    assert_eq!(rounds, 64);
}

#[tokio::test]
async fn a_wrong_password_costs_one_bcrypt_whatever_is_stored() {
    let sound = bcrypt::hash("b4l0u", 8).unwrap();
    let cheap = bcrypt::hash("b4l0u", 4).unwrap();
    let unusable = [
        "",
        "x",
        "b4l0u",
        &"\u{E9}".repeat(30),
        &sound[..59],
        &format!("{sound}="),
        &sound.replacen("$08$", "$xx$", 1),
        &sound.replacen("$08$", "$03$", 1),
        &sound.replacen("$08$", "$31$", 1),
        &sound.replacen("$2b$", "$2x$", 1),
        &sound.replacen("$2b$", "$1$$", 1),
        "scrypt:32768:8:1073741824$salt$00",
        "$argon2id$v=19$m=4294967295,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
        "pbkdf2:sha1:1000000000000$JuwS5c9L$f147c14d9d9387644607f74d196ff66d8f41970b",
    ];
    for hash in unusable {
        let (verdict, rounds) = verify_at(8, "b4l0u", Some(stored(hash))).await;
        assert!(matches!(verdict, Verdict::Unusable(_)), "{hash}");
        assert_eq!(rounds, 256, "{hash}");
    }
    let usable = [&*sound, &cheap].into_iter().chain(FOREIGN);
    for hash in usable.map(Some).chain([None]) {
        let (verdict, rounds) = verify_at(8, "wrong", hash.map(stored)).await;
        assert!(matches!(verdict, Verdict::Wrong), "{hash:?}");
        assert_eq!(rounds, 256, "{hash:?}");
    }
}

#[tokio::test]
async fn a_foreign_hash_is_replaced_by_bcrypt_when_the_password_is_right() {
    for hash in FOREIGN {
        let (verdict, rounds) = verify_at(5, "b4l0u", Some(stored(hash))).await;
        let Verdict::Right {
            stronger: Some(stronger),
        } = verdict
        else {
            panic!("{hash}: {verdict:?}")
        };
        assert!(stronger.as_str().starts_with("$2b$05$"), "{hash}");
        assert!(bcrypt::verify("b4l0u", stronger.as_str()).unwrap());
        assert_eq!(rounds, 32, "{hash}");
    }
}

#[tokio::test]
async fn a_foreign_hash_is_of_a_long_password_as_it_is_and_its_successor_of_its_hmac() {
    let text = "tartiflette ".repeat(7);
    let (verdict, _) = verify_at(4, &text, Some(stored(LONG_PASSWORD))).await;
    let Verdict::Right {
        stronger: Some(stronger),
    } = verdict
    else {
        panic!("{verdict:?}")
    };
    assert!(stronger.as_str().starts_with("$2b$04$"));
    let (verdict, _) = verify_at(4, &text, Some(stronger)).await;
    assert!(matches!(verdict, Verdict::Right { stronger: None }));
    let (verdict, _) = verify_at(4, &text[..72], Some(stored(LONG_PASSWORD))).await;
    assert!(matches!(verdict, Verdict::Wrong));
}

#[tokio::test]
async fn each_login_with_a_foreign_hash_makes_a_salt_of_its_own() {
    let mut hashes = Vec::new();
    for _ in 0..2 {
        let (verdict, _) = verify_at(4, "b4l0u", Some(stored(FOREIGN[0]))).await;
        let Verdict::Right { stronger } = verdict else {
            panic!("{verdict:?}")
        };
        hashes.push(stronger.unwrap().as_str().to_owned());
    }
    assert_ne!(hashes[0], hashes[1]);
}

#[test]
fn a_check_waits_for_one_turn_whatever_is_stored() {
    let cheap = stored(&bcrypt::hash("b4l0u", 4).unwrap());
    let sound = stored(&bcrypt::hash("b4l0u", 8).unwrap());
    for text in ["wrong", "b4l0u"] {
        for hash in [None, Some(&cheap), Some(&sound)] {
            let passwords = passwords(Cost(8));
            let password = password(text);
            let check = passwords.verify(&password, hash, home());
            assert_eq!(times_woken(check), 1, "{hash:?}");
        }
    }
}

/// Runs a future to its end and counts how often it had to wait.
fn times_woken<T>(future: impl Future<Output = T>) -> usize {
    struct Counter(Thread, AtomicUsize);
    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.1.fetch_add(1, Ordering::Relaxed);
            self.0.unpark();
        }
    }
    let counter = Arc::new(Counter(thread::current(), AtomicUsize::new(0)));
    let waker = Arc::clone(&counter).into();
    let mut future = pin!(future);
    while future
        .as_mut()
        .poll(&mut Context::from_waker(&waker))
        .is_pending()
    {
        thread::park();
    }
    counter.1.load(Ordering::Relaxed)
}

#[tokio::test(flavor = "current_thread")]
async fn the_thread_that_serves_does_not_hash() {
    let passwords = passwords(Cost::MIN);
    let b4l0u = password("b4l0u");
    // One thread serves here. If it hashed, the hash would be done at the first look.
    tokio::select! {
        biased;
        _ = passwords.hash(&b4l0u, home()) => panic!("hashed on the serving thread"),
        () = std::future::ready(()) => {}
    }
}
