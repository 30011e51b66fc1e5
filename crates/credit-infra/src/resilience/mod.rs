//! What stands between the house and a dependency that misbehaves: a circuit breaker, a bulkhead, a deadline and a
//! budget for retries, together a [`Guard`]; and the two store ports behind one, [`GuardedDocuments`] and
//! [`GuardedJournal`].
//!
//! The rule about money: a call that was turned away was certainly not made, and that is the only way in which a guard
//! makes a write [`Unavailable`](credit_core::ports::StoreError::Unavailable). A write that was made and not answered in
//! time is `OutcomeUnknown`; the ledger's lane goes on asking for it, and each of its questions is an ordinary call, so
//! that it is also what finds out that the store is back.

mod breaker;
mod budget;
mod bulkhead;
mod documents;
mod guard;
mod journal;
mod operations;
mod window;

pub use breaker::{Breaker, BreakerSettings, BreakerState, Pass, Rejected, Verdict};
pub use budget::RetryBudget;
pub use bulkhead::{Bulkhead, Full};
pub use documents::GuardedDocuments;
pub use guard::{Guard, GuardSettings};
pub use journal::GuardedJournal;
