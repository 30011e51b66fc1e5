//! Two replicas on one MongoDB with Redis beside them: sessions are remembered, and a logout counts everywhere within a
//! second, whatever becomes of Redis.
#![expect(unused_must_use, reason = "an expected status is often all that a step has to show")]

use std::time::{Duration, Instant};

use credit_infra::testkit::mongod::{fresh_database, shared};
use credit_infra::testkit::redis_server::{RedisOptions, RedisServer};
use credit_tests::client::Client;
use credit_tests::contract::refused;
use credit_tests::people::{PASSWORD, Person, log_in, newcomer, post_empty, refresh};
use credit_tests::server::{Server, on_mongodb};

/// How many look-ups of sessions found something beside the store.
fn hits(server: &Server) -> u64 {
    let text = Client::nobody(&server.metrics_base().expect("an address")).get("/metrics").expect(200).body;
    let found = text.lines().find(|line| {
        line.starts_with("credit_cache_reads_total")
            && line.contains("\"session\"")
            && line.contains("\"hit\"")
    });
    found.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
}

/// Both have seen the session; one ends it. On that one it has ended, on the other at once or within a second.
fn logout_counts(one: &Server, other: &Server) {
    let person = newcomer(one);
    let elsewhere = other.nobody().with_token(&person.access);
    for _ in 0..3 {
        person.client.get("/v1/wallets").expect(200);
        elsewhere.get("/v1/wallets").expect(200);
    }
    post_empty(&person.client, "/v1/auth/logout").expect(204);
    let ended = Instant::now();
    refused(&person.client.get("/v1/wallets"), 401, "unauthenticated");
    loop {
        let asked_after = ended.elapsed();
        if elsewhere.get("/v1/wallets").status == 401 {
            break;
        }
        assert!(asked_after < Duration::from_secs(1), "it goes on after {asked_after:?}");
    }
    spent_stays_spent(one, other, &newcomer(one));
}

fn spent_stays_spent(one: &Server, other: &Server, person: &Person) {
    refresh(&one.nobody(), &person.refresh).expect(200);
    refused(&refresh(&other.nobody(), &person.refresh), 401, "refresh_token_reused");
}

#[test]
fn a_logout_counts_on_every_replica_within_a_second_with_redis_without_it_and_when_it_is_emptied() {
    let redis = RedisServer::start(RedisOptions::default());
    let url = redis.url();
    let settings = [
        ("CREDIT_CACHE__BACKEND", "redis"),
        ("CREDIT_CACHE__REDIS__URL", url.as_str()),
        ("CREDIT_AUTH__LOGIN_FAILURES_PER_ACCOUNT", "3"),
    ];
    let mongodb = shared().uri();
    let one = Server::start(&on_mongodb(&mongodb, &fresh_database(), &settings)).expect("a server");
    let other = one.start_another().expect("another server");
    let locked_out = newcomer(&one);
    for _ in 0..3 {
        refused(
            &log_in(&one.nobody(), &locked_out.username, "wrong horse battery"),
            401,
            "invalid_credentials",
        );
    }
    let still_locked_out = || {
        for server in [&one, &other] {
            refused(&log_in(&server.nobody(), &locked_out.username, PASSWORD), 429, "rate_limited");
        }
    };

    logout_counts(&one, &other);
    still_locked_out();
    assert!(hits(&one) > 0 && hits(&other) > 0);
    // Empty, as after FLUSHALL.
    redis.restart();
    logout_counts(&other, &one);
    still_locked_out();
    redis.kill();
    logout_counts(&one, &other);
    still_locked_out();
    redis.restart();
    logout_counts(&other, &one);
    still_locked_out();
}
