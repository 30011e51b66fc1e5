//! The limiter.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use credit_core::ports::limits::{Bucket, Decision, Quota, RateLimiter, Subject};
use moka::sync::Cache;
use parking_lot::RwLock;

use super::budget::{Answer, Budget};

/// Of each size of bucket at most about so many are kept.
const BUCKETS: usize = 100_000;
/// Bans that are kept.
const BANS: u64 = 100_000;
const LONGEST_BAN: Duration = Duration::from_secs(24 * 60 * 60);

/// Buckets in this process. Several processes that share the calls count each by itself, with the quotas divided by
/// their number.
pub struct InProcessLimits {
    replicas: NonZeroU32,
    most: usize,
    /// Few: one for each quota of the configuration.
    budgets: RwLock<Vec<(Quota, Arc<Budget>)>>,
    bans: Cache<Subject, Instant>,
    has_banned: AtomicBool,
}

#[async_trait]
impl RateLimiter for InProcessLimits {
    async fn check(&self, buckets: &[Bucket]) -> Decision {
        self.decide(buckets)
    }

    async fn ban(&self, subject: Subject, length: Duration) {
        self.ban_now(subject, length);
    }
}

impl InProcessLimits {
    /// For one of so many processes.
    pub fn new(replicas: NonZeroU32) -> Self {
        Self::with_room_for(BUCKETS, replicas)
    }

    fn with_room_for(most: usize, replicas: NonZeroU32) -> Self {
        let bans = Cache::builder().max_capacity(BANS).time_to_live(LONGEST_BAN).build();
        Self { replicas, most, budgets: RwLock::default(), bans, has_banned: AtomicBool::new(false) }
    }

    /// Decides at once.
    pub fn decide(&self, buckets: &[Bucket]) -> Decision {
        if let Some(refusal) = self.refuse_banned(buckets) {
            return refusal;
        }
        let mut tightest = (0, u32::MAX, Duration::ZERO);
        for (place, bucket) in buckets.iter().enumerate() {
            match self.budget(bucket.quota).check((bucket.subject, bucket.class)) {
                Answer::None { retry_in } => {
                    let retry_in = retry_in.max(Duration::from_micros(1));
                    return Decision::Refused { by: place, retry_in, banned: false };
                }
                Answer::Room { remaining, full_in } if remaining < tightest.1 => {
                    tightest = (place, remaining, full_in);
                }
                Answer::Room { .. } => {}
            }
        }
        let (tightest, remaining, full_in) = tightest;
        Decision::Admitted { tightest, remaining, full_in }
    }

    /// Bans at once.
    pub fn ban_now(&self, subject: Subject, length: Duration) {
        let length = length.min(LONGEST_BAN);
        self.bans.insert(subject, Instant::now() + length);
        self.has_banned.store(true, Ordering::Relaxed);
    }

    fn refuse_banned(&self, buckets: &[Bucket]) -> Option<Decision> {
        // Most processes never ban anybody, and then nothing is looked up.
        if !self.has_banned.load(Ordering::Relaxed) {
            return None;
        }
        let now = Instant::now();
        let left = |bucket: &Bucket| self.bans.get(&bucket.subject)?.checked_duration_since(now);
        let bans = buckets.iter().enumerate().filter_map(|(place, bucket)| Some((left(bucket)?, place)));
        let (retry_in, by) = bans.filter(|(left, _)| !left.is_zero()).max()?;
        Some(Decision::Refused { by, retry_in, banned: true })
    }

    fn budget(&self, quota: Quota) -> Arc<Budget> {
        if let Some((_, budget)) = self.budgets.read().iter().find(|(known, _)| *known == quota) {
            return budget.clone();
        }
        let mut budgets = self.budgets.write();
        if let Some((_, budget)) = budgets.iter().find(|(known, _)| *known == quota) {
            return budget.clone();
        }
        let budget = Arc::new(Budget::new(quota.shared_by(self.replicas), self.most));
        budgets.push((quota, budget.clone()));
        budget
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Ready, ready};

    use credit_core::ports::limits::{CallClass, SubjectKind};
    use credit_core::testkit::limits_contract::{LimiterUnderTest, RealTime};

    use super::*;

    const ONE: NonZeroU32 = NonZeroU32::MIN;

    fn fresh() -> Ready<(LimiterUnderTest, ())> {
        let limiter = Arc::new(InProcessLimits::new(ONE));
        ready((LimiterUnderTest { limiter, time: Arc::new(RealTime) }, ()))
    }

    credit_core::limits_contract_tests!(fresh);

    fn bucket(id: u128, calls: u32, window_seconds: u32) -> Bucket {
        let quota = Quota::try_new(calls, window_seconds).unwrap();
        Bucket { subject: Subject { kind: SubjectKind::Address, id }, class: CallClass::Read, quota }
    }

    #[test]
    fn each_of_four_processes_lets_a_quarter_through() {
        let limits = InProcessLimits::new(NonZeroU32::new(4).unwrap());
        let bucket = bucket(1, 100, 6000);
        let gone = (0..100).filter(|_| limits.decide(&[bucket]).is_admitted()).count();
        assert_eq!(gone, 25);
    }

    #[test]
    fn buckets_that_are_full_again_are_forgotten_and_a_flood_of_callers_stays_bounded() {
        let limits = InProcessLimits::with_room_for(2000, ONE);
        for id in 0..20_000 {
            assert!(limits.decide(&[bucket(id, 1_000_000, 1)]).is_admitted());
            assert!(limits.decide(&[bucket(id, 10, 3600)]).is_admitted());
        }
        for (_, budget) in limits.budgets.read().iter() {
            assert!(budget.len() <= 2000 + 1024, "{}", budget.len());
        }
    }
}
