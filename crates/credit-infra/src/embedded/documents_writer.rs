//! The one writer of `documents.redb`: one transaction and one sync for all batches that wait. A refused batch is
//! undone inside the transaction, so that it leaves no trace and its neighbours go on.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use bytes::Bytes;
use credit_core::AppId;
use credit_core::ports::StoreError;
use credit_core::ports::documents::{Batch, Collection, CommitError, IndexKeys, Write};
use redb::{ReadableTable, WriteTransaction};
use tokio::sync::oneshot;

use super::error::store_error;
use super::file::{Rows, StoreFile, WriteRows};
use super::journal::Heads;
use super::rows::{self, Kept};

/// The table of journal heads as this file has seen them.
pub(super) const HEADS: &str = "heads";

/// What one transaction takes at most before the next batch has to wait for its turn.
const TRANSACTION_WRITES: usize = 50_000;

/// A batch and who waits for it.
pub(super) struct Commit {
    pub(super) app: AppId,
    pub(super) batch: Batch,
    pub(super) answer: oneshot::Sender<Result<(), CommitError>>,
}

pub(super) struct DocumentsWriter {
    file: Arc<StoreFile>,
    heads: Arc<Heads>,
}

impl DocumentsWriter {
    pub(super) fn new(file: Arc<StoreFile>, heads: Arc<Heads>) -> Self {
        Self { file, heads }
    }

    pub(super) fn run(&self, waiting: &Receiver<Commit>) {
        while let Ok(first) = waiting.recv() {
            let mut writes = first.batch.writes.len();
            let mut together = vec![first];
            while writes < TRANSACTION_WRITES {
                let Ok(next) = waiting.try_recv() else { break };
                writes += next.batch.writes.len();
                together.push(next);
            }
            self.write(together);
        }
    }

    fn write(&self, together: Vec<Commit>) {
        let (mut answers, mut batches) = (Vec::new(), Vec::new());
        for commit in together {
            answers.push(commit.answer);
            batches.push((commit.app, commit.batch));
        }
        match self.write_durably(batches) {
            Ok(results) => {
                for (answer, result) in answers.into_iter().zip(results) {
                    // Whoever hung up reads what became of it.
                    let _ = answer.send(result);
                }
            }
            Err(error) => {
                self.file.failure().declare(&error);
                for answer in answers {
                    let _ = answer.send(Err(error.clone().into()));
                }
            }
        }
    }

    /// Any fault in here is the end of the store, as with the journal.
    fn write_durably(
        &self,
        batches: Vec<(AppId, Batch)>,
    ) -> Result<Vec<Result<(), CommitError>>, StoreError> {
        let mut transaction = self.file.begin_write()?;
        // Saves the allocator with every commit: a large file is ready at once after an unclean stop.
        transaction.set_quick_repair(true);
        let mut results = Vec::with_capacity(batches.len());
        {
            let mut tables = Tables { transaction: &transaction, open: HashMap::new() };
            for (app, batch) in batches {
                results.push(match tables.apply(app, batch) {
                    Ok(()) => Ok(()),
                    Err(CommitError::Store(error)) => return Err(error),
                    Err(refused) => Err(refused),
                });
            }
            note_heads(&mut tables, &self.heads)?;
        }
        if let Err(error) = transaction.commit() {
            let error = StoreError::OutcomeUnknown(store_error(error).to_string());
            self.file.failure().declare(&error);
            let unknown = |result: Result<(), CommitError>| result.and(Err(error.clone().into()));
            return Ok(results.into_iter().map(unknown).collect());
        }
        Ok(results)
    }
}

/// Notes how far the journal is known to be durable, so that a lost tail is noticed when the store opens.
fn note_heads(tables: &mut Tables<'_>, heads: &Heads) -> Result<(), StoreError> {
    let moved = heads.take_moved();
    if !moved.is_empty() {
        let table = tables.table(HEADS)?;
        for (book, head) in moved {
            let (key, value) = (rows::app_prefix(book), head.to_be_bytes());
            table.insert(key.as_slice(), value.as_slice()).map_err(store_error)?;
        }
    }
    Ok(())
}

/// Notes all heads, for a clean stop.
pub(super) fn note_all_heads(file: &StoreFile, heads: &Heads) -> Result<(), StoreError> {
    let transaction = file.begin_write()?;
    {
        let mut table = transaction.open_table(Rows::new(HEADS)).map_err(store_error)?;
        for (book, head) in heads.all() {
            let (key, value) = (rows::app_prefix(book), head.to_be_bytes());
            table.insert(key.as_slice(), value.as_slice()).map_err(store_error)?;
        }
    }
    transaction.commit().map_err(store_error)
}

/// What it takes to undo one write: the place, and the value that was there before.
type Undo = (&'static Collection, String, Option<Vec<u8>>);

/// The tables of one transaction, opened once each.
struct Tables<'t> {
    transaction: &'t WriteTransaction,
    open: HashMap<String, WriteRows<'t>>,
}

impl<'t> Tables<'t> {
    fn table(&mut self, name: &str) -> Result<&mut WriteRows<'t>, StoreError> {
        // Two look-ups, since the borrow checker does not see that an early return ends the first borrow.
        if !self.open.contains_key(name) {
            let table = self.transaction.open_table(Rows::new(name)).map_err(store_error)?;
            self.open.insert(name.to_owned(), table);
        }
        Ok(self.open.get_mut(name).expect("just opened"))
    }

    fn apply(&mut self, app: AppId, batch: Batch) -> Result<(), CommitError> {
        if batch.writes.iter().all(|write| matches!(write, Write::Put { .. })) {
            return Ok(self.put_all(app, batch.writes)?);
        }
        let mut undo = Vec::new();
        for write in batch.writes {
            let Err(refused) = self.apply_one(app, write, &mut undo) else { continue };
            for (collection, id, before) in undo.into_iter().rev() {
                self.set(app, collection, &id, before.as_deref())?;
            }
            return Err(refused);
        }
        Ok(())
    }

    fn apply_one(&mut self, app: AppId, write: Write, undo: &mut Vec<Undo>) -> Result<(), CommitError> {
        match write {
            Write::Insert { collection, id, body, keys } => {
                if self.version(app, collection, &id)?.is_some() {
                    return Err(CommitError::Exists { collection: collection.name, id });
                }
                self.check_unique(app, collection, &id, &keys)?;
                let value = rows::encode_document(1, &keys, &body);
                let before = self.set(app, collection, &id, Some(&value))?;
                undo.push((collection, id, before));
            }
            Write::Replace { collection, id, version, body, keys } => {
                self.check_version(app, collection, &id, version)?;
                self.check_unique(app, collection, &id, &keys)?;
                let value = rows::encode_document(version + 1, &keys, &body);
                let before = self.set(app, collection, &id, Some(&value))?;
                undo.push((collection, id, before));
            }
            Write::Require { collection, id, version: 0 } => {
                if self.version(app, collection, &id)?.is_some() {
                    return Err(CommitError::Version { collection: collection.name, id });
                }
            }
            Write::Require { collection, id, version } => {
                self.check_version(app, collection, &id, version)?;
            }
            Write::Put { collection, id, sequence, body, keys } => {
                if self.version(app, collection, &id)?.is_none_or(|kept| kept < sequence) {
                    let value = rows::encode_document(sequence, &keys, &body);
                    let before = self.set(app, collection, &id, Some(&value))?;
                    undo.push((collection, id, before));
                }
            }
            Write::Delete { collection, id, version } => {
                self.check_version(app, collection, &id, version)?;
                let before = self.set(app, collection, &id, None)?;
                undo.push((collection, id, before));
            }
        }
        Ok(())
    }

    fn version(
        &mut self,
        app: AppId,
        collection: &'static Collection,
        id: &str,
    ) -> Result<Option<u64>, StoreError> {
        let table = self.table(&rows::documents_table(collection.name))?;
        let Some(value) = table.get(rows::document_key(app, id).as_slice()).map_err(store_error)? else {
            return Ok(None);
        };
        Ok(Some(Kept::read(value.value()).ok_or_else(|| corrupt(collection, id))?.version))
    }

    fn check_version(
        &mut self,
        app: AppId,
        collection: &'static Collection,
        id: &str,
        version: u64,
    ) -> Result<(), CommitError> {
        if self.version(app, collection, id)? == Some(version) {
            return Ok(());
        }
        Err(CommitError::Version { collection: collection.name, id: id.to_owned() })
    }

    fn check_unique(
        &mut self,
        app: AppId,
        collection: &'static Collection,
        id: &str,
        keys: &IndexKeys,
    ) -> Result<(), CommitError> {
        for (index, key) in keys {
            if !collection.declared_index(index).unique {
                continue;
            }
            let prefix = rows::index_rows_of(app, key.as_bytes());
            let table = self.table(&rows::index_table(collection.name, index))?;
            for row in table.range(prefix.as_slice()..).map_err(store_error)? {
                let (row, _) = row.map_err(store_error)?;
                let Some(holder) = row.value().strip_prefix(prefix.as_slice()) else { break };
                if holder != id.as_bytes() {
                    return Err(CommitError::Taken { collection: collection.name, index });
                }
            }
        }
        Ok(())
    }

    /// Changes the document and its index rows together; answers what was there before.
    fn set(
        &mut self,
        app: AppId,
        collection: &'static Collection,
        id: &str,
        after: Option<&[u8]>,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let key = rows::document_key(app, id);
        let table = self.table(&rows::documents_table(collection.name))?;
        let before = match after {
            Some(value) => table.insert(key.as_slice(), value).map_err(store_error)?,
            None => table.remove(key.as_slice()).map_err(store_error)?,
        };
        let before = before.map(|value| value.value().to_vec());
        let mut changes = Vec::new();
        index_changes(app, collection, id, before.as_deref(), after, &mut changes)?;
        self.change_index_rows(changes)?;
        Ok(before)
    }

    /// Views only: no write refuses, so that none has to be undone, and the order between documents does not
    /// matter, so that each table is walked once from its beginning to its end.
    fn put_all(&mut self, app: AppId, writes: Vec<Write>) -> Result<(), StoreError> {
        let mut by_collection: Vec<(&'static Collection, Vec<Put>)> = Vec::new();
        for write in writes {
            let Write::Put { collection, id, sequence, body, keys } = write else {
                unreachable!("the caller has looked")
            };
            let put = Put { id, sequence, body, keys };
            match by_collection.iter_mut().find(|(of, _)| of.name == collection.name) {
                Some((_, puts)) => puts.push(put),
                None => by_collection.push((collection, vec![put])),
            }
        }
        for (collection, mut puts) in by_collection {
            // Stable: two of one document stay in their order.
            puts.sort_by(|one, other| one.id.cmp(&other.id));
            let table = self.table(&rows::documents_table(collection.name))?;
            let mut changes = Vec::new();
            let mut key = rows::app_prefix(app).to_vec();
            for Put { id, sequence, body, keys } in puts {
                key.truncate(16);
                key.extend_from_slice(id.as_bytes());
                let value = rows::encode_document(sequence, &keys, &body);
                // Nearly every view that is put is newer: write first, and take it back if it was not.
                let newer_kept = {
                    let before = table.insert(key.as_slice(), value.as_slice()).map_err(store_error)?;
                    let before = before.as_ref().map(redb::AccessGuard::value);
                    let kept = before.map(|value| Kept::read(value).ok_or_else(|| corrupt(collection, &id)));
                    if kept.transpose()?.is_some_and(|kept| kept.version >= sequence) {
                        before.map(<[u8]>::to_vec)
                    } else {
                        if !collection.indexes.is_empty() {
                            index_changes(app, collection, &id, before, Some(&value), &mut changes)?;
                        }
                        None
                    }
                };
                if let Some(newer) = newer_kept {
                    table.insert(key.as_slice(), newer.as_slice()).map_err(store_error)?;
                }
            }
            changes.sort_by(|one, other| (&one.table, &one.row).cmp(&(&other.table, &other.row)));
            self.change_index_rows(changes)?;
        }
        Ok(())
    }

    fn change_index_rows(&mut self, changes: Vec<IndexChange>) -> Result<(), StoreError> {
        for change in changes {
            let table = self.table(&change.table)?;
            if change.there {
                table.insert(change.row.as_slice(), [].as_slice()).map_err(store_error)?;
            } else {
                table.remove(change.row.as_slice()).map_err(store_error)?;
            }
        }
        Ok(())
    }
}

struct Put {
    id: String,
    sequence: u64,
    body: Bytes,
    keys: IndexKeys,
}

struct IndexChange {
    table: String,
    row: Vec<u8>,
    there: bool,
}

/// Which index rows go and come when a kept value becomes another.
fn index_changes(
    app: AppId,
    collection: &Collection,
    id: &str,
    before: Option<&[u8]>,
    after: Option<&[u8]>,
    changes: &mut Vec<IndexChange>,
) -> Result<(), StoreError> {
    let keys_of = |value: Option<&[u8]>| -> Result<Vec<u8>, StoreError> {
        let Some(value) = value else { return Ok(Vec::new()) };
        Ok(Kept::read(value).ok_or_else(|| corrupt(collection, id))?.keys.to_vec())
    };
    let (before, after) = (keys_of(before)?, keys_of(after)?);
    if before == after {
        return Ok(());
    }
    let read = |keys| Kept::read_keys(keys).ok_or_else(|| corrupt(collection, id));
    let (before, after) = (read(&before)?, read(&after)?);
    let mut change = |(index, key): &(&str, &[u8]), there| {
        let row = rows::index_row(app, key, id.as_bytes());
        changes.push(IndexChange { table: rows::index_table(collection.name, index), row, there });
    };
    before.iter().filter(|key| !after.contains(key)).for_each(|key| change(key, false));
    after.iter().filter(|key| !before.contains(key)).for_each(|key| change(key, true));
    Ok(())
}

fn corrupt(collection: &Collection, id: &str) -> StoreError {
    StoreError::Corrupt(rows::unreadable(collection, id))
}
