//! When a lot that comes in may end.

use credit_core::{Fault, Problem, Timestamp};

/// What is wrong with an expiry that has passed.
pub const PAST_EXPIRY: &str = "must be in the future";

/// `422 validation_failed` for an expiry that has passed.
///
/// It is the ledger that says so, after it has looked for the key: the repetition of a call that was made in time gets
/// its first answer, however late it comes.
pub fn past_expiry(expires_at: Option<Timestamp>, now: Timestamp) -> Option<Problem> {
    let is_past = expires_at.is_some_and(|expires_at| expires_at <= now);
    is_past.then(|| Problem::invalid(vec![Fault::new("/expires_at", "out_of_range", PAST_EXPIRY)]))
}
