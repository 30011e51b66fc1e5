//! Documents in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;

use crate::AppId;
use crate::ports::StoreError;
use crate::ports::documents::{
    Batch, Collection, CommitError, Direction, Document, Documents, IndexKeys, Position, Query, Row, Write,
};

/// The reference for documents.
#[derive(Debug, Default)]
pub struct MemoryDocuments {
    state: Mutex<State>,
}

impl MemoryDocuments {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl Documents for MemoryDocuments {
    async fn get(
        &self,
        app: AppId,
        collection: &'static Collection,
        id: &str,
    ) -> Result<Option<Document>, StoreError> {
        Ok(self.state.lock().document(app, collection, id))
    }

    async fn get_many(
        &self,
        app: AppId,
        collection: &'static Collection,
        ids: &[String],
    ) -> Result<Vec<Option<Document>>, StoreError> {
        let state = self.state.lock();
        Ok(ids.iter().map(|id| state.document(app, collection, id)).collect())
    }

    async fn query(&self, app: AppId, query: Query) -> Result<Vec<Row>, StoreError> {
        query.assert_declared();
        let state = self.state.lock();
        let empty = BTreeSet::new();
        let by_id;
        let rows = if let Some(index) = query.index {
            state.indexes.get(&(app, query.collection.name, index)).unwrap_or(&empty)
        } else {
            let ids = state.documents.get(&(app, query.collection.name)).into_iter().flat_map(BTreeMap::keys);
            by_id = ids.map(|id| (id.as_bytes().to_vec(), id.clone())).collect();
            &by_id
        };
        let matches = |(key, _): &&(Vec<u8>, String)| {
            key.starts_with(query.prefix.as_bytes())
                && query.from.as_ref().is_none_or(|from| key.as_slice() >= from.as_bytes())
                && query.until.as_ref().is_none_or(|until| key.as_slice() < until.as_bytes())
        };
        let after = query.after.as_ref().map(|after| place_of(after, query.index.is_some()));
        let row = |(key, id): &(Vec<u8>, String)| Row {
            position: if query.index.is_some() {
                Position::of_key(key, id)
            } else {
                Position(id.as_bytes().to_vec())
            },
            document: state.document(app, query.collection, id).expect("an index row has its document"),
        };
        let bound = after.map_or(Bound::Unbounded, Bound::Excluded);
        Ok(match query.direction {
            Direction::Ascending => {
                rows.range((bound, Bound::Unbounded)).filter(matches).take(query.limit).map(row).collect()
            }
            Direction::Descending => rows
                .range((Bound::Unbounded, bound))
                .rev()
                .filter(matches)
                .take(query.limit)
                .map(row)
                .collect(),
        })
    }

    async fn commit(&self, app: AppId, batch: Batch) -> Result<(), CommitError> {
        batch.assert_declared();
        let mut state = self.state.lock();
        let mut undo = Vec::new();
        for write in batch.writes {
            let Err(refused) = state.apply(app, write, &mut undo) else { continue };
            for (collection, id, before) in undo.into_iter().rev() {
                state.set(app, collection, &id, before);
            }
            return Err(refused);
        }
        Ok(())
    }

    async fn apps(&self, collection: &'static Collection) -> Result<Vec<AppId>, StoreError> {
        let state = self.state.lock();
        let kept =
            state.documents.iter().filter(|((_, name), of)| *name == collection.name && !of.is_empty());
        Ok(kept.map(|((app, _), _)| *app).collect())
    }
}

/// Which key and id a position names.
fn place_of(position: &Position, by_index: bool) -> (Vec<u8>, String) {
    if by_index {
        let (key, id) = position.split();
        (key.to_vec(), String::from_utf8_lossy(id).into_owned())
    } else {
        (position.0.clone(), String::from_utf8_lossy(&position.0).into_owned())
    }
}

#[derive(Debug, Clone)]
struct Kept {
    version: u64,
    body: Bytes,
    keys: IndexKeys,
}

/// What it takes to undo one write: the place and what was there before.
type Undo = (&'static Collection, String, Option<Kept>);

/// Key and id, in the order of queries.
type IndexRows = BTreeSet<(Vec<u8>, String)>;

#[derive(Debug, Default)]
struct State {
    documents: BTreeMap<(AppId, &'static str), BTreeMap<String, Kept>>,
    indexes: BTreeMap<(AppId, &'static str, &'static str), IndexRows>,
}

impl State {
    fn kept(&self, app: AppId, collection: &Collection, id: &str) -> Option<&Kept> {
        self.documents.get(&(app, collection.name))?.get(id)
    }

    fn document(&self, app: AppId, collection: &Collection, id: &str) -> Option<Document> {
        let kept = self.kept(app, collection, id)?;
        Some(Document { id: id.to_owned(), version: kept.version, body: kept.body.clone() })
    }

    fn apply(&mut self, app: AppId, write: Write, undo: &mut Vec<Undo>) -> Result<(), CommitError> {
        match write {
            Write::Insert { collection, id, body, keys } => {
                if self.kept(app, collection, &id).is_some() {
                    return Err(CommitError::Exists { collection: collection.name, id });
                }
                self.check_unique(app, collection, &id, &keys)?;
                undo.push(self.replace(app, collection, id, Some(Kept { version: 1, body, keys })));
            }
            Write::Replace { collection, id, version, body, keys } => {
                self.check_version(app, collection, &id, version)?;
                self.check_unique(app, collection, &id, &keys)?;
                undo.push(self.replace(app, collection, id, Some(Kept { version: version + 1, body, keys })));
            }
            Write::Require { collection, id, version: 0 } => {
                if self.kept(app, collection, &id).is_some() {
                    return Err(CommitError::Version { collection: collection.name, id });
                }
            }
            Write::Require { collection, id, version } => {
                self.check_version(app, collection, &id, version)?;
            }
            Write::Put { collection, id, sequence, body, keys } => {
                if self.kept(app, collection, &id).is_none_or(|kept| kept.version < sequence) {
                    undo.push(self.replace(
                        app,
                        collection,
                        id,
                        Some(Kept { version: sequence, body, keys }),
                    ));
                }
            }
            Write::Delete { collection, id, version } => {
                self.check_version(app, collection, &id, version)?;
                undo.push(self.replace(app, collection, id, None));
            }
        }
        Ok(())
    }

    fn check_version(
        &self,
        app: AppId,
        collection: &Collection,
        id: &str,
        version: u64,
    ) -> Result<(), CommitError> {
        if self.kept(app, collection, id).is_some_and(|kept| kept.version == version) {
            return Ok(());
        }
        Err(CommitError::Version { collection: collection.name, id: id.to_owned() })
    }

    fn check_unique(
        &self,
        app: AppId,
        collection: &Collection,
        id: &str,
        keys: &IndexKeys,
    ) -> Result<(), CommitError> {
        for (index, key) in keys {
            if !collection.declared_index(index).unique {
                continue;
            }
            let Some(rows) = self.indexes.get(&(app, collection.name, *index)) else { continue };
            let first = (key.as_bytes().to_vec(), String::new());
            let mut holders = rows.range(first..).take_while(|(kept, _)| kept == key.as_bytes());
            if holders.any(|(_, holder)| holder != id) {
                return Err(CommitError::Taken { collection: collection.name, index });
            }
        }
        Ok(())
    }

    fn replace(
        &mut self,
        app: AppId,
        collection: &'static Collection,
        id: String,
        after: Option<Kept>,
    ) -> Undo {
        let before = self.set(app, collection, &id, after);
        (collection, id, before)
    }

    /// The one place that changes anything: the document and its index rows together.
    fn set(&mut self, app: AppId, collection: &Collection, id: &str, after: Option<Kept>) -> Option<Kept> {
        for (index, key) in after.iter().flat_map(|kept| &kept.keys) {
            let rows = self.indexes.entry((app, collection.name, *index)).or_default();
            rows.insert((key.as_bytes().to_vec(), id.to_owned()));
        }
        let documents = self.documents.entry((app, collection.name)).or_default();
        let now = after.as_ref().map(|kept| kept.keys.clone()).unwrap_or_default();
        let before = match after {
            Some(kept) => documents.insert(id.to_owned(), kept),
            None => documents.remove(id),
        };
        let gone = before.iter().flat_map(|kept| &kept.keys).filter(|row| !now.contains(row));
        for (index, key) in gone {
            let rows = self.indexes.entry((app, collection.name, *index)).or_default();
            rows.remove(&(key.as_bytes().to_vec(), id.to_owned()));
        }
        before
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Ready, ready};
    use std::sync::Arc;

    use super::*;

    fn fresh() -> Ready<(Arc<dyn Documents>, ())> {
        ready((Arc::new(MemoryDocuments::new()), ()))
    }

    crate::documents_contract_tests!(fresh);
}
