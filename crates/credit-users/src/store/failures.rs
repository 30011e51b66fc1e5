//! Failed logins as documents: when they happened, per account and per address.

use credit_core::Timestamp;
use credit_core::ports::StoreError;
use credit_core::ports::documents::{Collection, Document, Index, Key, Query, Write};
use serde::{Deserialize, Serialize};

use super::{decode, encode};

pub(crate) static FAILURES: Collection =
    Collection { name: "login_failures", indexes: &[Index { name: BY_LAST, unique: false }] };
const BY_LAST: &str = "by_last";

/// The failures within the window, oldest first.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Failures {
    pub(crate) at: Vec<Timestamp>,
}

impl Failures {
    /// Those after `since`.
    pub(crate) fn after(mut self, since: Timestamp) -> Self {
        self.at.retain(|at| *at > since);
        self
    }
}

/// The failures in a document, with its version.
pub(crate) fn open(document: Option<&Document>) -> Result<(Failures, u64), StoreError> {
    match document {
        None => Ok((Failures::default(), 0)),
        Some(document) => Ok((decode(document)?, document.version)),
    }
}

/// Keeps the failures of what was read at `version`, 0 if nothing was kept.
pub(crate) fn keep(id: &str, version: u64, failures: &Failures) -> Write {
    let last = failures.at.last().copied().unwrap_or_default();
    let keys = vec![(BY_LAST, Key::number(last.sortable()))];
    let (id, body) = (id.to_owned(), encode(failures).into());
    if version == 0 {
        Write::Insert { collection: &FAILURES, id, body, keys }
    } else {
        Write::Replace { collection: &FAILURES, id, version, body, keys }
    }
}

/// Forgets what was read at `version`.
pub(crate) fn forget(id: &str, version: u64) -> Write {
    Write::Delete { collection: &FAILURES, id: id.to_owned(), version }
}

/// Documents whose last failure was before `since`.
pub(crate) fn stale(since: Timestamp, limit: usize) -> Query {
    let query = Query::new(&FAILURES, Some(BY_LAST), Key::empty(), limit);
    Query { until: Some(Key::number(since.sortable())), ..query }
}
