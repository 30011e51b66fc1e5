//! How often somebody may call.

use std::sync::Arc;
use std::time::Duration;

use credit_api::front_door::{LimitSettings, Limits, Quotas, TrustedProxies};
use credit_api::testkit::{TestAnswer, TestAuthenticator, TestHouse};
use credit_core::memory::MemoryLimits;
use credit_core::ports::limits::Quota;
use credit_core::testkit::TestClock;
use credit_core::{AppId, Scope, UserId};
use serde_json::json;

use super::probe::Probe;

struct World {
    house: TestHouse,
    clock: Arc<TestClock>,
}

fn quotas(calls: u32, window_seconds: u32) -> Quotas {
    let quota = Quota::try_new(calls, window_seconds).ok();
    Quotas { read: quota, write: quota, auth: quota }
}

fn settings() -> LimitSettings {
    LimitSettings {
        address: quotas(3, 30),
        user: quotas(2, 60),
        api_key: quotas(5, 5),
        ban_after: 0,
        ban_for: Duration::from_secs(300),
    }
}

impl World {
    async fn new(settings: LimitSettings) -> Self {
        let tokens = Arc::new(TestAuthenticator::default());
        for (name, number) in [("ann", 1), ("bob", 2), ("cyd", 3)] {
            tokens.learn_user(name, AppId::SYSTEM, UserId::from_u128(number), &[]);
        }
        let api_keys = Arc::new(TestAuthenticator::default());
        api_keys.learn_key("key", AppId::SYSTEM, &[Scope::WalletsWrite]);
        let clock = Arc::new(TestClock::new());
        let limits = Limits::new(Arc::new(MemoryLimits::new(clock.clone())), settings);
        let house = TestHouse::with(vec![Arc::new(Probe)]).tokens(tokens).api_keys(api_keys);
        let proxies = TrustedProxies::try_new(["127.0.0.1"]).expect("a network");
        Self { house: house.trusted_proxies(proxies).limits(limits).open().await, clock }
    }

    async fn from(&self, address: &str, headers: &[(&str, &str)]) -> TestAnswer {
        let mut all = vec![("x-forwarded-for", address)];
        all.extend(headers);
        self.house.call("GET", "/v1/things/a", &all, None).await
    }

    async fn statuses(&self, address: &str, headers: &[(&str, &str)], calls: usize) -> Vec<u16> {
        let mut statuses = Vec::new();
        for _ in 0..calls {
            statuses.push(self.from(address, headers).await.status);
        }
        statuses
    }
}

#[actix_web::test]
async fn an_answer_says_which_limits_count_and_what_is_left() {
    let world = World::new(settings()).await;
    let answer = world.from("9.9.9.9", &[]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("ratelimit-policy"), Some("\"address-read\";q=3;w=30"));
    assert_eq!(answer.header("ratelimit"), Some("\"address-read\";r=2;t=10"));
    let answer = world.from("9.9.9.9", &[("authorization", "Bearer ann")]).await;
    let both = "\"user-read\";q=2;w=60, \"address-read\";q=3;w=30";
    assert_eq!(answer.header("ratelimit-policy"), Some(both));
    assert_eq!(answer.header("ratelimit"), Some("\"user-read\";r=1;t=30"));
    // A refusal of the house says it too.
    let wrong = world.house.call("POST", "/v1/things/a", &[("x-api-key", "key")], Some(&json!({}))).await;
    assert_eq!(wrong.status, 422);
    assert_eq!(wrong.header("ratelimit"), Some("\"api_key-write\";r=4;t=1"));
}

#[actix_web::test]
async fn too_many_calls_are_429_until_as_long_as_the_answer_says() {
    let world = World::new(settings()).await;
    assert_eq!(world.statuses("9.9.9.9", &[], 4).await, [200, 200, 200, 429]);
    let answer = world.from("9.9.9.9", &[]).await;
    assert_eq!((answer.status, answer.code()), (429, "rate_limited".to_owned()));
    assert_eq!(answer.header("retry-after"), Some("10"));
    assert_eq!(answer.header("ratelimit"), Some("\"address-read\";r=0;t=10"));
    assert_eq!(answer.json()["policy"], "address-read");
    assert_eq!(world.from("9.9.9.8", &[]).await.status, 200);
    world.clock.advance_seconds(9);
    assert_eq!(world.from("9.9.9.9", &[]).await.status, 429);
    world.clock.advance_seconds(1);
    assert_eq!(world.statuses("9.9.9.9", &[], 2).await, [200, 429]);
}

#[actix_web::test]
async fn a_user_is_charged_itself_and_to_its_address_and_an_api_key_only_itself() {
    let world = World::new(settings()).await;
    let ann = [("authorization", "Bearer ann")];
    assert_eq!(world.statuses("1.1.1.1", &ann, 3).await, [200, 200, 429]);
    // From elsewhere as well: it is the user that is limited.
    assert_eq!(world.statuses("2.2.2.2", &ann, 1).await, [429]);
    // Many users at one address share what the address may.
    let bob = [("authorization", "Bearer bob")];
    assert_eq!(world.statuses("1.1.1.1", &bob, 2).await, [200, 429]);
    let key = [("x-api-key", "key")];
    assert_eq!(world.statuses("1.1.1.1", &key, 6).await, [200, 200, 200, 200, 200, 429]);
    let write = async || {
        let body = json!({"amount": 1});
        world.house.call("POST", "/v1/things/a?dry_run=true", &key, Some(&body)).await.status
    };
    for expected in [201, 201, 201, 201, 201, 429] {
        assert_eq!(write().await, expected);
    }
}

#[actix_web::test]
async fn reads_and_writes_have_limits_of_their_own() {
    let world = World::new(settings()).await;
    let ann = [("authorization", "Bearer ann")];
    assert_eq!(world.statuses("1.1.1.1", &ann, 3).await, [200, 200, 429]);
    let headers = [ann[0], ("x-forwarded-for", "1.1.1.1")];
    let answer = world.house.call("POST", "/v1/things/a", &headers, Some(&json!({}))).await;
    assert_ne!(answer.status, 429);
    assert!(answer.header("ratelimit-policy").is_some_and(|policy| policy.contains("-write")));
}

#[actix_web::test]
async fn wrong_credentials_are_charged_to_the_address() {
    let world = World::new(settings()).await;
    let guess = [("x-api-key", "guess")];
    assert_eq!(world.statuses("1.1.1.1", &guess, 5).await, [401, 401, 401, 429, 429]);
}

#[actix_web::test]
async fn an_ipv6_network_of_64_bits_is_one_address() {
    let world = World::new(settings()).await;
    for (address, status) in [
        ("2001:db8:0:1::1", 200),
        ("2001:db8:0:1::2", 200),
        ("2001:db8:0:1:ffff:ffff:ffff:ffff", 200),
        ("2001:db8:0:1::3", 429),
        ("[2001:db8:0:1::4]:4711", 429),
        ("2001:db8:0:2::1", 200),
    ] {
        assert_eq!(world.from(address, &[]).await.status, status, "{address}");
    }
}

#[actix_web::test]
async fn who_writes_forwarded_addresses_of_its_own_is_limited_all_the_same() {
    let world = World::new(settings()).await;
    for call in 0..6 {
        // The proxy adds the true one on the right.
        let spoofed = format!("10.0.0.{call}, 9.9.9.9");
        let forwarded = format!("for=10.0.1.{call}");
        let answer = world.from(&spoofed, &[("forwarded", &forwarded)]).await;
        assert_eq!(answer.status, if call < 3 { 200 } else { 429 }, "{call}");
    }
}

#[actix_web::test]
async fn who_does_not_stop_is_banned_for_a_while_in_every_class() {
    let world = World::new(LimitSettings { ban_after: 4, ..settings() }).await;
    assert_eq!(world.statuses("9.9.9.9", &[], 6).await, [200, 200, 200, 429, 429, 429]);
    let last = world.from("9.9.9.9", &[]).await;
    assert_eq!((last.status, last.header("retry-after")), (429, Some("300")));
    world.clock.advance_seconds(60);
    let headers = [("x-forwarded-for", "9.9.9.9"), ("authorization", "Bearer cyd")];
    let banned = world.house.call("POST", "/v1/things/a", &headers, Some(&json!({}))).await;
    assert_eq!((banned.status, banned.header("retry-after")), (429, Some("240")));
    assert_eq!(banned.json()["detail"], "Banned for too many refused calls.");
    world.clock.advance_seconds(240);
    assert_eq!(world.from("9.9.9.9", &[]).await.status, 200);
}

#[actix_web::test]
async fn an_api_key_is_limited_and_never_banned() {
    let world = World::new(LimitSettings { ban_after: 2, api_key: quotas(1, 1), ..settings() }).await;
    let write = async || {
        let body = json!({"amount": 1});
        let headers = [("x-api-key", "key")];
        world.house.call("POST", "/v1/things/a?dry_run=true", &headers, Some(&body)).await
    };
    assert_eq!(write().await.status, 201);
    for _ in 0..10 {
        assert_eq!(write().await.header("retry-after"), Some("1"));
    }
    world.clock.advance_seconds(1);
    assert_eq!(write().await.status, 201);
}

#[actix_web::test]
async fn what_is_not_limited_says_nothing_of_limits() {
    let unlimited = Quotas { read: None, write: None, auth: None };
    let world = World::new(LimitSettings { address: unlimited, ..settings() }).await;
    for _ in 0..20 {
        let answer = world.from("9.9.9.9", &[]).await;
        assert_eq!((answer.status, answer.header("ratelimit")), (200, None));
    }
    assert_eq!(world.house.call("GET", "/nowhere", &[], None).await.header("ratelimit-policy"), None);
}
