//! A cache that all replicas share.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use credit_core::ports::cache::Cache;

use super::link::RedisLink;

/// Values in Redis. While Redis is away, nothing is kept and nothing is known.
///
/// A value carries the instant when it ends, in Redis' own time: one that is sent and arrives late ends no later.
pub struct RedisCache(Arc<RedisLink>);

impl RedisCache {
    /// Over this connection.
    pub fn new(link: Arc<RedisLink>) -> Self {
        Self(link)
    }

    fn key(&self, key: &str) -> String {
        self.0.key(format_args!("cache:{key}"))
    }
}

#[async_trait]
impl Cache for RedisCache {
    async fn get(&self, key: &str) -> Option<Bytes> {
        let key = self.key(key);
        let value: Option<Vec<u8>> = self
            .0
            .ask("cache", |mut wire| async move { redis::cmd("GET").arg(key).query_async(&mut wire).await })
            .await?;
        value.map(Bytes::from)
    }

    async fn put(&self, key: &str, value: Bytes, since: Instant, ttl: Duration) {
        let Some(until) = since.checked_add(ttl).filter(|until| Instant::now() < *until) else { return };
        let Some(clock) = self.0.clock() else { return };
        let (key, ends_at) = (self.key(key), clock.millis_at(until));
        let _kept: Option<()> = self
            .0
            .ask("cache", |mut wire| async move {
                let mut command = redis::cmd("SET");
                command.arg(key).arg(&value[..]).arg("PXAT").arg(ends_at);
                command.query_async(&mut wire).await
            })
            .await;
    }

    async fn remove(&self, key: &str) {
        let key = self.key(key);
        let _removed: Option<()> = self
            .0
            .ask("cache", |mut wire| async move { redis::cmd("DEL").arg(key).query_async(&mut wire).await })
            .await;
    }
}
