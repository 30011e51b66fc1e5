//! Calls that Redis granted ahead, to be used up here.
//!
//! A lease is bounded: at most a tenth of the bucket, half of what the bucket gains in a second, and a thousand calls.
//! It begins with one call, doubles each time it is used up, and halves each time it was not; what is not used within
//! a second is lost. So a bucket never lets more through than its quota, and nobody is refused for what others leave
//! unused.

use std::time::{Duration, Instant};

use credit_core::ports::limits::Quota;

const GOOD_FOR: Duration = Duration::from_secs(1);
const MOST: u32 = 1000;
/// So long a refusal is remembered at most, should Redis be told to forget it.
const REFUSED_FOR_AT_MOST: Duration = Duration::from_secs(5);

pub(super) struct Lease {
    left: u32,
    until: Instant,
    size: u32,
    most: u32,
    refused_until: Option<Instant>,
    /// What Redis had left beside the lease.
    behind: u32,
    full_in: Duration,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// One call, and how many more there are here and there.
    Call { remaining: u32, full_in: Duration },
    /// Redis refused, and it is too early to ask again.
    Refused { retry_in: Duration },
    /// Redis is to be asked for so many.
    Ask { calls: u32 },
}

impl Lease {
    pub(super) fn new(quota: Quota, now: Instant) -> Self {
        let most = (quota.calls() / 10).min(quota.calls() / quota.window_seconds() / 2).clamp(1, MOST);
        Self { left: 0, until: now, size: 1, most, refused_until: None, behind: 0, full_in: Duration::ZERO }
    }

    pub(super) fn take(&mut self, now: Instant) -> Taken {
        let wait = self.refused_until.and_then(|until| until.checked_duration_since(now));
        if let Some(retry_in) = wait.filter(|wait| !wait.is_zero()) {
            return Taken::Refused { retry_in };
        }
        self.refused_until = None;
        let is_good = now < self.until;
        if is_good && self.left > 0 {
            self.left -= 1;
            return Taken::Call { remaining: self.remaining(), full_in: self.full_in };
        }
        if is_good {
            self.size = (self.size * 2).min(self.most);
        } else if self.left > 0 {
            self.size = (self.size / 2).max(1);
        }
        self.left = 0;
        Taken::Ask { calls: self.size }
    }

    /// A call that was taken was not made.
    pub(super) fn give_back(&mut self) {
        self.left += 1;
    }

    /// Redis granted so many more, and has `behind` left.
    pub(super) fn refill(&mut self, calls: u32, behind: u32, full_in: Duration, now: Instant) {
        self.left += calls;
        self.until = now + GOOD_FOR;
        self.behind = behind;
        self.full_in = full_in;
    }

    pub(super) fn refuse(&mut self, retry_in: Duration, now: Instant) {
        self.refused_until = Some(now + retry_in.min(REFUSED_FOR_AT_MOST));
    }

    pub(super) fn remaining(&self) -> u32 {
        self.left.saturating_add(self.behind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(calls: u32, window_seconds: u32) -> (Lease, Instant) {
        let now = Instant::now();
        (Lease::new(Quota::try_new(calls, window_seconds).unwrap(), now), now)
    }

    fn ask(lease: &mut Lease, now: Instant) -> u32 {
        match lease.take(now) {
            Taken::Ask { calls } => calls,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_lease_that_is_used_up_grows_to_its_bound_and_one_that_is_not_shrinks() {
        let (mut lease, mut now) = lease(1000, 10);
        let mut sizes = Vec::new();
        for _ in 0..8 {
            let calls = ask(&mut lease, now);
            sizes.push(calls);
            lease.refill(calls, 0, Duration::ZERO, now);
            for _ in 0..calls {
                assert!(matches!(lease.take(now), Taken::Call { .. }));
            }
        }
        assert_eq!(sizes, [1, 2, 4, 8, 16, 32, 50, 50]);
        lease.refill(50, 0, Duration::ZERO, now);
        now += GOOD_FOR;
        assert_eq!(ask(&mut lease, now), 25);
    }

    #[test]
    fn a_small_quota_is_never_leased_ahead() {
        for (calls, window) in [(1, 1), (5, 60), (60, 60), (100, 3600)] {
            let (mut lease, now) = lease(calls, window);
            for _ in 0..5 {
                assert_eq!(ask(&mut lease, now), 1);
                lease.refill(0, 0, Duration::ZERO, now);
            }
        }
        let (lease, _) = lease(1_000_000, 1);
        assert_eq!(lease.most, MOST);
    }

    #[test]
    fn what_was_granted_is_lost_after_a_second() {
        let (mut lease, now) = lease(1000, 1);
        lease.refill(5, 7, Duration::ZERO, now);
        assert!(matches!(lease.take(now), Taken::Call { remaining: 11, .. }));
        ask(&mut lease, now + GOOD_FOR);
        ask(&mut lease, now);
    }

    #[test]
    fn a_refusal_is_remembered_until_it_ends() {
        let (mut lease, now) = lease(1, 2);
        lease.refuse(Duration::from_secs(2), now);
        assert!(matches!(lease.take(now + Duration::from_millis(1999)), Taken::Refused { .. }));
        assert_eq!(ask(&mut lease, now + Duration::from_secs(2)), 1);
    }
}
