//! One database file: open until closed, and failed for good after the first fault while writing.

use std::sync::{Arc, OnceLock};

use credit_core::ports::StoreError;
use parking_lot::RwLock;
use redb::{Database, ReadTransaction, ReadableDatabase, TableDefinition, TableError, WriteTransaction};

use super::error::store_error;

/// Every table is bytes to bytes; `rows` says which bytes.
pub(super) type Rows<'a> = TableDefinition<'a, &'static [u8], &'static [u8]>;
pub(super) type ReadRows = redb::ReadOnlyTable<&'static [u8], &'static [u8]>;
pub(super) type WriteRows<'a> = redb::Table<'a, &'static [u8], &'static [u8]>;

/// Why the store failed, once it has. Both files share it: what one file can no longer keep, the other must not
/// build on.
#[derive(Debug, Clone, Default)]
pub(super) struct Failure(Arc<OnceLock<String>>);

impl Failure {
    /// The first reason stays.
    pub(super) fn declare(&self, why: &dyn std::fmt::Display) {
        if self.0.set(why.to_string()).is_ok() {
            tracing::error!(reason = %why, "the store failed and must be restarted");
        }
    }

    pub(super) fn reason(&self) -> Option<String> {
        self.0.get().cloned()
    }

    /// Refuses once the store has failed.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        match self.0.get() {
            None => Ok(()),
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
