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

impl RedisCache {
    /// A value, and how long it is good for from before this was asked, if that is known.
    pub(super) async fn find(&self, key: &str) -> Option<(Bytes, Option<Duration>)> {
        let key = self.key(key);
        // In this order: a value that is put in between gets the end of the one before it, which is no later.
        let mut both = redis::pipe();
        both.cmd("PTTL").arg(&key).cmd("GET").arg(&key);
        let (left, value): (i64, Option<Vec<u8>>) =
            self.0.ask("cache", |mut wire| async move { both.query_async(&mut wire).await }).await?;
        let left = u64::try_from(left).ok().map(Duration::from_millis);
        Some((Bytes::from(value?), left))
    }
}

#[async_trait]
impl Cache for RedisCache {
    async fn get(&self, key: &str) -> Option<Bytes> {
        self.find(key).await.map(|(value, _)| value)
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
