//! One database file: open until closed, and failed for good after the first fault while writing.

use std::sync::Arc;

use credit_core::ports::StoreError;
use parking_lot::{RwLock, RwLockWriteGuard};
use redb::{Database, ReadTransaction, ReadableDatabase, TableDefinition, TableError, WriteTransaction};

use super::error::{says_no_space, store_error};

/// Every table is bytes to bytes; `rows` says which bytes.
pub(super) type Rows<'a> = TableDefinition<'a, &'static [u8], &'static [u8]>;
pub(super) type ReadRows = redb::ReadOnlyTable<&'static [u8], &'static [u8]>;
pub(super) type WriteRows<'a> = redb::Table<'a, &'static [u8], &'static [u8]>;

/// Why the store failed, once it has. Both files share it: what one file can no longer keep, the other must not
/// build on.
#[derive(Debug, Clone, Default)]
pub(super) struct Failure(Arc<RwLock<Option<String>>>);

impl Failure {
    /// The first reason stays.
    pub(super) fn declare(&self, why: &dyn std::fmt::Display) {
        let mut reason = self.0.write();
        if reason.is_none() {
            tracing::error!(reason = %why, "the store failed");
            *reason = Some(why.to_string());
        }
    }

    pub(super) fn reason(&self) -> Option<String> {
        self.0.read().clone()
    }

    /// Whether it is over when there is space again. Any other failure lasts until the process starts again: what the
    /// operating system failed to write once it may silently have dropped.
    pub(super) fn may_pass(&self) -> bool {
        self.0.read().as_deref().is_some_and(says_no_space)
    }

    /// The store was opened anew and is whole.
    pub(super) fn is_over(&self) {
        *self.0.write() = None;
    }

    /// Refuses once the store has failed.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        match &*self.0.read() {
            None => Ok(()),
            Some(why) if says_no_space(why) => Err(StoreError::Unavailable(why.clone())),
            Some(why) => {
                Err(StoreError::Unavailable(format!("the store failed and must be restarted: {why}")))
            }
        }
    }
}

/// Declares the failure if its thread panics: nobody would answer any more.
pub(super) struct WatchedThread(pub(super) Failure);

impl Drop for WatchedThread {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.declare(&"its writer stopped");
        }
    }
}

/// An open database file.
pub(super) struct StoreFile {
    database: RwLock<Option<Database>>,
    failure: Failure,
}

pub(super) fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".to_owned())
}

impl StoreFile {
    pub(super) fn new(database: Database, failure: Failure) -> Self {
        Self { database: RwLock::new(Some(database)), failure }
    }

    pub(super) fn failure(&self) -> &Failure {
        &self.failure
    }

    /// A snapshot of what is durable.
    pub(super) fn begin_read(&self) -> Result<ReadTransaction, StoreError> {
        self.failure.check()?;
        let database = self.database.read();
        database.as_ref().ok_or_else(closed)?.begin_read().map_err(store_error)
    }

    /// The one write transaction; commits are durable.
    pub(super) fn begin_write(&self) -> Result<WriteTransaction, StoreError> {
        self.failure.check()?;
        let database = self.database.read();
        database.as_ref().ok_or_else(closed)?.begin_write().map_err(store_error)
    }

    /// Nobody else reads or writes meanwhile.
    pub(super) fn lock(&self) -> RwLockWriteGuard<'_, Option<Database>> {
        self.database.write()
    }

    /// Marks the file as cleanly stopped. Later calls answer that the store is closed.
    pub(super) fn close(&self) -> Result<(), StoreError> {
        match self.database.write().take() {
            Some(database) => database.close().map_err(store_error),
            None => Ok(()),
        }
    }
}

/// A table of a snapshot; `None` if nothing was ever written to it.
pub(super) fn open_rows(snapshot: &ReadTransaction, name: &str) -> Result<Option<ReadRows>, StoreError> {
    match snapshot.open_table(Rows::new(name)) {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(store_error(error)),
    }
}
