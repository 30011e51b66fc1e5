//! `dev-credentials.json`: how to get in, for people and programs that try the service in profile `dev`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::private_file;

const FILE: &str = "dev-credentials.json";

/// The address, an admin that works and an API key that may do everything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DevCredentials {
    pub(crate) base_url: String,
    pub(crate) admin: DevAdmin,
    pub(crate) api_key: String,
}

/// Who gets in, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DevAdmin {
    pub(crate) username: String,
    pub(crate) password: String,
}

impl DevCredentials {
    /// Where they are kept.
    pub(crate) fn place(data_dir: &Path) -> PathBuf {
        data_dir.join(FILE)
    }

    /// Those of the last start, if there are any.
    pub(crate) fn kept(data_dir: &Path) -> Option<Self> {
        serde_json::from_str(&std::fs::read_to_string(Self::place(data_dir)).ok()?).ok()
    }

    /// Writes them down, unless that is what is there already.
    pub(crate) fn keep(&self, data_dir: &Path) -> Result<()> {
        if Self::kept(data_dir).as_ref() == Some(self) {
            return Ok(());
        }
        private_file::replace(&Self::place(data_dir), &(serde_json::to_string_pretty(self)? + "\n"))
    }
}
