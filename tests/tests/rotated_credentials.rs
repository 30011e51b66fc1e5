//! Credentials of MongoDB and Redis that are changed in Vault while people pay: they take effect without a restart, and
//! nobody is refused.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use credit_infra::testkit::mongod::{Login, Mongo, Options, fresh_database};
use credit_infra::testkit::redis_server::{RedisOptions, RedisServer};
use credit_infra::testkit::vault::{FakeVault, ROOT_TOKEN};
use credit_tests::client::Client;
use credit_tests::server::Server;
use credit_tests::story::{audit, purchase, register, transact, wallet};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(40);

fn login(user: &str) -> Login {
    Login { user: user.to_owned(), password: format!("{user}secret") }
}

/// A key that differs by its number and looks random.
fn key(number: u64) -> String {
    let byte =
        |index: u64| u8::try_from((number * 7919 + index * index * 31 + index * 97) % 251).expect("small");
    STANDARD.encode((0..32).map(byte).collect::<Vec<_>>())
}

/// What a Redis says to a command of one line.
fn ask_redis(server: &RedisServer, line: &str) -> String {
    let mut stream = TcpStream::connect(server.address()).expect("it listens");
    stream.write_all(format!("{line}\r\n").as_bytes()).expect("it is taken");
    let mut answer = [0; 256];
    let length = stream.read(&mut answer).expect("an answer");
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

#[track_caller]
fn wait(what: &str, server: &Server, is_so: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "not in time: {what}\n{}", server.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn dependency(admin: &Client, name: &str) -> Value {
    let health = admin.get("/health").json();
    let all = health["dependencies"].as_array().cloned().unwrap_or_default();
    all.into_iter().find(|one| one["name"] == name).unwrap_or_default()
}

#[test]
fn rotated_credentials_of_the_store_and_of_redis_take_effect_under_load_and_refuse_nobody() {
    let mongo = Mongo::start(Options { login: Some(login("root")), ..Options::one() });
    let database = fresh_database();
    let roles = json!([
        {"role": "readWrite", "db": &database},
        {"role": "dbAdmin", "db": &database},
        {"role": "clusterMonitor", "db": "admin"},
    ]);
    for user in ["first", "second"] {
        mongo.create_user(&login(user), &roles);
    }
    let users = ["first", "second"].map(|user| format!("user {user} on >{user}secret ~* &* +@all"));
    let redis = RedisServer::start(RedisOptions { users: users.to_vec(), ..RedisOptions::default() });
    let vault = FakeVault::up();
    let secret = |user: &str, redis_user: &str| {
        json!({
            "store.mongodb.uri": mongo.uri_as(Some(&login(user))),
            "cache.redis.url": format!("redis://{redis_user}:{redis_user}secret@{}", redis.address()),
        })
    };
    vault.put("credit", &secret("first", "first"));
    let address = vault.url();
    let keys = [1, 2, 3, 4].map(key);
    let server = Server::start(&[
        ("CREDIT_STORE__BACKEND", "mongodb"),
        ("CREDIT_STORE__MONGODB__DATABASE", &database),
        ("CREDIT_CACHE__BACKEND", "redis"),
        ("CREDIT_RATE_LIMIT__ENABLED", "false"),
        ("CREDIT_SECRETS__BACKEND", "vault"),
        ("CREDIT_SECRETS__VAULT__ADDRESS", &address),
        ("CREDIT_SECRETS__VAULT__TOKEN", ROOT_TOKEN),
        ("CREDIT_SECRETS__REFRESH", "1s"),
        ("CREDIT_AUTH__TOKEN_KEYS", &keys[0]),
        ("CREDIT_ENCRYPTION__KEYS", &keys[1]),
        ("CREDIT_ENCRYPTION__INDEX_KEYS", &keys[2]),
        ("CREDIT_ENCRYPTION__CURSOR_KEY", &keys[3]),
    ])
    .expect("a server");
    let (admin, app) = (server.admin(), server.app());
    let owner = register(&app);
    purchase(&app, &owner.wallet, 100_000);
    let (stop, landed) = (AtomicBool::new(false), AtomicU64::new(0));

    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let spend = json!({"type": "spend", "wallet_id": owner.wallet, "amount": 1});
                    let answer = transact(&app, &spend);
                    if answer.status != 201 {
                        stop.store(true, Ordering::Relaxed);
                        panic!("{}\n{}", answer.body, server.log());
                    }
                    landed.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            // Somebody who may do nothing: everything stays as it is, and Redis is not kept waiting by it.
            vault.put("credit", &secret("stranger", "second"));
            wait("Redis is reached anew", &server, || {
                server.log().contains("Redis is reached in another way")
            });
            wait("the store's are refused", &server, || server.log().contains("store.mongodb.uri"));
            assert!(!server.log().contains("the store is reached in another way"));
            assert_eq!(ask_redis(&redis, "ACL DELUSER first").trim(), ":1");
            assert_eq!(dependency(&admin, "store")["status"], "healthy");

            vault.put("credit", &secret("second", "second"));
            wait("the store is reached anew", &server, || {
                server.log().contains("the store is reached in another way")
            });
            wait("what was replaced is closed", &server, || {
                server.log().contains("the connections to the store that were replaced are closed")
            });
            mongo
                .command(0, "admin", "dropUser", &json!("first"), &json!({}))
                .unwrap_or_else(|error| panic!("the user cannot be dropped: {error}"));
            let before = landed.load(Ordering::Relaxed);
            wait("people go on paying", &server, || landed.load(Ordering::Relaxed) > before + 20);
            wait("Redis is well", &server, || dependency(&admin, "cache")["status"] == "healthy");
        }));
        stop.store(true, Ordering::Relaxed);
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    });

    let left = 100_000 - i64::try_from(landed.load(Ordering::Relaxed)).expect("few");
    assert_eq!(wallet(&app, &owner.wallet)["balance"], left);
    assert_eq!(dependency(&admin, "store")["status"], "healthy");
    audit(&admin);
    for secret in ["firstsecret", "secondsecret", "strangersecret", ROOT_TOKEN] {
        assert!(!server.log().contains(secret));
    }
}
