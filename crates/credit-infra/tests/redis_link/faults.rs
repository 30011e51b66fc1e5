//! Redis away, back, silent, slow, emptied, and talking nonsense.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use credit_core::ports::cache::Cache;
use credit_core::ports::limits::RateLimiter;
use credit_infra::redis::{RedisCache, RedisLink};
use credit_infra::testkit::proxy::{Mode, Proxy};
use credit_infra::testkit::redis_server::{RedisOptions, RedisServer};

use crate::{admitted, bucket, connected, impatient, limits, settings, started, tell};

const BACK_WITHIN: Duration = Duration::from_secs(10);

/// Until nobody asks Redis any more.
async fn given_up(link: &RedisLink) -> Duration {
    let started = Instant::now();
    while link.failure().is_none() {
        assert!(started.elapsed() < Duration::from_secs(10), "it is still asked");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    started.elapsed()
}

/// How long a call takes when it is known that Redis is away: a thousand of them.
async fn thousand_calls(limits: &dyn RateLimiter, id: u128) -> Duration {
    let started = Instant::now();
    admitted(limits, bucket(id, 100_000, 1), 1000).await;
    started.elapsed()
}

#[tokio::test]
async fn without_redis_the_process_counts_by_itself_at_once_and_goes_over_when_redis_comes() {
    let server = RedisServer::start(RedisOptions::default());
    server.kill();
    let link = started(impatient(&server.url())).expect("settings that fit");
    let limits = limits(&link);
    assert_eq!(admitted(&limits, bucket(1, 5, 300), 8).await, 5);
    let took = thousand_calls(&limits, 2).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert!(link.failure().is_some());
    assert_eq!(link.breaker(), "open");
    server.restart();
    assert!(link.ready_within(BACK_WITHIN).await, "{link:?}");
    assert_eq!(link.breaker(), "closed");
    // A budget of its own again, for it is the shared one now.
    assert_eq!(admitted(&limits, bucket(1, 5, 300), 8).await, 5);
}

#[tokio::test]
async fn a_redis_that_is_killed_costs_one_call_its_answer_and_comes_back_by_itself() {
    let server = RedisServer::start(RedisOptions::default());
    let link = connected(impatient(&server.url())).await;
    let limits = limits(&link);
    assert_eq!(admitted(&limits, bucket(1, 5, 300), 8).await, 5);
    server.kill();
    let started = Instant::now();
    assert_eq!(admitted(&limits, bucket(2, 5, 300), 8).await, 5);
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    given_up(&link).await;
    server.restart();
    assert!(link.ready_within(BACK_WITHIN).await, "{link:?}");
}

#[tokio::test]
async fn a_redis_that_hangs_is_waited_for_once_and_then_left_alone() {
    let server = RedisServer::start(RedisOptions::default());
    let link = connected(impatient(&server.url())).await;
    let limits = Arc::new(limits(&link));
    for pause in 0..2_u128 {
        assert!(link.ready_within(BACK_WITHIN).await, "{link:?}");
        if pause == 0 {
            server.pause();
        } else {
            tell(server.address(), "CLIENT PAUSE 3000 ALL");
        }
        let started = Instant::now();
        assert_eq!(admitted(&*limits, bucket(10 + pause, 5, 300), 8).await, 5);
        let took = started.elapsed();
        assert!(took < Duration::from_millis(1500), "{took:?}");
        given_up(&link).await;
        let took = thousand_calls(&*limits, 20 + pause).await;
        assert!(took < Duration::from_secs(1), "{took:?}");
        server.resume();
    }
    assert!(link.ready_within(BACK_WITHIN).await, "{link:?}");
}

#[tokio::test]
async fn a_slow_redis_and_one_that_talks_nonsense_are_left_alone_until_they_are_well() {
    let server = RedisServer::start(RedisOptions::default());
    let proxy = Proxy::to(server.address());
    let link = connected(impatient(&server.url_at(proxy.address()))).await;
    let limits = limits(&link);
    for (number, mode) in [Mode::Delay(Duration::from_secs(2)), Mode::Garbage].into_iter().enumerate() {
        let number = u128::try_from(number).unwrap();
        assert!(link.ready_within(BACK_WITHIN).await, "{link:?}");
        proxy.set(mode);
        assert_eq!(admitted(&limits, bucket(1 + number, 5, 300), 8).await, 5);
        given_up(&link).await;
        let took = thousand_calls(&limits, 10 + number).await;
        assert!(took < Duration::from_secs(1), "{took:?}");
        proxy.set(Mode::Pass);
        // As a restart of the network in between would.
        proxy.cut_all();
    }
    assert!(link.ready_within(BACK_WITHIN).await, "{link:?}");
    assert_eq!(admitted(&limits, bucket(30, 5, 300), 8).await, 5);
}

#[tokio::test]
async fn an_emptied_redis_only_begins_anew() {
    let server = RedisServer::start(RedisOptions::default());
    let link = connected(settings(&server.url())).await;
    let limits = limits(&link);
    let cache = RedisCache::new(link.clone());
    cache.put("a", Bytes::from_static(b"one"), Instant::now(), BACK_WITHIN).await;
    assert_eq!(admitted(&limits, bucket(1, 3, 300), 3).await, 3);
    assert_eq!(tell(server.address(), "FLUSHALL"), "+OK");
    assert_eq!(tell(server.address(), "SCRIPT FLUSH"), "+OK");
    assert_eq!(cache.get("a").await, None);
    // The script is brought again, and nobody notices.
    assert_eq!(admitted(&limits, bucket(1, 3, 300), 4).await, 3);
    assert_eq!(link.failure(), None);
}

#[tokio::test]
async fn a_redis_that_cannot_write_or_refuses_the_password_is_away_and_the_reason_has_no_secret() {
    let password = "hunter2hunter2".to_owned();
    let users = vec!["user credit on >secretword ~* +@all".to_owned()];
    let options = RedisOptions { password: Some(password), users, ..RedisOptions::default() };
    let server = RedisServer::start(options);
    connected(settings(&server.url())).await;
    let by_user = format!("redis://credit:secretword@{}", server.address());
    connected(settings(&by_user)).await;
    let wrong = format!("redis://credit:wrongword@{}", server.address());
    let link = started(impatient(&wrong)).expect("settings that fit");
    assert!(!link.ready_within(Duration::from_millis(700)).await);
    let why = link.failure().expect("a reason");
    assert!(why.contains("credentials") && !why.contains("word"), "{why}");
    // Other credentials, as a rotation brings them, without a restart.
    link.reconnect(settings(&by_user)).expect("settings that fit");
    assert!(link.ready_within(BACK_WITHIN).await, "{link:?}");
    assert!(!format!("{:?}", settings(&by_user)).contains("secretword"));

    let full = RedisOptions { arguments: vec!["--maxmemory 1".to_owned()], ..RedisOptions::default() };
    let server = RedisServer::start(full);
    let link = started(impatient(&server.url())).expect("settings that fit");
    assert!(!link.ready_within(Duration::from_millis(700)).await);
    assert!(link.failure().is_some_and(|why| why.contains("OOM")), "{link:?}");
    assert_eq!(admitted(&limits(&link), bucket(1, 5, 300), 8).await, 5);
}
