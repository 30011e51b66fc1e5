//! The documents in `documents.redb`: reads through a snapshot on the caller's thread, batches through one writer.

use std::ops::Bound;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};

use async_trait::async_trait;
use credit_core::AppId;
use credit_core::ports::StoreError;
use credit_core::ports::documents::{
    Batch, Collection, CommitError, Direction, Document, Documents, Position, Query, Row,
};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::documents_writer::{Commit, DocumentsWriter};
use super::error::store_error;
use super::file::{ReadRows, StoreFile, WatchedThread, closed, open_rows};
use super::journal::Heads;
use super::rows::{self, Kept};

/// The port.
pub(super) struct EmbeddedDocuments {
    file: Arc<StoreFile>,
    commits: Mutex<Option<Sender<Commit>>>,
}

impl EmbeddedDocuments {
    /// Starts the writer, which ends after [`Self::stop`]. It notes the journal's heads with every transaction.
    pub(super) fn start(file: Arc<StoreFile>, heads: Arc<Heads>) -> (Self, std::thread::JoinHandle<()>) {
        let (commits, waiting) = channel();
        let writer = DocumentsWriter::new(Arc::clone(&file), heads);
        let failure = file.failure().clone();
        let thread = std::thread::Builder::new()
            .name("documents-writer".to_owned())
            .spawn(move || {
                let _watched = WatchedThread(failure);
                writer.run(&waiting);
            })
            .expect("a thread can be started while the store opens");
        (Self { file, commits: Mutex::new(Some(commits)) }, thread)
    }

    /// Takes no more batches; those that wait are still written.
    pub(super) fn stop(&self) {
        self.commits.lock().take();
    }
}

#[async_trait]
impl Documents for EmbeddedDocuments {
    async fn get(
        &self,
        app: AppId,
        collection: &'static Collection,
        id: &str,
    ) -> Result<Option<Document>, StoreError> {
        let snapshot = self.file.begin_read()?;
        let Some(table) = open_rows(&snapshot, &rows::documents_table(collection.name))? else {
            return Ok(None);
        };
        read_document(&table, app, collection, id)
    }

    async fn get_many(
        &self,
        app: AppId,
        collection: &'static Collection,
        ids: &[String],
    ) -> Result<Vec<Option<Document>>, StoreError> {
        let snapshot = self.file.begin_read()?;
        let Some(table) = open_rows(&snapshot, &rows::documents_table(collection.name))? else {
            return Ok(vec![None; ids.len()]);
        };
        ids.iter().map(|id| read_document(&table, app, collection, id)).collect()
    }

    async fn query(&self, app: AppId, query: Query) -> Result<Vec<Row>, StoreError> {
        query.assert_declared();
        let snapshot = self.file.begin_read()?;
        let collection = query.collection;
        let Some(documents) = open_rows(&snapshot, &rows::documents_table(collection.name))? else {
            return Ok(Vec::new());
        };
        let index = match query.index {
            None => None,
            Some(index) => match open_rows(&snapshot, &rows::index_table(collection.name, index))? {
                Some(table) => Some(table),
                None => return Ok(Vec::new()),
            },
        };
        let Some(bounds) = bounds_of(app, &query) else { return Ok(Vec::new()) };
        let table = index.as_ref().unwrap_or(&documents);
        let range = table
            .range::<&[u8]>((bounds.0.as_ref().map(Vec::as_slice), bounds.1.as_ref().map(Vec::as_slice)))
            .map_err(store_error)?;
        let row = |found: Result<(redb::AccessGuard<'_, _>, redb::AccessGuard<'_, _>), _>| {
            let (key, value) = found.map_err(store_error)?;
            if index.is_some() {
                index_row(&documents, app, collection, key.value())
            } else {
                id_row(collection, key.value(), value.value())
            }
        };
        match query.direction {
            Direction::Ascending => range.take(query.limit).map(row).collect(),
            Direction::Descending => range.rev().take(query.limit).map(row).collect(),
        }
    }

    async fn commit(&self, app: AppId, batch: Batch) -> Result<(), CommitError> {
        batch.assert_declared();
        self.file.failure().check()?;
        let (answer, answered) = oneshot::channel();
        let commit = Commit { app, batch, answer };
        self.commits.lock().as_ref().ok_or_else(closed)?.send(commit).map_err(|_| closed())?;
        answered.await.map_err(|_| StoreError::OutcomeUnknown("its writer stopped".to_owned()))?
    }

    async fn apps(&self, collection: &'static Collection) -> Result<Vec<AppId>, StoreError> {
        self.apps_after(collection, None).await
    }

    async fn apps_after(
        &self,
        collection: &'static Collection,
        after: Option<AppId>,
    ) -> Result<Vec<AppId>, StoreError> {
        let snapshot = self.file.begin_read()?;
        let mut apps = Vec::new();
        let Some(table) = open_rows(&snapshot, &rows::documents_table(collection.name))? else {
            return Ok(apps);
        };
        let following = |app: AppId| app.as_u128().checked_add(1).map(AppId::from_u128);
        let mut next = after.map_or(Some(AppId::from_u128(0)), following);
        while let Some(from) = next {
            let mut behind = table.range(rows::app_prefix(from).as_slice()..).map_err(store_error)?;
            let Some(found) = behind.next() else { break };
            let key = found.map_err(store_error)?.0;
            let app =
                rows::read_app(key.value()).ok_or_else(|| corrupt(collection, "without an application"))?;
            apps.push(app);
            next = following(app);
        }
        Ok(apps)
    }
}

fn corrupt(collection: &Collection, id: &str) -> StoreError {
    StoreError::Corrupt(rows::unreadable(collection, id))
}

fn read_document(
    table: &ReadRows,
    app: AppId,
    collection: &Collection,
    id: &str,
) -> Result<Option<Document>, StoreError> {
    let Some(value) = table.get(rows::document_key(app, id).as_slice()).map_err(store_error)? else {
        return Ok(None);
    };
    Ok(Some(Kept::read(value.value()).ok_or_else(|| corrupt(collection, id))?.document(id)))
}

fn id_row(collection: &Collection, key: &[u8], value: &[u8]) -> Result<Row, StoreError> {
    let id = key.get(16..).and_then(|id| std::str::from_utf8(id).ok());
    let id = id.ok_or_else(|| corrupt(collection, "without an id"))?;
    let kept = Kept::read(value).ok_or_else(|| corrupt(collection, id))?;
    Ok(Row { position: Position(id.as_bytes().to_vec()), document: kept.document(id) })
}

fn index_row(
    documents: &ReadRows,
    app: AppId,
    collection: &Collection,
    row: &[u8],
) -> Result<Row, StoreError> {
    let read = rows::read_index_row(row).and_then(|(key, id)| Some((key, std::str::from_utf8(id).ok()?)));
    let (key, id) = read.ok_or_else(|| corrupt(collection, "of an index row"))?;
    let document = read_document(documents, app, collection, id)?.ok_or_else(|| corrupt(collection, id))?;
    Ok(Row { position: Position::of_key(&key, id), document })
}

type Bounds = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// The rows that can answer; `None` if none can.
fn bounds_of(app: AppId, query: &Query) -> Option<Bounds> {
    let place = |part: &[u8]| match query.index {
        Some(_) => rows::index_prefix(app, part),
        None => [&rows::app_prefix(app), part].concat(),
    };
    let prefix = place(query.prefix.as_bytes());
    let mut lowest = Bound::Included(prefix.clone());
    let mut highest = rows::behind_prefix(prefix).map_or(Bound::Unbounded, Bound::Excluded);
    if let Some(from) = &query.from {
        lowest = later(lowest, Bound::Included(place(from.as_bytes())));
    }
    if let Some(until) = &query.until {
        highest = earlier(highest, Bound::Excluded(place(until.as_bytes())));
    }
    if let Some(after) = &query.after {
        let row = match query.index {
            Some(_) => {
                let (key, id) = after.split();
                rows::index_row(app, key, id)
            }
            None => place(&after.0),
        };
        match query.direction {
            Direction::Ascending => lowest = later(lowest, Bound::Excluded(row)),
            Direction::Descending => highest = earlier(highest, Bound::Excluded(row)),
        }
    }
    // The driver, like the standard library, takes no range that ends before it begins.
    match (&lowest, &highest) {
        (Bound::Included(low) | Bound::Excluded(low), Bound::Excluded(high)) if low >= high => None,
        _ => Some((lowest, highest)),
    }
}

fn later(one: Bound<Vec<u8>>, other: Bound<Vec<u8>>) -> Bound<Vec<u8>> {
    match (&one, &other) {
        (Bound::Included(a) | Bound::Excluded(a), Bound::Included(b)) if a >= b => one,
        (Bound::Included(a) | Bound::Excluded(a), Bound::Excluded(b)) if a > b => one,
        _ => other,
    }
}

fn earlier(one: Bound<Vec<u8>>, other: Bound<Vec<u8>>) -> Bound<Vec<u8>> {
    match (&one, &other) {
        (Bound::Excluded(a), Bound::Excluded(b)) if a <= b => one,
        _ => other,
    }
}
