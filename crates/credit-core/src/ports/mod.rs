//! What the house needs from outside, in its own words. Adapters live in `credit-infra`, the reference for
//! both stores in [`crate::memory`].

pub mod cache;
pub mod documents;
pub mod journal;
pub mod keys;
pub mod limits;
pub mod passwords;
pub mod peers;
pub mod tokens;

/// Why a store could not answer. Never carries a query, a path or a secret to the consumer: the sentence is
/// for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Nothing happened. Asking again may help.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The store went away while committing: it may have happened or may yet happen.
    #[error("the store went away while committing: {0}")]
    OutcomeUnknown(String),
    /// What is kept cannot be right. Asking again does not help.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
}

impl From<StoreError> for crate::Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => {
                Self::because(crate::Code::Unavailable, "The store cannot be reached.").retry_after(1)
            }
            StoreError::OutcomeUnknown(_) => Self::new(crate::Code::OutcomeUnknown).retry_after(1),
            StoreError::Corrupt(_) => Self::new(crate::Code::Internal),
        }
    }
}
