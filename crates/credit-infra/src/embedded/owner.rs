//! The owner file: who has the directory open, for the sentence that refuses a second process. The lock itself is
//! the driver's, on the database files; this file only says whose it is.

use std::path::{Path, PathBuf};

use credit_core::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::OpenError;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Owner {
    pid: u32,
    host: String,
    since: Timestamp,
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "process {} on {} since {}", self.pid, self.host, self.since)
    }
}

impl Owner {
    /// This process.
    pub(super) fn this_process(since: Timestamp) -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host = match host.trim() {
            "" => "this host".to_owned(),
            name => name.to_owned(),
        };
        Self { pid: std::process::id(), host, since }
    }

    /// Puts it down. Only whoever holds the lock may.
    pub(super) fn write(&self, directory: &Path) -> Result<(), OpenError> {
        let path = place(directory);
        let text = serde_json::to_vec(self).expect("three plain fields");
        std::fs::write(&path, text).map_err(OpenError::io(format!("cannot write {}", path.display())))
    }

    /// Who has it, in words.
    pub(super) fn describe(directory: &Path) -> String {
        let read = std::fs::read(place(directory)).ok().and_then(|text| serde_json::from_slice(&text).ok());
        read.map_or_else(|| "another process".to_owned(), |owner: Self| owner.to_string())
    }

    /// Takes it away after a clean stop.
    pub(super) fn remove(directory: &Path) {
        if let Err(error) = std::fs::remove_file(place(directory)) {
            tracing::warn!(%error, "the owner file could not be removed");
        }
    }
}

fn place(directory: &Path) -> PathBuf {
    directory.join("owner.json")
}
