//! What is known here of each caller.

use std::sync::Arc;
use std::time::{Duration, Instant};

use credit_core::ports::limits::{Bucket, CallClass, Subject};
use moka::sync::Cache;
use parking_lot::Mutex;

use super::lease::{Lease, Taken};

/// Callers that are remembered; the others ask Redis at their next call.
const CALLERS: u64 = 100_000;
const IDLE: Duration = Duration::from_secs(60);

pub(super) struct Entries(Cache<Subject, Arc<Mutex<Entry>>>);

#[derive(Default)]
pub(super) struct Entry {
    banned_until: Option<Instant>,
    leases: [Option<Lease>; 3],
}

impl Entries {
    pub(super) fn new() -> Self {
        Self(Cache::builder().max_capacity(CALLERS).time_to_idle(IDLE).build())
    }

    pub(super) fn of(&self, subject: Subject) -> Arc<Mutex<Entry>> {
        match self.0.get(&subject) {
            Some(entry) => entry,
            None => self.0.get_with(subject, Arc::default),
        }
    }
}

impl Entry {
    pub(super) fn ban(&mut self, length: Duration, now: Instant) {
        self.banned_until = now.checked_add(length);
    }

    /// How long it is still banned.
    pub(super) fn ban_left(&mut self, now: Instant) -> Option<Duration> {
        let left = self.banned_until?.checked_duration_since(now).filter(|left| !left.is_zero());
        if left.is_none() {
            self.banned_until = None;
        }
        left
    }

    pub(super) fn take(&mut self, bucket: &Bucket, now: Instant) -> Taken {
        self.lease(bucket, now).take(now)
    }

    pub(super) fn lease(&mut self, bucket: &Bucket, now: Instant) -> &mut Lease {
        let place = match bucket.class {
            CallClass::Read => 0,
            CallClass::Write => 1,
            CallClass::Auth => 2,
        };
        self.leases[place].get_or_insert_with(|| Lease::new(bucket.quota, now))
    }
}
