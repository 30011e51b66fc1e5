//! A cache in this process.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use credit_core::ports::cache::Cache;
use moka::Expiry;
use moka::sync::Cache as Entries;

/// Keeps what is small and short-lived, up to a number of entries.
pub struct LocalCache(Entries<Box<str>, Entry>);

#[derive(Clone)]
struct Entry {
    value: Bytes,
    good_until: Instant,
}

struct UntilItIsOld;

impl Expiry<Box<str>, Entry> for UntilItIsOld {
    fn expire_after_create(&self, _: &Box<str>, entry: &Entry, now: Instant) -> Option<Duration> {
        Some(entry.good_until.saturating_duration_since(now))
    }

    fn expire_after_update(
        &self,
        key: &Box<str>,
        entry: &Entry,
        now: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        self.expire_after_create(key, entry, now)
    }
}

impl LocalCache {
    /// For at most so many entries.
    pub fn new(most: u64) -> Self {
        Self(Entries::builder().max_capacity(most).expire_after(UntilItIsOld).build())
    }
}

#[async_trait]
impl Cache for LocalCache {
    async fn get(&self, key: &str) -> Option<Bytes> {
        let entry = self.0.get(key)?;
        // What is evicted is evicted a little late.
        (Instant::now() < entry.good_until).then_some(entry.value)
    }

    async fn put(&self, key: &str, value: Bytes, since: Instant, ttl: Duration) {
        let good_until = since.checked_add(ttl).filter(|until| Instant::now() < *until);
        if let Some(good_until) = good_until {
            self.0.insert(key.into(), Entry { value, good_until });
        }
    }

    async fn remove(&self, key: &str) {
        self.0.invalidate(key);
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Ready, ready};
    use std::sync::Arc;

    use super::*;

    fn fresh() -> Ready<(Arc<dyn Cache>, ())> {
        ready((Arc::new(LocalCache::new(1000)), ()))
    }

    credit_core::cache_contract_tests!(fresh);
}
