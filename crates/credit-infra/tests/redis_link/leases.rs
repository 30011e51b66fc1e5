//! Several replicas on one budget, and how rarely they ask.

use std::time::{Duration, Instant};

use credit_core::ports::limits::{Decision, RateLimiter};
use credit_infra::testkit::redis_server::{RedisOptions, RedisServer, shared_url};

use crate::{admitted, bucket, connected, limits, runs, settings};

#[tokio::test]
async fn replicas_share_one_budget() {
    let settings = settings(&shared_url());
    let (one, other) = (connected(settings.clone()).await, connected(settings).await);
    let (one, other) = (limits(&one), limits(&other));
    let bucket = bucket(1, 20, 1200);
    let mut gone = 0;
    for _ in 0..20 {
        gone += admitted(&one, bucket, 1).await + admitted(&other, bucket, 1).await;
    }
    assert_eq!(gone, 20);
}

#[tokio::test]
async fn a_ban_holds_on_every_replica_and_in_every_class() {
    let settings = settings(&shared_url());
    let (one, other) = (connected(settings.clone()).await, connected(settings).await);
    let (one, other) = (limits(&one), limits(&other));
    let bucket = bucket(1, 100, 6000);
    one.ban(bucket.subject, Duration::from_secs(60)).await;
    let decision = other.check(&[bucket]).await;
    assert!(matches!(decision, Decision::Refused { banned: true, .. }), "{decision:?}");
}

#[tokio::test]
async fn a_busy_caller_asks_redis_once_in_hundreds_of_calls_and_an_exhausted_one_not_at_all() {
    let server = RedisServer::start(RedisOptions::default());
    let link = connected(settings(&server.url())).await;
    let limits = limits(&link);
    let before = runs(server.address(), "evalsha");
    let started = Instant::now();
    assert_eq!(admitted(&limits, bucket(1, 1_000_000, 10), 20_000).await, 20_000);
    let took = started.elapsed();
    // Also those of the watch: one a second.
    let asked = runs(server.address(), "evalsha") - before;
    println!("20000 calls of one caller: {asked} round trips, {took:?}");
    assert!(asked < 20_000 / 200 + 2 * took.as_secs() + 12, "{asked} in {took:?}");

    assert_eq!(admitted(&limits, bucket(2, 1, 3600), 1).await, 1);
    assert_eq!(admitted(&limits, bucket(2, 1, 3600), 1).await, 0);
    let before = runs(server.address(), "evalsha");
    let started = Instant::now();
    assert_eq!(admitted(&limits, bucket(2, 1, 3600), 2000).await, 0);
    let asked = runs(server.address(), "evalsha") - before;
    assert!(asked <= 2 + 2 * started.elapsed().as_secs(), "{asked}");
}

#[tokio::test]
async fn leases_of_several_replicas_never_let_more_through_than_the_quota() {
    let settings = settings(&shared_url());
    let mut replicas = Vec::new();
    for _ in 0..4 {
        replicas.push(connected(settings.clone()).await);
    }
    // Fills by a call in 3.6 s: what is gained while the test runs stays small.
    let bucket = bucket(1, 4000, 14_400);
    let started = Instant::now();
    let runs = replicas.iter().map(|link| {
        let limits = limits(link);
        async move { admitted(&limits, bucket, 1500).await }
    });
    let gone: u32 = futures_util::future::join_all(runs).await.into_iter().sum();
    let gained = u32::try_from(started.elapsed().as_secs() / 3 + 1).unwrap();
    assert!(gone <= 4000 + gained, "{gone}");
    assert!(gone >= 3900, "{gone}");
}
