//! Redis behind Sentinels and as a Cluster.

use std::time::Instant;

use bytes::Bytes;
use credit_core::ports::cache::Cache;
use credit_core::ports::limits::RateLimiter;
use credit_infra::redis::RedisCache;
use credit_infra::testkit::redis_server::{RedisOptions, RedisServer};

use crate::{admitted, bucket, connected, limits, settings, started, tell};

#[tokio::test]
async fn the_master_is_found_by_its_sentinel_and_found_again_when_it_comes_back() {
    let users = vec!["user credit on >secretword ~* +@all".to_owned()];
    let master = RedisServer::start(RedisOptions { users, ..RedisOptions::default() });
    let sentinel = RedisServer::start(RedisOptions {
        sentinel_of: Some(("main".to_owned(), master.address())),
        password: Some("watchword".to_owned()),
        ..RedisOptions::default()
    });
    let url = format!("redis-sentinel://credit:secretword@{}/main", sentinel.address());
    let unknown = started(settings(&url)).expect("settings that fit");
    assert!(
        !unknown.ready_within(std::time::Duration::from_millis(800)).await,
        "the Sentinel wants a password"
    );
    let url = format!("{url}?sentinel=default:watchword");
    let link = connected(settings(&url)).await;
    assert_eq!(admitted(&limits(&link), bucket(1, 3, 300), 5).await, 3);
    master.restart();
    // The failure is noticed at the next look, at the latest.
    let begun = Instant::now();
    while link.failure().is_none() && begun.elapsed().as_secs() < 3 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!(link.ready_within(std::time::Duration::from_secs(10)).await, "{link:?}");
    assert_eq!(admitted(&limits(&link), bucket(2, 3, 300), 5).await, 3);
}

#[tokio::test]
async fn in_a_cluster_buckets_lie_where_their_owner_lies() {
    let arguments = vec!["--cluster-enabled yes".to_owned()];
    let node = RedisServer::start(RedisOptions { arguments, ..RedisOptions::default() });
    assert_eq!(tell(node.address(), "CLUSTER ADDSLOTSRANGE 0 16383"), "+OK");
    let begun = Instant::now();
    while tell(node.address(), "SET ready 1") != "+OK" {
        assert!(begun.elapsed().as_secs() < 10, "the cluster does not come up");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let link = connected(settings(&format!("redis-cluster://{}", node.address()))).await;
    let limits = limits(&link);
    // Two owners lie in two slots: one script each, both charged.
    for _ in 0..3 {
        assert!(limits.check(&[bucket(1, 3, 300), bucket(2, 5, 300)]).await.is_admitted());
    }
    assert!(!limits.check(&[bucket(1, 3, 300), bucket(2, 5, 300)]).await.is_admitted());
    // The fourth call may have been charged to the other bucket.
    assert!((1..=2).contains(&admitted(&limits, bucket(2, 5, 300), 5).await));
    let cache = RedisCache::new(link.clone());
    cache.put("a", Bytes::from_static(b"one"), Instant::now(), std::time::Duration::from_secs(60)).await;
    assert_eq!(cache.get("a").await.as_deref(), Some(&b"one"[..]));
    assert_eq!(link.failure(), None);
}
