//! The operating system's clock.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::UNIX_EPOCH;

use credit_core::{Clock, Timestamp};

/// The present, in this process never earlier than it was: a system clock that is set back stands still until it
/// has caught up.
#[derive(Debug)]
pub struct SystemClock {
    latest_millis: AtomicI64,
}

impl SystemClock {
    /// From now on.
    pub const fn new() -> Self {
        Self { latest_millis: AtomicI64::new(0) }
    }

    fn at_least(&self, millis: i64) -> Timestamp {
        Timestamp::from_millis(self.latest_millis.fetch_max(millis, Ordering::Relaxed).max(millis))
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "this is the clock that everybody else is given")]
        let now = std::time::SystemTime::now();
        let since = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        self.at_least(i64::try_from(since).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_never_goes_back() {
        let clock = SystemClock::new();
        assert_eq!(clock.at_least(2000).millis(), 2000);
        assert_eq!(clock.at_least(1000).millis(), 2000);
        assert_eq!(clock.at_least(2001).millis(), 2001);
    }

    #[test]
    fn the_clock_shows_the_present() {
        let clock = SystemClock::new();
        let first = clock.now();
        assert!(first > Timestamp::parse("2025-01-01T00:00:00Z").expect("valid"));
        assert!(clock.now() >= first);
    }
}
