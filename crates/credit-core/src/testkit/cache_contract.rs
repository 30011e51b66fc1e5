//! What every cache promises, one function a promise. [`cache_contract_tests!`](crate::cache_contract_tests) makes a
//! test of each; the function's name is the promise.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::ports::cache::Cache;

/// One test per promise of [the cache](crate::testkit::cache_contract). Give it an async function without arguments
/// that answers an empty `(Arc<dyn Cache>, anything that must live as long)`.
#[macro_export]
macro_rules! cache_contract_tests {
    ($factory:expr) => {
        $crate::contract_tests!(
            cache_contract,
            $factory,
            [
                what_was_put_is_there_until_it_is_removed,
                what_was_put_again_is_the_newer_one,
                nothing_is_good_for_longer_than_it_was_put_for,
                what_comes_too_late_is_not_kept,
                any_bytes_are_kept_as_they_are,
            ]
        );
    };
}

const LONG: Duration = Duration::from_secs(60);

async fn put(cache: &dyn Cache, key: &str, value: &'static str) {
    cache.put(key, Bytes::from_static(value.as_bytes()), Instant::now(), LONG).await;
}

pub async fn what_was_put_is_there_until_it_is_removed(cache: Arc<dyn Cache>) {
    assert_eq!(cache.get("a").await, None);
    put(&*cache, "a", "one").await;
    put(&*cache, "b", "two").await;
    assert_eq!(cache.get("a").await.as_deref(), Some(&b"one"[..]));
    cache.remove("a").await;
    assert_eq!(cache.get("a").await, None);
    assert_eq!(cache.get("b").await.as_deref(), Some(&b"two"[..]));
    cache.remove("never there").await;
}

pub async fn what_was_put_again_is_the_newer_one(cache: Arc<dyn Cache>) {
    put(&*cache, "a", "one").await;
    put(&*cache, "a", "two").await;
    assert_eq!(cache.get("a").await.as_deref(), Some(&b"two"[..]));
}

pub async fn nothing_is_good_for_longer_than_it_was_put_for(cache: Arc<dyn Cache>) {
    let since = Instant::now();
    cache.put("a", Bytes::from_static(b"one"), since, Duration::from_millis(300)).await;
    let there = cache.get("a").await.is_some();
    assert!(there || since.elapsed() > Duration::from_millis(250));
    while since.elapsed() < Duration::from_millis(301) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(cache.get("a").await, None);
}

pub async fn what_comes_too_late_is_not_kept(cache: Arc<dyn Cache>) {
    let since = Instant::now();
    tokio::time::sleep(Duration::from_millis(60)).await;
    cache.put("a", Bytes::from_static(b"one"), since, Duration::from_millis(50)).await;
    assert_eq!(cache.get("a").await, None);
}

pub async fn any_bytes_are_kept_as_they_are(cache: Arc<dyn Cache>) {
    let all: Bytes = (0..=255).cycle().take(5000).collect();
    cache.put("key with spaces|and|\u{e4}", all.clone(), Instant::now(), LONG).await;
    assert_eq!(cache.get("key with spaces|and|\u{e4}").await, Some(all));
    cache.put("empty", Bytes::new(), Instant::now(), LONG).await;
    assert_eq!(cache.get("empty").await, Some(Bytes::new()));
}
