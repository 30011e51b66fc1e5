//! A budget for retries: a dependency in trouble is not asked much more often than one that is well.

use std::sync::atomic::{AtomicU32, Ordering};

/// What one retry costs, in the money of the budget.
const RETRY: u32 = 10;

/// Calls pay in, retries take out: about one retry for ten calls, and a few more to begin with.
#[derive(Debug)]
pub struct RetryBudget {
    saved: AtomicU32,
    most: u32,
}

impl RetryBudget {
    /// Begins with so many retries, and never saves more.
    pub fn new(retries: u32) -> Self {
        let most = retries.saturating_mul(RETRY);
        Self { saved: AtomicU32::new(most), most }
    }

    /// A call was made and answered.
    pub fn pay_in(&self) {
        // Most of the time it is full, and a load is cheaper than a change.
        if self.saved.load(Ordering::Relaxed) < self.most {
            self.saved.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether a retry may be made; it is paid for then.
    pub fn take(&self) -> bool {
        let pay = |saved: u32| saved.checked_sub(RETRY);
        self.saved.fetch_update(Ordering::Relaxed, Ordering::Relaxed, pay).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_are_paid_for_by_calls_that_were_answered() {
        let budget = RetryBudget::new(2);
        assert!(budget.take() && budget.take());
        assert!(!budget.take());
        for _ in 0..9 {
            budget.pay_in();
        }
        assert!(!budget.take(), "nine calls do not pay for one");
        budget.pay_in();
        assert!(budget.take());
    }

    #[test]
    fn nothing_is_saved_beyond_the_bound() {
        let budget = RetryBudget::new(1);
        for _ in 0..1000 {
            budget.pay_in();
        }
        assert!(budget.take());
        assert!(!budget.take());
    }
}
