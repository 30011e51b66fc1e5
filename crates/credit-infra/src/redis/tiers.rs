//! A cache in the process before the one that all replicas share.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use credit_core::ports::cache::Cache;

use super::cache::RedisCache;
use crate::limits::LocalCache;

/// What this process put is found near, what others put is found far, and near from then on until its time is over: nothing
/// lives longer than it was put for.
pub struct TieredCache {
    near: LocalCache,
    far: RedisCache,
}

impl TieredCache {
    /// One before the other.
    pub fn new(near: LocalCache, far: RedisCache) -> Self {
        Self { near, far }
    }
}

#[async_trait]
impl Cache for TieredCache {
    async fn get(&self, key: &str) -> Option<Bytes> {
        if let Some(value) = self.near.get(key).await {
            return Some(value);
        }
        let asked = Instant::now();
        let (value, left) = self.far.find(key).await?;
        if let Some(left) = left {
            self.near.put(key, value.clone(), asked, left).await;
        }
        Some(value)
    }

    async fn put(&self, key: &str, value: Bytes, since: Instant, ttl: Duration) {
        self.near.put(key, value.clone(), since, ttl).await;
        self.far.put(key, value, since, ttl).await;
    }

    async fn remove(&self, key: &str) {
        self.near.remove(key).await;
        self.far.remove(key).await;
    }
}
