//! Why a store did not open, and what the driver's errors are called in the house.

use credit_core::ports::StoreError;
use credit_core::ports::journal::{BookId, Sequence};
use redb::{DatabaseError, StorageError};

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
    /// The operating system refused. That says nothing about what is in the files: no backup is needed.
    #[error(
        "data_dir has to be on a local disk that is well, has space, and that this process may write to, but {what}: {source}"
    )]
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

    /// A file that was read, but cannot be right; or one that could not be read or written.
    pub(super) fn damaged(file: &'static str) -> impl FnOnce(StoreError) -> Self {
        move |error| match error {
            StoreError::Corrupt(why) => Self::Damaged { file, why },
            error => Self::refused(file, std::io::Error::other(error.to_string())),
        }
    }

    /// The driver did not open the file.
    pub(super) fn driver(file: &'static str, error: DatabaseError) -> Self {
        match error {
            DatabaseError::Storage(StorageError::Io(source)) if is_of_the_system(&source) => {
                Self::refused(file, source)
            }
            error => Self::Damaged { file, why: error.to_string() },
        }
    }

    pub(super) fn refused(file: &'static str, source: std::io::Error) -> Self {
        Self::Io { what: format!("{file} cannot be worked on"), source }
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

/// The driver has errors of this type of its own, for a file that is none of its files. Those of the system have a number,
/// and those of syncs are made by [`super::disk::Disk`].
fn is_of_the_system(error: &std::io::Error) -> bool {
    error.raw_os_error().is_some() || error.kind() == std::io::ErrorKind::Other
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
