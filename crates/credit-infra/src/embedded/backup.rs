//! A consistent copy of the store while it works.

use std::path::Path;

use credit_core::ports::StoreError;
use redb::{Builder, Database, ReadTransaction, ReadableTableMetadata, TableHandle};

use super::error::store_error;
use super::file::{Rows, open_rows};
use super::{DOCUMENTS_FILE, EmbeddedStore, JOURNAL_FILE, OpenError};

/// How far a copy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackupProgress {
    /// Rows copied so far.
    pub copied_rows: u64,
    /// Rows there are to copy.
    pub total_rows: u64,
}

/// How much one transaction of the copy writes.
const TRANSACTION_BYTES: usize = 16 << 20;

impl EmbeddedStore {
    /// Copies the store into a directory that has none, and answers when the copy is durable. To restore it, open
    /// it. Blocks; the store goes on working.
    ///
    /// The documents' snapshot is taken first: a copied journal that is ahead of its views is caught up with, views
    /// ahead of their journal would be a lost tail.
    pub fn backup(&self, to: &Path, progress: &mut dyn FnMut(BackupProgress)) -> Result<(), OpenError> {
        let shown = to.display().to_string();
        std::fs::create_dir_all(to).map_err(OpenError::io(format!("cannot make {shown}")))?;
        for name in [JOURNAL_FILE, DOCUMENTS_FILE] {
            if to.join(name).exists() {
                let there = std::io::Error::from(std::io::ErrorKind::AlreadyExists);
                return Err(OpenError::io(format!("{shown} holds a store already"))(there));
            }
        }
        let documents = self.documents_file.begin_read().map_err(OpenError::damaged(DOCUMENTS_FILE))?;
        let journal = self.journal_file.begin_read().map_err(OpenError::damaged(JOURNAL_FILE))?;
        let count = |snapshot, file| count_rows(snapshot).map_err(OpenError::damaged(file));
        let total_rows = count(&documents, DOCUMENTS_FILE)? + count(&journal, JOURNAL_FILE)?;
        let mut report = BackupProgress { copied_rows: 0, total_rows };
        let mut tick = |rows| {
            report.copied_rows += rows;
            progress(report);
        };
        for (snapshot, file) in [(documents, DOCUMENTS_FILE), (journal, JOURNAL_FILE)] {
            let copy = Builder::new().set_cache_size(32 << 20).create(to.join(file));
            let copy = copy.map_err(|error| OpenError::Damaged { file, why: error.to_string() })?;
            copy_tables(&snapshot, &copy, &mut tick).map_err(OpenError::damaged(file))?;
            copy.close().map_err(|error| OpenError::Damaged { file, why: error.to_string() })?;
        }
        std::fs::File::open(to)
            .and_then(|opened| opened.sync_all())
            .map_err(OpenError::io(format!("cannot sync {shown}")))
    }
}

fn count_rows(snapshot: &ReadTransaction) -> Result<u64, StoreError> {
    let mut count = 0;
    for table in snapshot.list_tables().map_err(store_error)? {
        if let Some(rows) = open_rows(snapshot, table.name())? {
            count += rows.len().map_err(store_error)?;
        }
    }
    Ok(count)
}

fn copy_tables(from: &ReadTransaction, to: &Database, copied: &mut dyn FnMut(u64)) -> Result<(), StoreError> {
    for table in from.list_tables().map_err(store_error)? {
        let Some(rows) = open_rows(from, table.name())? else { continue };
        let mut rows = rows.range::<&[u8]>(..).map_err(store_error)?.peekable();
        loop {
            let transaction = to.begin_write().map_err(store_error)?;
            let (mut bytes, mut count) = (0, 0);
            {
                let mut target = transaction.open_table(Rows::new(table.name())).map_err(store_error)?;
                while bytes < TRANSACTION_BYTES {
                    let Some(row) = rows.next() else { break };
                    let (key, value) = row.map_err(store_error)?;
                    target.insert(key.value(), value.value()).map_err(store_error)?;
                    bytes += key.value().len() + value.value().len();
                    count += 1;
                }
            }
            transaction.commit().map_err(store_error)?;
            copied(count);
            if rows.peek().is_none() {
                break;
            }
        }
    }
    Ok(())
}
