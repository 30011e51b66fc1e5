//! Why a store did not open, and what the driver's errors are called in the house.

use credit_core::ports::StoreError;
use credit_core::ports::journal::{BookId, Sequence};

/// The store did not open. Each sentence says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error(
        "the store in {directory} is in use by {owner}; stop that process, or give this one another data_dir"
    )]
    InUse {
        /// Where.
        directory: String,
        /// Who, as far as it said.
        owner: String,
    },
    /// It was written by a newer release.
    #[error(
        "{file} has format {found}, and this release reads up to format {known}; start the newer release, or \
         restore a backup made before the upgrade"
    )]
    Newer {
        /// Which file.
        file: &'static str,
        /// Its format.
        found: u32,
        /// The newest format that this release knows.
        known: u32,
    },
    /// The two files do not belong together.
    #[error("journal.redb and documents.redb do not belong together ({why}); restore both from one backup")]
    Mismatch {
        /// What is wrong.
        why: String,
    },
    /// The journal ends before what was known to be durable.
    #[error(
        "the tail of book {book} is lost: journal.redb ends at {found}, and documents.redb has seen {kept}; \
         restore both from one backup"
    )]
    LostTail {
        /// The book.
        book: BookId,
        /// The last slot that is there.
        found: Sequence,
        /// The last slot that was acknowledged, as far as is known.
        kept: Sequence,
    },
    /// A file cannot be right.
    #[error("{file} is damaged ({why}); restore both files from one backup")]
    Damaged {
        /// Which file.
        file: &'static str,
        /// What is wrong.
        why: String,
    },
    /// The operating system refused.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Its answer.
        source: std::io::Error,
    },
}

impl OpenError {
    pub(super) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    pub(super) fn damaged(file: &'static str) -> impl FnOnce(StoreError) -> Self {
        move |error| Self::Damaged { file, why: error.to_string() }
    }
}

/// The driver's error in the words of the ports: nothing happened.
pub(super) fn store_error(error: impl Into<redb::Error>) -> StoreError {
    match error.into() {
        error @ redb::Error::Corrupted(_) => StoreError::Corrupt(error.to_string()),
        redb::Error::Io(error) if is_no_space(&error) => {
            StoreError::Unavailable(format!("{NO_SPACE}: {error}"))
        }
        error => StoreError::Unavailable(error.to_string()),
    }
}

/// How every sentence begins that says so.
const NO_SPACE: &str = "there is no space left for the store";

/// Whether the operating system refused a write for want of space: then nothing of it was taken and dropped, and it works
/// again when there is space.
fn is_no_space(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// Whether a fault was want of space.
pub(super) fn says_no_space(why: &str) -> bool {
    why.contains(NO_SPACE)
}
