//! Marked passwords, tokens, keys and addresses are driven through every route, failures included, at log level debug.
//! Then they are looked for in the log, in the metrics, in refusals and in the raw files of the store, whichever it is.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use credit_infra::testkit::mongod::{Login, Mongo, Options, fresh_database};
use credit_infra::testkit::redis_server::{RedisOptions, RedisServer};
use credit_infra::testkit::vault::{FakeVault, ROLE_ID, SECRET_ID};
use credit_tests::client::{Answer, Client};
use credit_tests::people::{delete, log_in, patch, post_empty, refresh, sign_up, with_method};
use credit_tests::server::Server;
use credit_tests::story::transact;
use serde_json::{Value, json};

const PASSWORD: &str = "canary-password-5ffa11";
const NEW_PASSWORD: &str = "canary-new-password-77be01";
const WRONG_PASSWORD: &str = "canary-wrong-password-0c4d";
const ADMIN_PASSWORD: &str = "canary-admin-password-9a61";
const EMAIL: &str = "canary-address@example.com";
const NEW_EMAIL: &str = "canary-moved@example.com";
const ADMIN_EMAIL: &str = "canary-admin@example.com";
const PROFILE: &str = "canary-profile-31d2";
const WRONG_TOKEN: &str = "canary.wrong.token-d00d";
const WRONG_KEY: &str = "ck_canarywrongkeycanarywrongkeycanarywrongkeyx1";
const MONGODB_PASSWORD: &str = "canarymongodbpassword4c";
const REDIS_PASSWORD: &str = "canaryredispassword8e";
const WRONG_REFRESH: &str = "rt_canary-wrong-refresh-e441";
/// No secret: what a store keeps as it was told. Who looks into files and does not find this would find no secret either.
const KEPT_PLAIN: &str = "canary-kept-plain-6d03";

/// Everything that must be seen by nobody but its owner.
#[derive(Default)]
struct Canaries(Vec<(&'static str, String)>);

impl Canaries {
    fn add(&mut self, what: &'static str, secret: &str) {
        assert!(secret.len() >= 12 && secret.is_ascii(), "{what} cannot be looked for");
        self.0.push((what, secret.to_owned()));
    }

    /// A token, and the part of it without which it is worth nothing.
    fn add_token(&mut self, what: &'static str, token: &str) {
        self.add(what, token);
        if let Some((_, signature)) = token.rsplit_once('.') {
            self.add(what, signature);
        }
    }

    fn add_pair(&mut self, pair: &Answer) {
        self.add_token("an access token", &pair.text("access_token"));
        self.add("a refresh token", &pair.text("refresh_token"));
    }

    /// What of them is in there.
    fn in_bytes(&self, bytes: &[u8]) -> Vec<&'static str> {
        // What is no text falls out; what is looked for is all ASCII and stays.
        let text = String::from_utf8_lossy(bytes);
        self.0.iter().filter(|(_, secret)| text.contains(secret.as_str())).map(|(what, _)| *what).collect()
    }

    /// None is in there.
    #[track_caller]
    fn absent(&self, place: &str, bytes: &[u8]) {
        let found = self.in_bytes(bytes);
        assert!(found.is_empty(), "{place} holds {found:?}");
    }

    /// A refusal holds none.
    #[track_caller]
    fn refusal(&self, call: &str, answer: &Answer) {
        if answer.status < 400 {
            return;
        }
        self.absent(call, answer.body.as_bytes());
        for (name, value) in &answer.headers {
            self.absent(&format!("{call}: {name}"), value.as_bytes());
        }
    }
}

fn key(number: u8) -> [u8; 32] {
    std::array::from_fn(|index| {
        u8::try_from((usize::from(number) * 61 + index * index * 13 + index * 101) % 251).expect("small")
    })
}

/// Every route of the contract, with ids that nobody has.
fn routes(nobody: &Client) -> Vec<(String, String)> {
    let contract = nobody.get("/openapi.json").expect(200).json();
    let paths = contract["paths"].as_object().expect("paths").clone();
    let mut all = Vec::new();
    for (path, operations) in paths {
        let filled = path.replace("{id}", "usr_018f0000000070008000000000000000").replace("{file}", "x");
        let filled = filled.replace("{name}", "user_management").replace("{code}", "not_found");
        for method in operations.as_object().expect("operations").keys() {
            all.push((method.to_uppercase(), filled.clone()));
        }
    }
    all
}

/// A body that fits nowhere and is full of what must not be told again.
fn full_body() -> Value {
    json!({"username": "canary-name", "login": EMAIL, "email": EMAIL, "password": WRONG_PASSWORD,
        "current_password": WRONG_PASSWORD, "new_password": PASSWORD, "refresh_token": WRONG_REFRESH,
        "profile": {"note": PROFILE}, "canary": PASSWORD, "name": PROFILE, "type": "spend", "amount": PASSWORD,
        "metadata": {"note": PROFILE}, "app_id": WRONG_KEY, "reason": 7})
}

fn drive_everything(server: &Server, callers: &[Client], canaries: &Canaries) {
    let routes = routes(&server.nobody());
    assert!(routes.len() > 50, "{routes:?}");
    let half = format!("{{\"password\": \"{PASSWORD}\", \"email\": \"{EMAIL}\"");
    for (method, path) in &routes {
        for caller in callers {
            let with_query = format!("{path}?q={}&cursor={WRONG_REFRESH}", EMAIL.replace('@', "%40"));
            let headers = [("idempotency-key", "canary"), ("user-agent", "canary-agent")];
            let call = |path: &str, body: Option<&Value>| {
                caller.call(method, path, &headers, body).expect("an answer")
            };
            canaries.refusal(path, &call(path, Some(&full_body())));
            canaries.refusal(path, &call(path, Some(&json!([PASSWORD]))));
            canaries.refusal(path, &call(&with_query, None));
            let json = [("content-type", "application/json")];
            canaries.refusal(path, &caller.raw(method, path, &json, half.as_bytes()).expect("an answer"));
        }
    }
}

/// What one person does from its first day to its last, with everything that goes wrong on the way.
fn live(server: &Server, admin: &Client, other: &Client, canaries: &mut Canaries) {
    let nobody = server.nobody();
    let profile =
        json!({"username": "canary", "email": EMAIL, "password": PASSWORD, "profile": {"note": PROFILE}});
    let user = server.app().post("/v1/users", &profile).expect(201).text("id");
    let first = log_in(&nobody, EMAIL, PASSWORD).expect(200);
    canaries.add_pair(&first);
    let me = nobody.with_token(&first.text("access_token"));
    assert_eq!(me.get("/v1/auth/me").status, 200);
    for taken in [sign_up(&nobody, "canary", EMAIL, PASSWORD), sign_up(&nobody, "canary2", EMAIL, PASSWORD)] {
        assert_eq!(taken.status, 409);
        canaries.refusal("register", &taken);
    }
    canaries.refusal("login", &log_in(&nobody, EMAIL, WRONG_PASSWORD));
    canaries.refusal("login", &log_in(&nobody, "canary-nobody@example.com", PASSWORD));
    canaries.refusal("register", &sign_up(&nobody, "x", EMAIL, "short"));

    let second = refresh(&nobody, &first.text("refresh_token")).expect(200);
    canaries.add_pair(&second);
    canaries.refusal("refresh", &refresh(&nobody, &first.text("refresh_token")));
    canaries.refusal("refresh", &refresh(&nobody, &second.text("refresh_token")));
    canaries.refusal("refresh", &refresh(&nobody, WRONG_REFRESH));

    let third = log_in(&nobody, "canary", PASSWORD).expect(200);
    canaries.add_pair(&third);
    let me = nobody.with_token(&third.text("access_token"));
    let change = |current: &str| {
        let body = json!({"current_password": current, "new_password": NEW_PASSWORD});
        with_method(&me, "PUT", "/v1/auth/password", Some(&body))
    };
    canaries.refusal("password", &change(WRONG_PASSWORD));
    assert_eq!(change(PASSWORD).status, 204);
    let path = format!("/v1/users/{user}");
    assert_eq!(patch(&me, &path, &json!({"email": NEW_EMAIL})).status, 200);
    for stranger in [other, &nobody] {
        canaries.refusal(&path, &stranger.get(&path));
        canaries.refusal(&path, &patch(stranger, &path, &json!({"email": EMAIL})));
    }
    let wallets = me.get("/v1/wallets").expect(200).json();
    let wallet = wallets["data"][0]["id"].as_str().expect("a wallet").to_owned();
    let bought =
        json!({"type": "purchase", "wallet_id": wallet, "amount": 5, "metadata": {"note": KEPT_PLAIN}});
    assert_eq!(transact(&server.app(), &bought).status, 201);
    let note = json!({"metadata": {"note": KEPT_PLAIN}});
    assert_eq!(patch(&server.app(), &format!("/v1/wallets/{wallet}"), &note).status, 200);
    let spend = json!({"type": "spend", "wallet_id": wallet, "amount": 5});
    assert_eq!(transact(&me, &spend).status, 201);
    canaries.refusal("spend", &transact(&me, &spend));
    canaries.refusal("spend", &transact(other, &spend));

    let app = server.app().get(&path).expect(200).text("app_id");
    let wanted = json!({"app_id": app, "name": "canary", "scopes": ["users:read"]});
    let issued = admin.post("/v1/api-keys", &wanted).expect(201);
    canaries.add("an API key", &issued.text("secret"));
    let rotated = post_empty(admin, &format!("/v1/api-keys/{}/rotate", issued.text("id"))).expect(200);
    canaries.add("an API key", &rotated.text("secret"));
    assert_eq!(nobody.with_key(&rotated.text("secret")).get("/v1/users").status, 200);
    canaries.refusal("key", &nobody.with_key(&rotated.text("secret")).get("/v1/wallets"));
    assert_eq!(delete(admin, &format!("/v1/api-keys/{}", issued.text("id"))).status, 204);
    canaries.refusal("key", &nobody.with_key(&rotated.text("secret")).get("/v1/users"));

    assert_eq!(post_empty(admin, &format!("{path}/suspend")).status, 200);
    canaries.refusal("login", &log_in(&nobody, NEW_EMAIL, NEW_PASSWORD));
    canaries.refusal("me", &me.get("/v1/auth/me"));
    assert_eq!(post_empty(admin, &format!("{path}/reactivate")).status, 200);
    assert_eq!(delete(admin, &path).status, 204);
}

/// Every file under a folder, but those that are there to hold secrets.
fn files(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    const FOR_SECRETS: [&str; 3] = ["dev-credentials.json", "dev-secrets.json", "server.log"];
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        if path.is_dir() {
            files(&path, found);
        } else if !FOR_SECRETS.iter().any(|kept| name == *kept) {
            found.push(path);
        }
    }
}

/// None is in a file of a folder. Answers in which files that stands which is no secret.
fn absent_from_files(canaries: &Canaries, folder: &Path) -> Vec<String> {
    let mut all = Vec::new();
    files(folder, &mut all);
    let mut plain = Vec::new();
    for file in all {
        let (name, bytes) = (file.display().to_string(), std::fs::read(&file).expect("readable"));
        canaries.absent(&name, &bytes);
        if String::from_utf8_lossy(&bytes).contains(KEPT_PLAIN) {
            plain.push(name);
        }
    }
    plain
}

#[test]
fn no_secret_and_no_address_is_in_a_log_a_metric_a_refusal_or_a_file_of_the_store() {
    drive(&[], &[], |canaries, folder| {
        let plain = absent_from_files(canaries, folder);
        for file in ["journal.redb", "documents.redb"] {
            assert!(plain.iter().any(|name| name.ends_with(file)), "{file} is not as it was told: {plain:?}");
        }
    });
}

/// The same where the secrets are Vault's, the store is MongoDB and limits are on Redis, each with a password.
#[test]
fn neither_are_the_passwords_of_mongodb_redis_and_vault() {
    let login = |user: &str, password: &str| Login { user: user.to_owned(), password: password.to_owned() };
    let mongo = Mongo::start(Options {
        login: Some(login("root", MONGODB_PASSWORD)),
        arguments: IN_PLAIN.map(ToOwned::to_owned).to_vec(),
        ..Options::one()
    });
    let redis = RedisServer::start(RedisOptions {
        password: Some(REDIS_PASSWORD.to_owned()),
        ..RedisOptions::default()
    });
    let (database, vault) = (fresh_database(), FakeVault::up());
    vault.put(
        "credit",
        &json!({
            "store.mongodb.uri": mongo.uri(),
            "cache.redis.url": format!("redis://:{REDIS_PASSWORD}@{}", redis.address()),
        }),
    );
    let address = vault.url();
    let settings = [
        ("CREDIT_STORE__BACKEND", "mongodb"),
        ("CREDIT_STORE__MONGODB__DATABASE", database.as_str()),
        ("CREDIT_CACHE__BACKEND", "redis"),
        ("CREDIT_SECRETS__BACKEND", "vault"),
        ("CREDIT_SECRETS__VAULT__ADDRESS", &address),
        ("CREDIT_SECRETS__VAULT__AUTH", "approle"),
        ("CREDIT_SECRETS__VAULT__ROLE_ID", ROLE_ID),
        ("CREDIT_SECRETS__VAULT__SECRET_ID", SECRET_ID),
        ("CREDIT_SECRETS__REFRESH", "1s"),
    ];
    let secrets = [
        ("the password of MongoDB", MONGODB_PASSWORD),
        ("the password of Redis", REDIS_PASSWORD),
        ("the secret id of Vault", SECRET_ID),
    ];
    drive(&settings, &secrets, |canaries, folder| {
        absent_from_files(canaries, folder);
        let rows = mongo.everything(&database);
        assert!(rows.len() > 20, "{}", rows.len());
        for (collection, row) in rows {
            canaries.absent(&collection, row.to_string().as_bytes());
        }
        mongo.stop(0);
        let plain = absent_from_files(canaries, &mongo.folder(0));
        println!("in these files stands what is no secret: {plain:?}");
        // Of the rows, and of what is kept of each write for other nodes: two files at least.
        let collections = plain.iter().filter(|name| name.contains("/data/collection-")).count();
        assert!(collections >= 2, "the files of MongoDB are not as they were told: {plain:?}");
    });
}

/// So that the files of MongoDB have what they keep as it is. It does not wait for nodes that it does not have, when it
/// is stopped.
const IN_PLAIN: [&str; 8] = [
    "--wiredTigerCollectionBlockCompressor",
    "none",
    "--wiredTigerJournalCompressor",
    "none",
    "--wiredTigerIndexPrefixCompression",
    "false",
    "--setParameter",
    "shutdownTimeoutMillisForSignaledShutdown=100",
];

/// Drives them through everything on a server with these settings and secrets too, and looks for them; last in what is
/// kept, when the server has ended: its folder is told.
fn drive(
    more: &[(&str, &str)],
    secrets: &[(&'static str, &str)],
    look_into_what_is_kept: impl FnOnce(&Canaries, &Path),
) {
    let keys: Vec<String> = (1..=4).map(|number| STANDARD.encode(key(number))).collect();
    let mut settings = vec![
        ("CREDIT_LOG__LEVEL", "debug"),
        ("CREDIT_AUTH__TOKEN_KEYS", keys[0].as_str()),
        ("CREDIT_ENCRYPTION__KEYS", &keys[1]),
        ("CREDIT_ENCRYPTION__INDEX_KEYS", &keys[2]),
        ("CREDIT_ENCRYPTION__CURSOR_KEY", &keys[3]),
        ("CREDIT_BOOTSTRAP__ADMIN_USERNAME", "canary-root"),
        ("CREDIT_BOOTSTRAP__ADMIN_EMAIL", ADMIN_EMAIL),
        ("CREDIT_BOOTSTRAP__ADMIN_PASSWORD", ADMIN_PASSWORD),
        ("CREDIT_AUTH__LOGIN_FAILURES_PER_ACCOUNT", "1000000"),
        ("CREDIT_AUTH__LOGIN_FAILURES_PER_ADDRESS", "1000000"),
        ("CREDIT_AUTH__PASSWORD__MEMORY", "64"),
        ("CREDIT_AUTH__PASSWORD__ITERATIONS", "1"),
    ];
    settings.extend_from_slice(more);
    let mut server = Server::start(&settings).expect("a server");
    let mut canaries = Canaries::default();
    for (what, secret) in [
        ("a password", PASSWORD),
        ("a new password", NEW_PASSWORD),
        ("a wrong password", WRONG_PASSWORD),
        ("the admin's password", ADMIN_PASSWORD),
        ("an address", EMAIL),
        ("a new address", NEW_EMAIL),
        ("the admin's address", ADMIN_EMAIL),
        ("a profile", PROFILE),
        ("a wrong token", WRONG_TOKEN),
        ("a wrong API key", WRONG_KEY),
        ("a wrong refresh token", WRONG_REFRESH),
        ("the API key of the start", server.api_key()),
    ] {
        canaries.add(what, secret);
    }
    for (what, secret) in secrets.iter().copied() {
        canaries.add(what, secret);
    }
    for number in 1..=4 {
        for text in [STANDARD.encode(key(number)), URL_SAFE.encode(key(number))] {
            canaries.add("a key", &text);
        }
    }
    let admin = server.admin();
    let other = sign_up(&server.nobody(), "other", "canary-other@example.com", PASSWORD).expect(201);
    canaries.add("another's address", "canary-other@example.com");
    canaries.add_pair(&other);
    let other = server.nobody().with_token(&other.text("access_token"));
    live(&server, &admin, &other, &mut canaries);
    let nobody = server.nobody();
    let callers =
        [nobody.with_token(WRONG_TOKEN), nobody.with_key(WRONG_KEY), nobody, other, server.app(), admin];
    drive_everything(&server, &callers, &canaries);

    let metrics = Client::nobody(&server.metrics_base().expect("an address")).get("/metrics").expect(200);
    canaries.absent("the metrics", metrics.body.as_bytes());
    assert_eq!(server.terminate().expect("it ends"), Some(0));
    let log = server.log();
    assert!(log.contains("\"level\":\"DEBUG\""), "the log is not at level debug");
    let (told, shown): (Vec<&str>, Vec<&str>) = log.lines().partition(|line| line.starts_with('{'));
    canaries.absent("the log", told.join("\n").as_bytes());
    // What the program tells a person who tries it, on the standard output, ends with the call that it shows.
    let mut shown = canaries.in_bytes(shown.join("\n").as_bytes());
    shown.retain(|what| *what != "the API key of the start");
    assert!(shown.is_empty(), "what is printed beside the log holds {shown:?}");

    for number in 1..=4 {
        canaries.add("raw key", &URL_SAFE_NO_PAD.encode(key(number)));
    }
    look_into_what_is_kept(&canaries, server.folder());
}
