//! All buckets of one size.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use credit_core::ports::limits::{CallClass, Quota, Subject};
use governor::clock::{Clock, MonotonicClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota as Cells, RateLimiter};
use parking_lot::RwLock;

/// After so many checks it is looked whether there are too many buckets.
const LOOK_EVERY: u32 = 1024;

type Key = (Subject, CallClass);
type Keyed = RateLimiter<Key, DashMapStateStore<Key>, MonotonicClock, StateInformationMiddleware>;

/// Buckets with one quota.
pub(super) struct Budget {
    cells: Cells,
    most: usize,
    checks: AtomicU32,
    keyed: RwLock<Keyed>,
}

/// What one bucket says.
pub(super) enum Answer {
    Room { remaining: u32, full_in: Duration },
    None { retry_in: Duration },
}

impl Budget {
    /// Of the size of a quota; of more than `most` buckets those are forgotten that are full again.
    pub(super) fn new(quota: Quota, most: usize) -> Self {
        let per_call = Duration::from_micros(quota.micros_per_call());
        let burst = NonZeroU32::new(quota.calls()).unwrap_or(NonZeroU32::MIN);
        let cells = Cells::with_period(per_call).unwrap_or(Cells::per_second(burst)).allow_burst(burst);
        Self { cells, most, checks: AtomicU32::new(0), keyed: RwLock::new(empty(cells)) }
    }

    pub(super) fn check(&self, key: Key) -> Answer {
        if self.checks.fetch_add(1, Ordering::Relaxed).is_multiple_of(LOOK_EVERY) {
            self.make_room();
        }
        let keyed = self.keyed.read();
        match keyed.check_key(&key) {
            Ok(snapshot) => {
                let remaining = snapshot.remaining_burst_capacity();
                let missing = self.cells.burst_size().get().saturating_sub(remaining);
                Answer::Room { remaining, full_in: self.cells.replenish_interval() * missing }
            }
            Err(not_yet) => Answer::None { retry_in: not_yet.wait_time_from(keyed.clock().now()) },
        }
    }

    /// Forgets the buckets that are full again, which changes nothing. If that does not help, somebody empties buckets
    /// faster than they fill: then all are forgotten, since memory is worth more than counts.
    fn make_room(&self) {
        let keyed = self.keyed.read();
        if keyed.len() <= self.most {
            return;
        }
        keyed.retain_recent();
        let is_enough = keyed.len() <= self.most;
        drop(keyed);
        if !is_enough {
            *self.keyed.write() = empty(self.cells);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.keyed.read().len()
    }
}

fn empty(cells: Cells) -> Keyed {
    RateLimiter::new(cells, DashMapStateStore::default(), MonotonicClock)
}
