//! A sliding window of counts.

use std::time::{Duration, Instant};

const SLICES: u32 = 10;

/// What a slice of time has seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) calls: u32,
    pub(super) failed: u32,
    pub(super) slow: u32,
}

impl Counts {
    /// Whether `part` of the calls is at least so many in a hundred.
    pub(super) fn reaches(self, part: u32, percent: u32) -> bool {
        u64::from(part) * 100 >= u64::from(self.calls) * u64::from(percent)
    }
}

/// The counts of the last while, in ten slices: the oldest is forgotten as time goes on.
#[derive(Debug)]
pub(super) struct Window {
    slice: Duration,
    slices: [Counts; 10],
    /// The slice that is being filled, and when it began.
    current: usize,
    began: Instant,
    sum: Counts,
}

impl Window {
    pub(super) fn new(length: Duration, now: Instant) -> Self {
        let slice = (length / SLICES).max(Duration::from_millis(1));
        Self { slice, slices: [Counts::default(); 10], current: 0, began: now, sum: Counts::default() }
    }

    /// Counts a call; answers what the window holds with it.
    pub(super) fn record(&mut self, failed: bool, slow: bool, now: Instant) -> Counts {
        self.turn(now);
        for counts in [&mut self.slices[self.current], &mut self.sum] {
            counts.calls = counts.calls.saturating_add(1);
            counts.failed = counts.failed.saturating_add(u32::from(failed));
            counts.slow = counts.slow.saturating_add(u32::from(slow));
        }
        self.sum
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self, now: Instant) {
        self.slices = [Counts::default(); 10];
        self.sum = Counts::default();
        self.began = now;
    }

    fn turn(&mut self, now: Instant) {
        if now.saturating_duration_since(self.began) >= self.slice * SLICES * 2 {
            return self.clear(now);
        }
        while now.saturating_duration_since(self.began) >= self.slice {
            self.began += self.slice;
            self.current = (self.current + 1) % self.slices.len();
            let old = std::mem::take(&mut self.slices[self.current]);
            self.sum.calls -= old.calls.min(self.sum.calls);
            self.sum.failed -= old.failed.min(self.sum.failed);
            self.sum.slow -= old.slow.min(self.sum.slow);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_the_window_counts_no_more() {
        let start = Instant::now();
        let mut window = Window::new(Duration::from_secs(10), start);
        let at = |seconds| start + Duration::from_secs(seconds);
        window.record(true, false, at(0));
        window.record(false, true, at(5));
        assert_eq!(window.record(false, false, at(9)), Counts { calls: 3, failed: 1, slow: 1 });
        assert_eq!(window.record(false, false, at(10)), Counts { calls: 3, failed: 0, slow: 1 });
        assert_eq!(window.record(false, false, at(16)), Counts { calls: 3, failed: 0, slow: 0 });
        assert_eq!(window.record(true, true, at(1000)), Counts { calls: 1, failed: 1, slow: 1 });
    }

    #[test]
    fn a_share_is_reached_at_and_above_it() {
        let counts = Counts { calls: 10, failed: 5, slow: 4 };
        assert!(counts.reaches(counts.failed, 50));
        assert!(!counts.reaches(counts.slow, 50));
    }
}
