//! Buckets in memory.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;

use crate::Clock;
use crate::ports::limits::{Bucket, Decision, RateLimiter, Subject};

/// Beyond so many, buckets that are full again are forgotten.
const KEPT: usize = 10_000;

/// Buckets in memory: the reference that other limiters are compared with.
pub struct MemoryLimits {
    clock: Arc<dyn Clock>,
    kept: Mutex<Kept>,
}

/// Instants are in microseconds.
#[derive(Default)]
struct Kept {
    full_at: HashMap<Bucket, u64>,
    banned_until: HashMap<Subject, u64>,
}

/// One bucket as it is now.
struct Level {
    full_at: u64,
    remaining: u64,
    retry_in: u64,
}

impl MemoryLimits {
    /// Full buckets.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, kept: Mutex::default() }
    }

    fn now(&self) -> u64 {
        self.clock.now().sortable() * 1000
    }
}

impl Kept {
    fn level(&self, bucket: &Bucket, now: u64) -> Level {
        let (calls, per_call) = (u64::from(bucket.quota.calls()), bucket.quota.micros_per_call());
        let full_at = self.full_at.get(bucket).copied().unwrap_or(now).max(now);
        let room = (now + calls * per_call).saturating_sub(full_at);
        Level { full_at, remaining: room / per_call, retry_in: per_call.saturating_sub(room) }
    }

    fn forget_the_full(&mut self, now: u64) {
        if self.full_at.len() > KEPT {
            self.full_at.retain(|_, full_at| *full_at > now);
        }
        if self.banned_until.len() > KEPT {
            self.banned_until.retain(|_, until| *until > now);
        }
    }
}

#[async_trait]
impl RateLimiter for MemoryLimits {
    async fn check(&self, buckets: &[Bucket]) -> Decision {
        let now = self.now();
        let mut kept = self.kept.lock();
        kept.forget_the_full(now);
        let bans = buckets.iter().enumerate().filter_map(|(place, bucket)| {
            let until = kept.banned_until.get(&bucket.subject)?;
            until.checked_sub(now).filter(|left| *left > 0).map(|left| (left, place))
        });
        if let Some((left, by)) = bans.max() {
            return Decision::Refused { by, retry_in: Duration::from_micros(left), banned: true };
        }
        let levels: Vec<Level> = buckets.iter().map(|bucket| kept.level(bucket, now)).collect();
        let empty = levels.iter().enumerate().filter(|(_, level)| level.remaining == 0);
        if let Some((by, level)) = empty.max_by_key(|(_, level)| level.retry_in) {
            let retry_in = Duration::from_micros(level.retry_in.max(1));
            return Decision::Refused { by, retry_in, banned: false };
        }
        for (bucket, level) in buckets.iter().zip(&levels) {
            kept.full_at.insert(*bucket, level.full_at + bucket.quota.micros_per_call());
        }
        let tightest = (0..buckets.len()).min_by_key(|place| levels[*place].remaining).unwrap_or(0);
        let after = buckets.get(tightest).map(|bucket| kept.level(bucket, now));
        Decision::Admitted {
            tightest,
            remaining: after.as_ref().map_or(u32::MAX, |l| u32::try_from(l.remaining).unwrap_or(u32::MAX)),
            full_in: Duration::from_micros(after.map_or(0, |level| level.full_at - now)),
        }
    }

    async fn ban(&self, subject: Subject, length: Duration) {
        let length = u64::try_from(length.as_micros()).unwrap_or(u64::MAX);
        let until = self.now().saturating_add(length);
        self.kept.lock().banned_until.insert(subject, until);
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Ready, ready};

    use super::*;
    use crate::testkit::TestClock;
    use crate::testkit::limits_contract::LimiterUnderTest;

    fn fresh() -> Ready<(LimiterUnderTest, ())> {
        let time = Arc::new(TestClock::new());
        let limiter = Arc::new(MemoryLimits::new(time.clone()));
        ready((LimiterUnderTest { limiter, time }, ()))
    }

    crate::limits_contract_tests!(fresh);
}
