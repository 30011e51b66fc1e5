//! The real program while Vault is absent, gone, silent, slow, sealed or talking nonsense: what it answers, what it says
//! of itself, and that it heals by itself. It never makes secrets of its own in the place of those that are in Vault.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use credit_infra::testkit::vault::{FakeVault, Mood, ROLE_ID, SECRET_ID};
use credit_tests::client::Client;
use credit_tests::contract::refused;
use credit_tests::people::{PASSWORD, log_in, newcomer, unknown};
use credit_tests::server::Server;
use credit_tests::story::{audit, purchase, register, wallet};
use serde_json::{Value, json};

const BACK_WITHIN: Duration = Duration::from_secs(10);

const BREAKER: &str = "credit_breaker_state{dependency=\"vault\"}";

/// A key that differs by its number and looks random.
fn key(number: u64) -> String {
    let byte =
        |index: u64| u8::try_from((number * 7919 + index * index * 31 + index * 97) % 251).expect("small");
    STANDARD.encode((0..32).map(byte).collect::<Vec<_>>())
}

/// All that the house needs.
fn secret() -> Value {
    json!({"auth.token_keys": key(1), "encryption": {"keys": key(2), "index_keys": [key(3)]},
        "encryption.cursor_key": key(4)})
}

fn settings(vault: &FakeVault) -> Vec<(String, String)> {
    [
        ("CREDIT_SECRETS__BACKEND", "vault"),
        ("CREDIT_SECRETS__VAULT__ADDRESS", vault.url().as_str()),
        ("CREDIT_SECRETS__VAULT__AUTH", "approle"),
        ("CREDIT_SECRETS__VAULT__ROLE_ID", ROLE_ID),
        ("CREDIT_SECRETS__VAULT__SECRET_ID", SECRET_ID),
        ("CREDIT_SECRETS__VAULT__TIMEOUT", "1s"),
        ("CREDIT_SECRETS__REFRESH", "1s"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

fn borrowed(settings: &[(String, String)]) -> Vec<(&str, &str)> {
    settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

fn start(vault: &FakeVault) -> Server {
    Server::start(&borrowed(&settings(vault))).expect("a server")
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port()
}

/// Waits until it is so.
#[track_caller]
fn within(limit: Duration, what: &str, server: &Server, is_so: impl Fn() -> bool) {
    let until = Instant::now() + limit;
    while !is_so() {
        assert!(Instant::now() < until, "not within {limit:?}: {what}\n{}", server.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn metric(base: &str, name: &str) -> Option<f64> {
    let text = Client::nobody(base).get("/metrics").body;
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

/// What the house says of Vault: its state and why.
fn vault_of(admin: &Client) -> (String, String) {
    let health = admin.get("/health").json();
    let all = health["dependencies"].as_array().cloned().unwrap_or_default();
    let vault = all.into_iter().find(|one| one["name"] == "vault").unwrap_or_default();
    let text = |name: &str| vault[name].as_str().unwrap_or_default().to_owned();
    (text("status"), vault.to_string())
}

#[test]
fn absent_at_the_start_it_is_waited_for_alive_and_not_ready_whatever_is_wrong() {
    let vault = FakeVault::absent();
    let (port, metrics_port) = (free_port().to_string(), free_port().to_string());
    let mut settings = settings(&vault);
    settings.push(("CREDIT_SERVER__PORT".into(), port.clone()));
    settings.push(("CREDIT_METRICS__PORT".into(), metrics_port.clone()));
    let mut server = Server::launch(&borrowed(&settings)).expect("it starts");
    let nobody = Client::nobody(&format!("http://127.0.0.1:{port}"));
    let metrics = format!("http://127.0.0.1:{metrics_port}");
    let is_alive = || nobody.call("GET", "/health/live", &[], None).is_ok_and(|answer| answer.status == 200);
    within(BACK_WITHIN, "it lives", &server, is_alive);

    let not_ready = || {
        assert!(is_alive());
        let ready = nobody.get("/health/ready").expect(503);
        assert!(ready.body.contains("vault is unhealthy"), "{}", ready.body);
        let refusal = log_in(&nobody, "admin", PASSWORD);
        assert_eq!(
            (refusal.status, refusal.code().as_str()),
            (503, "module_unavailable"),
            "{}",
            refusal.body
        );
        assert_eq!(metric(&metrics, "credit_vault_up"), Some(0.0));
        assert!(!server.folder().join("dev-secrets.json").exists(), "it made secrets of its own");
        assert!(!server.folder().join("dev-credentials.json").exists());
    };
    within(BACK_WITHIN, "it says why", &server, || server.log().contains("Vault cannot be reached"));
    not_ready();

    vault.start();
    for (mood, sentence) in [
        (Mood::Sealed, "Vault is sealed"),
        (Mood::Uninitialised, "Vault is not initialised"),
        (Mood::Standby, "is a standby"),
        (Mood::NoLogin, "refuses the login by AppRole"),
        (Mood::Forbidden, "Vault forbids reading secret/credit"),
        (Mood::Garbage, "does not speak like Vault"),
        (Mood::Slow(Duration::from_secs(2)), "is too slow"),
        (Mood::Well, "Vault has nothing at secret/credit"),
    ] {
        vault.set_mood(mood);
        if mood == Mood::Forbidden {
            vault.put("credit", &json!({}));
        }
        if mood == Mood::Well {
            vault.put("elsewhere", &json!({}));
            vault.put("credit", &json!({"auth.token_keys": key(1)}));
            within(BACK_WITHIN, "the missing key is named", &server, || {
                server.log().contains("encryption.index_keys: is missing")
            });
        } else {
            within(BACK_WITHIN, sentence, &server, || server.log().contains(sentence));
        }
        not_ready();
    }

    vault.put("credit", &secret());
    let begun = Instant::now();
    server.wait_until_ready().expect("ready");
    assert!(begun.elapsed() < BACK_WITHIN, "{:?}", begun.elapsed());
    let owner = register(&server.app());
    purchase(&server.app(), &owner.wallet, 100);
    assert_eq!(wallet(&server.app(), &owner.wallet)["balance"], 100);
    assert!(!server.folder().join("dev-secrets.json").exists(), "it made secrets of its own");
    assert!(!server.log().contains(SECRET_ID) && !server.log().contains(&key(1)));
}

#[test]
fn whatever_becomes_of_it_later_the_house_works_on_with_the_keys_it_has_and_says_so() {
    let vault = FakeVault::up();
    vault.put("credit", &secret());
    let server = start(&vault);
    let admin = server.admin();
    let metrics = server.metrics_base().expect("an address");
    let owner = register(&server.app());
    let healthy = || vault_of(&admin).0 == "healthy";
    within(BACK_WITHIN, "well", &server, healthy);
    let mut balance = 0;
    for (mood, sentence) in [
        (None, "cannot be reached"),
        (Some(Mood::Paused), "too slow"),
        (Some(Mood::Slow(Duration::from_secs(2))), "too slow"),
        (Some(Mood::Garbage), "does not speak like Vault"),
        (Some(Mood::Sealed), "sealed"),
        (Some(Mood::Forbidden), "forbids reading"),
    ] {
        match mood {
            None => vault.stop(),
            Some(mood) => vault.set_mood(mood),
        }
        within(BACK_WITHIN, sentence, &server, || {
            let (status, said) = vault_of(&admin);
            status == "degraded" && said.contains(sentence) && said.contains(r#""breaker":"open""#)
        });
        assert_eq!(metric(&metrics, BREAKER), Some(2.0));
        assert_eq!(server.nobody().get("/health/live").status, 200);
        assert_eq!(server.nobody().get("/health/ready").status, 200, "{mood:?}");
        assert_eq!(metric(&metrics, "credit_vault_up"), Some(0.0));
        purchase(&server.app(), &owner.wallet, 10);
        balance += 10;
        assert_eq!(wallet(&server.app(), &owner.wallet)["balance"], balance);
        let person = newcomer(&server);
        assert_eq!(log_in(&server.nobody(), &person.email, PASSWORD).status, 200);

        match mood {
            None => vault.start(),
            Some(_) => vault.set_mood(Mood::Well),
        }
        within(BACK_WITHIN, "it heals", &server, healthy);
        within(BACK_WITHIN, "the metric heals", &server, || metric(&metrics, "credit_vault_up") == Some(1.0));
        assert_eq!(metric(&metrics, BREAKER), Some(0.0));
        assert!(vault_of(&admin).1.contains(r#""breaker":"closed""#));
    }
    audit(&admin);
}

/// The id of the key that signed a token.
fn signed_by(token: &str) -> String {
    let head = URL_SAFE_NO_PAD.decode(token.split('.').next().expect("a head")).expect("base64");
    serde_json::from_slice::<Value>(&head).expect("JSON")["kid"].as_str().expect("a key").to_owned()
}

#[test]
fn keys_that_are_rotated_in_vault_work_without_a_restart_and_retired_ones_no_more() {
    let vault = FakeVault::up();
    vault.put("credit", &secret());
    let server = start(&vault);
    let person = newcomer(&server);
    let first = signed_by(&person.access);
    let rotated = |keys: Value| {
        let mut secret = secret();
        secret["auth.token_keys"] = keys;
        vault.put("credit", &secret);
    };
    let newest = || {
        let keys = server.nobody().get("/.well-known/jwks.json").json();
        let keys = keys["keys"].as_array().cloned().unwrap_or_default();
        (keys.first().and_then(|key| key["kid"].as_str().map(str::to_owned)), keys.len())
    };

    rotated(json!([key(11), key(1)]));
    within(BACK_WITHIN, "the new key is taken up", &server, || newest().1 == 2);
    assert_ne!(newest().0, Some(first.clone()));
    assert_eq!(person.client.get("/v1/auth/me").status, 200);
    let again = log_in(&server.nobody(), &person.username, PASSWORD).expect(200).text("access_token");
    assert_ne!(signed_by(&again), first);

    rotated(json!(key(11)));
    within(BACK_WITHIN, "the old key is gone", &server, || newest().1 == 1);
    unknown(&person.client.get("/v1/auth/me"));
    assert_eq!(server.nobody().with_token(&again).get("/v1/auth/me").status, 200);

    rotated(json!("garbage"));
    within(BACK_WITHIN, "nobody takes garbage", &server, || server.log().contains("the last good ones stay"));
    let (status, said) = vault_of(&server.admin());
    assert!(status == "degraded" && said.contains("auth.token_keys"), "{said}");
    assert_eq!(server.nobody().with_token(&again).get("/v1/auth/me").status, 200);
    refused(&log_in(&server.nobody(), &person.username, "not the password"), 401, "invalid_credentials");
}
