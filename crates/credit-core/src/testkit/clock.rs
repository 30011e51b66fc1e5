//! A clock to set.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::{Clock, Timestamp};

/// Stands still until it is told otherwise.
#[derive(Debug)]
pub struct TestClock {
    millis: AtomicI64,
}

impl TestClock {
    /// 2026-01-01T00:00:00Z, where every test begins.
    pub const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

    /// A clock that shows [`Self::START`].
    pub fn new() -> Self {
        Self { millis: AtomicI64::new(Self::START.millis()) }
    }

    /// Shows another instant, earlier ones too.
    pub fn set(&self, at: Timestamp) {
        self.millis.store(at.millis(), Ordering::SeqCst);
    }

    /// Goes on by so many milliseconds.
    pub fn advance_millis(&self, milliseconds: i64) {
        self.millis.fetch_add(milliseconds, Ordering::SeqCst);
    }

    /// Goes on by so many seconds.
    pub fn advance_seconds(&self, seconds: i64) {
        self.advance_millis(seconds * 1000);
    }
}

impl Default for TestClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.millis.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_clock_moves_only_when_told() {
        let clock = TestClock::new();
        assert_eq!(clock.now().to_string(), "2026-01-01T00:00:00.000Z");
        clock.advance_seconds(61);
        clock.advance_millis(5);
        assert_eq!(clock.now().to_string(), "2026-01-01T00:01:01.005Z");
        clock.set(Timestamp::EPOCH);
        assert_eq!(clock.now(), Timestamp::EPOCH);
    }
}
