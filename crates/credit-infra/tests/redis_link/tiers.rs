//! A cache in each of two processes before the one that they share.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use credit_core::ports::cache::Cache;
use credit_infra::limits::LocalCache;
use credit_infra::redis::{RedisCache, RedisLink, TieredCache};
use credit_infra::testkit::redis_server::{RedisOptions, RedisServer};

use crate::{connected, runs, settings};

const GOOD_FOR: Duration = Duration::from_secs(2);
/// Redis tells the time that is left in whole milliseconds.
const EDGE: Duration = Duration::from_millis(2);

fn process(link: &Arc<RedisLink>) -> TieredCache {
    TieredCache::new(LocalCache::new(100), RedisCache::new(link.clone()))
}

#[tokio::test]
async fn what_others_put_is_asked_for_once_and_is_good_no_longer_than_they_said() {
    let redis = RedisServer::start(RedisOptions::default());
    let link = connected(settings(&redis.url())).await;
    let (here, there) = (process(&link), process(&link));
    let put = Instant::now();
    there.put("a", Bytes::from_static(b"one"), put, GOOD_FOR).await;
    let before = runs(redis.address(), "get");
    let (mut asked, mut found) = (0, 0);
    loop {
        let began = put.elapsed();
        let Some(value) = here.get("a").await else { break };
        assert_eq!(&value[..], b"one");
        assert!(began < GOOD_FOR + EDGE, "asked for after {began:?}");
        found += 1;
        if began < GOOD_FOR / 2 {
            asked = runs(redis.address(), "get") - before;
        }
    }
    assert!(put.elapsed() > GOOD_FOR / 2, "it was gone after {:?}", put.elapsed());
    assert!(found > 10, "{found}");
    assert_eq!(asked, 1, "asked for {found} times");

    // A newer one is found when the time of the older is over; what is taken away here is gone everywhere by then.
    there.put("a", Bytes::from_static(b"two"), Instant::now(), GOOD_FOR).await;
    assert_eq!(here.get("a").await.as_deref(), Some(&b"two"[..]));
    there.remove("a").await;
    let removed = Instant::now();
    loop {
        let began = removed.elapsed();
        if here.get("a").await.is_none() {
            break;
        }
        assert!(began < GOOD_FOR + EDGE, "asked for {began:?} after it was taken away");
    }
}
