//! Why a backup was not made, or not restored.

use std::fmt::Display;
use std::path::{Path, PathBuf};

/// A backup was not made, or not restored. What was there before is as it was.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// There is something at the place that was named.
    #[error("{} is there already and not empty; nothing is ever written over", directory.display())]
    Taken {
        /// The place.
        directory: PathBuf,
    },
    /// Whoever asked for it does not want it any more.
    #[error("the backup was stopped before it was whole; nothing is left of it")]
    Stopped,
    /// The store, or its copy, cannot be read or written.
    #[error("{file} cannot be copied: {why}")]
    Store {
        /// Which file.
        file: &'static str,
        /// What is wrong.
        why: String,
    },
    /// The operating system refused.
    #[error("{what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Its answer.
        source: std::io::Error,
    },
    /// That is no backup.
    #[error("{} is no backup: it has no {name}", directory.display())]
    NoBackup {
        /// What was taken for one.
        directory: PathBuf,
        /// What every backup has.
        name: &'static str,
    },
    /// It is not what it was when it was made.
    #[error("the backup {} is damaged: {why}; take another one", directory.display())]
    Damaged {
        /// Which backup.
        directory: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A newer release has made it.
    #[error(
        "the backup has format {found}, and this release reads up to format {known}; restore it with the newer release"
    )]
    Newer {
        /// Its format.
        found: u32,
        /// The newest one that is known here.
        known: u32,
    },
}

impl BackupError {
    pub(super) fn io(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }

    pub(super) fn store(file: &'static str, why: &dyn Display) -> Self {
        Self::Store { file, why: why.to_string() }
    }

    pub(super) fn damaged(directory: &Path, why: impl Into<String>) -> Self {
        Self::Damaged { directory: directory.to_owned(), why: why.into() }
    }
}
