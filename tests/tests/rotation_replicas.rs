//! Two processes on one store, whose keys are rotated where both read them: whatever one of them seals, signs or hashes,
//! the other one opens, believes and finds, at every moment.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use credit_infra::testkit::mongod::{fresh_database, shared};
use credit_tests::client::Client;
use credit_tests::people::{PASSWORD, log_in};
use credit_tests::server::{Server, on_mongodb};
use credit_tests::story::unique;
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(60);

/// A key that differs by its number and looks random.
fn key(number: u64) -> String {
    let byte =
        |index: u64| u8::try_from((number * 7919 + index * index * 31 + index * 97) % 251).expect("small");
    STANDARD.encode((0..32).map(byte).collect::<Vec<_>>())
}

/// The sets, each in a file, and the set in the file from now on.
fn write(folder: &Path, name: &str, keys: &[u64]) {
    let text: Vec<String> = keys.iter().map(|number| key(*number)).collect();
    let draft = folder.join(format!("{name}.new"));
    std::fs::write(&draft, text.join(",")).expect("written");
    std::fs::rename(draft, folder.join(name)).expect("in its place");
}

const SETS: [(&str, &str, u64); 3] = [
    ("token", "CREDIT_AUTH__TOKEN_KEYS_FILE", 10),
    ("encryption", "CREDIT_ENCRYPTION__KEYS_FILE", 20),
    ("index", "CREDIT_ENCRYPTION__INDEX_KEYS_FILE", 30),
];

fn newest(client: &Client) -> String {
    let keys = client.get("/.well-known/jwks.json").json();
    keys["keys"][0]["kid"].as_str().unwrap_or_default().to_owned()
}

/// Somebody signs up at one of them and is known at the other at once.
fn is_known_everywhere(here: &Client, there: &Client) -> Result<(), String> {
    let good = |what: &str, answer: credit_tests::client::Answer| match answer.status {
        200..300 => Ok(answer),
        status => Err(format!("{what}: {status} {}", answer.body)),
    };
    let name = unique("everywhere-");
    let email = format!("{name}@example.com");
    let body = json!({"username": name, "email": email, "password": PASSWORD});
    let made = good("sign up", here.post("/v1/auth/register", &body))?.json();
    let id = made["user"]["id"].as_str().unwrap_or_default().to_owned();
    let read = good("read", there.get(&format!("/v1/users/{id}")))?;
    if read.text("email") != email {
        return Err(format!("read: {}", read.body));
    }
    let found = good("find", there.get(&format!("/v1/users?q={email}")))?.json();
    if found["data"][0]["id"] != id.as_str() {
        return Err(format!("find: {found}"));
    }
    let token = good("log in", log_in(there, &email, PASSWORD))?.text("access_token");
    good("use the token", here.with_token(&token).get("/v1/auth/me"))?;
    Ok(())
}

#[test]
fn while_keys_are_rotated_each_process_knows_what_the_other_makes() {
    let folder = tempfile::TempDir::new().expect("a directory");
    for (name, _, number) in SETS {
        write(folder.path(), name, &[number]);
    }
    let (uri, database, cursor) = (shared().uri(), fresh_database(), key(1));
    let files = SETS.map(|(name, variable, _)| (variable, folder.path().join(name).display().to_string()));
    let mut settings = vec![
        ("CREDIT_ENCRYPTION__CURSOR_KEY", cursor.as_str()),
        ("CREDIT_SECRETS__REFRESH", "1s"),
        ("CREDIT_RATE_LIMIT__ENABLED", "false"),
        ("CREDIT_AUTH__PASSWORD__MEMORY", "64"),
        ("CREDIT_AUTH__PASSWORD__ITERATIONS", "1"),
    ];
    settings.extend(files.iter().map(|(variable, path)| (*variable, path.as_str())));
    let settings = on_mongodb(&uri, &database, &settings);
    let (one, two) = (Server::start(&settings).expect("one"), Server::start(&settings).expect("another"));
    let (here, there) = (one.app(), two.nobody().with_key(one.api_key()));
    let before = newest(&here);
    let (stop, known) = (AtomicBool::new(false), AtomicU64::new(0));

    std::thread::scope(|scope| {
        for (here, there) in [(&here, &there), (&there, &here)] {
            let (stop, known) = (&stop, &known);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    if let Err(refused) = is_known_everywhere(here, there) {
                        stop.store(true, Ordering::Relaxed);
                        panic!("{refused}");
                    }
                    known.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let rotated = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for (name, _, number) in SETS {
                write(folder.path(), name, &[number + 1, number]);
            }
            let until = Instant::now() + PATIENCE;
            while !stop.load(Ordering::Relaxed) && (newest(&here) == before || newest(&there) == before) {
                assert!(Instant::now() < until, "the new keys are not worked with\n{}", one.log());
                std::thread::sleep(Duration::from_millis(50));
            }
            // And while everything is brought under the new keys.
            let so_far = known.load(Ordering::Relaxed);
            while !stop.load(Ordering::Relaxed) && known.load(Ordering::Relaxed) < so_far + 10 {
                assert!(Instant::now() < until, "nobody goes on\n{}", one.log());
                std::thread::sleep(Duration::from_millis(50));
            }
        }));
        stop.store(true, Ordering::Relaxed);
        if let Err(panic) = rotated {
            std::panic::resume_unwind(panic);
        }
    });
    assert_eq!(newest(&here), newest(&there));
    assert!(known.load(Ordering::Relaxed) > 10, "the load was too small to tell");
}
