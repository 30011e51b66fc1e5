//! The embedded store as something to move from and to.

use std::ops::Bound;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use credit_core::AppId;
use credit_core::ports::StoreError;
use credit_core::ports::documents::{Collection, IndexKeys, Key};
use redb::ReadableTableMetadata;

use super::EmbeddedStore;
use super::error::store_error;
use super::file::{Rows, StoreFile, open_rows};
use super::format::META;
use super::rows::{self, Kept};
use crate::transfer::{CopyNote, DocumentSource, KeptDocument, Transfer};

/// The field of the note in the table of what a file says about itself: the source's id and one byte, whether it is done.
const COPY: &[u8] = b"copy";

#[async_trait]
impl DocumentSource for EmbeddedStore {
    async fn count(&self, collection: &'static Collection) -> Result<u64, StoreError> {
        let snapshot = self.documents_file.begin_read()?;
        match open_rows(&snapshot, &rows::documents_table(collection.name))? {
            None => Ok(0),
            Some(table) => table.len().map_err(store_error),
        }
    }

    async fn export(
        &self,
        collection: &'static Collection,
        after: Option<(AppId, String)>,
        limit: usize,
    ) -> Result<Vec<KeptDocument>, StoreError> {
        let snapshot = self.documents_file.begin_read()?;
        let Some(table) = open_rows(&snapshot, &rows::documents_table(collection.name))? else {
            return Ok(Vec::new());
        };
        let after = after.map(|(app, id)| rows::document_key(app, &id));
        let from = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let found = table.range::<&[u8]>((from, Bound::Unbounded)).map_err(store_error)?;
        let read = found.take(limit).map(|row| {
            let (key, value) = row.map_err(store_error)?;
            read_document(collection, key.value(), value.value())
        });
        read.collect()
    }
}

#[async_trait]
impl Transfer for EmbeddedStore {
    fn store_id(&self) -> u128 {
        self.store_id
    }

    async fn moment(&self) -> Result<Option<Box<dyn DocumentSource>>, StoreError> {
        Ok(None)
    }

    async fn import(
        &self,
        collection: &'static Collection,
        documents: Vec<KeptDocument>,
    ) -> Result<(), StoreError> {
        let file = Arc::clone(&self.documents_file);
        in_background(move || write_documents(&file, collection, &documents)).await
    }

    async fn copy_note(&self) -> Result<Option<CopyNote>, StoreError> {
        let snapshot = self.documents_file.begin_read()?;
        let Some(table) = open_rows(&snapshot, META)? else { return Ok(None) };
        let Some(value) = table.get(COPY).map_err(store_error)? else { return Ok(None) };
        match value.value().split_first_chunk::<16>() {
            Some((source, [done])) => {
                Ok(Some(CopyNote { source: u128::from_be_bytes(*source), done: *done != 0 }))
            }
            _ => Err(StoreError::Corrupt("its note of a copy does not read".to_owned())),
        }
    }

    async fn note_copy(&self, note: CopyNote) -> Result<(), StoreError> {
        let file = Arc::clone(&self.documents_file);
        in_background(move || {
            let transaction = file.begin_write()?;
            {
                let mut table = transaction.open_table(Rows::new(META)).map_err(store_error)?;
                let mut value = note.source.to_be_bytes().to_vec();
                value.push(u8::from(note.done));
                table.insert(COPY, value.as_slice()).map_err(store_error)?;
            }
            transaction.commit().map_err(store_error)
        })
        .await
    }
}

async fn in_background(
    work: impl FnOnce() -> Result<(), StoreError> + Send + 'static,
) -> Result<(), StoreError> {
    let stopped = |_| StoreError::OutcomeUnknown("a write broke off".to_owned());
    tokio::task::spawn_blocking(work).await.map_err(stopped)?
}

fn read_document(
    collection: &'static Collection,
    key: &[u8],
    value: &[u8],
) -> Result<KeptDocument, StoreError> {
    let read = || {
        let app = rows::read_app(key)?;
        let id = std::str::from_utf8(key.get(16..)?).ok()?.to_owned();
        let kept = Kept::read(value)?;
        let keys = declared_keys(collection, kept.keys)?;
        Some(KeptDocument { app, id, version: kept.version, body: Bytes::copy_from_slice(kept.body), keys })
    };
    read().ok_or_else(|| {
        let id = key.get(16..).map(String::from_utf8_lossy).unwrap_or_default();
        StoreError::Corrupt(rows::unreadable(collection, &id))
    })
}

/// `None` if one names an index that is not declared any more.
fn declared_keys(collection: &'static Collection, keys: &[u8]) -> Option<IndexKeys> {
    let read = Kept::read_keys(keys)?.into_iter().map(|(name, key)| {
        let index = collection.indexes.iter().find(|index| index.name == name)?;
        Some((index.name, Key::from_bytes(key.to_vec())))
    });
    read.collect()
}

fn write_documents(
    file: &StoreFile,
    collection: &'static Collection,
    documents: &[KeptDocument],
) -> Result<(), StoreError> {
    let transaction = file.begin_write()?;
    for document in documents {
        let KeptDocument { app, id, version, body, keys } = document;
        let value = rows::encode_document(*version, keys, body);
        let before = {
            let name = rows::documents_table(collection.name);
            let mut table = transaction.open_table(Rows::new(&name)).map_err(store_error)?;
            let before = table
                .insert(rows::document_key(*app, id).as_slice(), value.as_slice())
                .map_err(store_error)?;
            before.map(|before| before.value().to_vec())
        };
        let gone = match &before {
            None => Vec::new(),
            Some(before) => Kept::read(before)
                .and_then(|kept| Kept::read_keys(kept.keys))
                .ok_or_else(|| StoreError::Corrupt(rows::unreadable(collection, id)))?,
        };
        for (index, key) in gone {
            let name = rows::index_table(collection.name, index);
            let mut table = transaction.open_table(Rows::new(&name)).map_err(store_error)?;
            table.remove(rows::index_row(*app, key, id.as_bytes()).as_slice()).map_err(store_error)?;
        }
        for (index, key) in keys {
            let name = rows::index_table(collection.name, index);
            let mut table = transaction.open_table(Rows::new(&name)).map_err(store_error)?;
            let row = rows::index_row(*app, key.as_bytes(), id.as_bytes());
            table.insert(row.as_slice(), [].as_slice()).map_err(store_error)?;
        }
    }
    transaction.commit().map_err(store_error)
}
