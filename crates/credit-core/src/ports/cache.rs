//! What was read lately and may be a little old. Losing all of it loses nothing but time.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;

/// Keeps values for a short while. It never fails: what cannot be read was not kept.
#[async_trait]
pub trait Cache: Send + Sync {
    /// What was put under a key and is still good.
    async fn get(&self, key: &str) -> Option<Bytes>;

    /// Keeps what was true at `since` for `ttl` from then on, and not longer, however late this call arrives where it
    /// is kept.
    async fn put(&self, key: &str, value: Bytes, since: Instant, ttl: Duration);

    /// Forgets what was put under a key. Somebody may put it again who read it before.
    async fn remove(&self, key: &str);
}
