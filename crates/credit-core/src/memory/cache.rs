//! A cache in memory.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;

use crate::ports::cache::Cache;

/// A cache in memory: the reference that others are compared with. It grows until what it keeps is too old.
#[derive(Default)]
pub struct MemoryCache(Mutex<HashMap<String, (Bytes, Instant)>>);

impl MemoryCache {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl Cache for MemoryCache {
    async fn get(&self, key: &str) -> Option<Bytes> {
        let mut kept = self.0.lock();
        let (value, good_until) = kept.get(key)?;
        if Instant::now() < *good_until {
            return Some(value.clone());
        }
        kept.remove(key);
        None
    }

    async fn put(&self, key: &str, value: Bytes, since: Instant, ttl: Duration) {
        let now = Instant::now();
        let mut kept = self.0.lock();
        kept.retain(|_, (_, good_until)| now < *good_until);
        if let Some(good_until) = since.checked_add(ttl).filter(|until| now < *until) {
            kept.insert(key.to_owned(), (value, good_until));
        }
    }

    async fn remove(&self, key: &str) {
        self.0.lock().remove(key);
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Ready, ready};
    use std::sync::Arc;

    use super::*;

    fn fresh() -> Ready<(Arc<dyn Cache>, ())> {
        ready((Arc::new(MemoryCache::new()), ()))
    }

    crate::cache_contract_tests!(fresh);
}
