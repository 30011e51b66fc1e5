//! What every rate limiter promises, one function a promise. [`limits_contract_tests!`](crate::limits_contract_tests)
//! makes a test of each; the function's name is the promise.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::TestClock;
use crate::ports::limits::{Bucket, CallClass, Decision, Quota, RateLimiter, Subject, SubjectKind};

/// One test per promise of [the limiter](crate::testkit::limits_contract). Give it an async function without arguments
/// that answers `(LimiterUnderTest, anything that must live as long)`. The calling crate needs `tokio` with `macros`
/// and `rt`.
#[macro_export]
macro_rules! limits_contract_tests {
    ($factory:expr) => {
        $crate::contract_tests!(
            limits_contract,
            $factory,
            [
                as_many_calls_as_the_quota_says_go_at_once_and_no_more,
                after_the_wait_that_a_refusal_names_a_call_goes_again,
                a_bucket_that_nobody_uses_is_full_again_after_its_window,
                subjects_and_classes_have_buckets_of_their_own,
                of_many_calls_at_once_exactly_the_quota_goes,
                a_call_goes_only_if_all_its_buckets_have_room,
                what_remains_never_grows_while_no_time_passes,
                a_banned_subject_is_refused_in_every_class_until_the_ban_ends,
            ]
        );
    };
}

/// A limiter and the time that it lives in.
pub struct LimiterUnderTest {
    /// The limiter.
    pub limiter: Arc<dyn RateLimiter>,
    /// Its time.
    pub time: Arc<dyn PassTime>,
}

/// Lets time pass.
#[async_trait]
pub trait PassTime: Send + Sync {
    /// Comes back when at least this time has passed for the limiter.
    async fn pass(&self, length: Duration);
}

/// Time that passes by itself.
pub struct RealTime;

#[async_trait]
impl PassTime for RealTime {
    async fn pass(&self, length: Duration) {
        tokio::time::sleep(length).await;
    }
}

#[async_trait]
impl PassTime for TestClock {
    async fn pass(&self, length: Duration) {
        self.advance_millis(i64::try_from(length.as_micros().div_ceil(1000)).expect("a short time"));
    }
}

fn subject(id: u128) -> Subject {
    Subject { kind: SubjectKind::User, id }
}

fn bucket(id: u128, class: CallClass, calls: u32, window_seconds: u32) -> Bucket {
    let quota = Quota::try_new(calls, window_seconds).expect("a quota");
    Bucket { subject: subject(id), class, quota }
}

/// A refusal's bucket, wait, and whether it is a ban.
fn refusal(decision: Decision) -> (usize, Duration, bool) {
    match decision {
        Decision::Refused { by, retry_in, banned } => (by, retry_in, banned),
        Decision::Admitted { .. } => panic!("{decision:?}"),
    }
}

async fn admitted(limiter: &dyn RateLimiter, buckets: &[Bucket]) -> bool {
    limiter.check(buckets).await.is_admitted()
}

pub async fn as_many_calls_as_the_quota_says_go_at_once_and_no_more(under_test: LimiterUnderTest) {
    for (id, calls) in [(1, 1), (2, 7), (3, 250)] {
        // A call comes back after a minute at the earliest: a slow test does not see it.
        let bucket = bucket(id, CallClass::Write, calls, calls * 60);
        for call in 1..=calls {
            assert!(admitted(&*under_test.limiter, &[bucket]).await, "call {call} of {calls}");
        }
        let (by, retry_in, banned) = refusal(under_test.limiter.check(&[bucket]).await);
        assert_eq!((by, banned), (0, false));
        assert!(retry_in > Duration::ZERO && retry_in <= Duration::from_secs(60), "{retry_in:?}");
    }
}

pub async fn after_the_wait_that_a_refusal_names_a_call_goes_again(under_test: LimiterUnderTest) {
    let bucket = bucket(1, CallClass::Write, 2, 4);
    for _ in 0..2 {
        assert!(admitted(&*under_test.limiter, &[bucket]).await);
    }
    let (_, retry_in, _) = refusal(under_test.limiter.check(&[bucket]).await);
    assert!(retry_in <= Duration::from_secs(2), "{retry_in:?}");
    under_test.time.pass(retry_in + Duration::from_millis(1)).await;
    assert!(admitted(&*under_test.limiter, &[bucket]).await);
    refusal(under_test.limiter.check(&[bucket]).await);
}

pub async fn a_bucket_that_nobody_uses_is_full_again_after_its_window(under_test: LimiterUnderTest) {
    let bucket = bucket(1, CallClass::Read, 3, 1);
    for _ in 0..2 {
        for _ in 0..3 {
            assert!(admitted(&*under_test.limiter, &[bucket]).await);
        }
        under_test.time.pass(Duration::from_millis(1010)).await;
    }
}

pub async fn subjects_and_classes_have_buckets_of_their_own(under_test: LimiterUnderTest) {
    let here = bucket(1, CallClass::Write, 1, 60);
    let same_id = Subject { kind: SubjectKind::ApiKey, id: 1 };
    assert!(admitted(&*under_test.limiter, &[here]).await);
    refusal(under_test.limiter.check(&[here]).await);
    for other in [
        bucket(2, CallClass::Write, 1, 60),
        bucket(1, CallClass::Read, 1, 60),
        Bucket { subject: same_id, ..here },
    ] {
        assert!(admitted(&*under_test.limiter, &[other]).await, "{other:?}");
        refusal(under_test.limiter.check(&[other]).await);
    }
}

pub async fn of_many_calls_at_once_exactly_the_quota_goes(under_test: LimiterUnderTest) {
    let bucket = bucket(1, CallClass::Write, 40, 2400);
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let limiter = under_test.limiter.clone();
            tokio::spawn(async move { limiter.check(&[bucket]).await.is_admitted() })
        })
        .collect();
    let mut gone = 0;
    for call in calls {
        gone += u32::from(call.await.expect("no panic"));
    }
    assert_eq!(gone, 40);
}

pub async fn a_call_goes_only_if_all_its_buckets_have_room(under_test: LimiterUnderTest) {
    let (wide, narrow) = (bucket(1, CallClass::Write, 9, 5400), bucket(2, CallClass::Write, 2, 1200));
    for _ in 0..2 {
        assert!(admitted(&*under_test.limiter, &[wide, narrow]).await);
    }
    for _ in 0..2 {
        let (by, _, _) = refusal(under_test.limiter.check(&[wide, narrow]).await);
        assert_eq!(by, 1);
    }
    // Refused calls were charged to the wide one once each at most.
    for _ in 0..5 {
        assert!(admitted(&*under_test.limiter, &[wide]).await);
    }
}

pub async fn what_remains_never_grows_while_no_time_passes(under_test: LimiterUnderTest) {
    let (wide, narrow) = (bucket(1, CallClass::Read, 500, 30_000), bucket(2, CallClass::Read, 20, 1200));
    let mut before = 20;
    for _ in 0..20 {
        let decision = under_test.limiter.check(&[wide, narrow]).await;
        let Decision::Admitted { tightest, remaining, full_in } = decision else { panic!("{decision:?}") };
        assert_eq!(tightest, 1);
        assert!(remaining < before, "{remaining} after {before}");
        assert!(full_in > Duration::ZERO && full_in <= Duration::from_secs(1200), "{full_in:?}");
        before = remaining;
    }
    assert_eq!(before, 0);
}

pub async fn a_banned_subject_is_refused_in_every_class_until_the_ban_ends(under_test: LimiterUnderTest) {
    let limiter = &*under_test.limiter;
    let of = |id, class| bucket(id, class, 100, 6000);
    assert!(admitted(limiter, &[of(1, CallClass::Read)]).await);
    limiter.ban(subject(1), Duration::from_secs(2)).await;
    for class in [CallClass::Read, CallClass::Write, CallClass::Auth] {
        let (by, retry_in, banned) = refusal(limiter.check(&[of(2, class), of(1, class)]).await);
        assert_eq!((by, banned), (1, true));
        assert!(retry_in > Duration::ZERO && retry_in <= Duration::from_secs(2), "{retry_in:?}");
    }
    assert!(admitted(limiter, &[of(2, CallClass::Read)]).await);
    under_test.time.pass(Duration::from_millis(2010)).await;
    assert!(admitted(limiter, &[of(1, CallClass::Read)]).await);
}
