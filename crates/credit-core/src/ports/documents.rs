//! The documents port: everything that is not money, and the views of the journal.

use async_trait::async_trait;
use bytes::Bytes;

use super::StoreError;
use crate::AppId;

/// A kind of document, declared by the module that owns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Collection {
    /// Unique in the house, `[a-z_]+`.
    pub name: &'static str,
    /// The look-ups it has beside the id.
    pub indexes: &'static [Index],
}

/// A declared look-up. A document has any number of keys in it, also none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Index {
    /// Unique in its collection, `[a-z_]+`.
    pub name: &'static str,
    /// Whether a key can belong to one document of an application only.
    pub unique: bool,
}

impl Collection {
    /// A declared index.
    ///
    /// # Panics
    /// If there is none of this name: the module that owns the collection has a fault.
    pub fn declared_index(&self, name: &str) -> &Index {
        let found = self.indexes.iter().find(|index| index.name == name);
        found.unwrap_or_else(|| panic!("{} declares no index {name}", self.name))
    }
}

/// An order-preserving key of several parts. Text compares by bytes, numbers by value, and a key of fewer parts
/// sorts before every longer one that begins with it, so that a key is also a prefix.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Key(Vec<u8>);

impl Key {
    /// The empty key: the prefix of all.
    pub const fn empty() -> Self {
        Self(Vec::new())
    }

    /// A key that begins with text.
    pub fn text(part: &str) -> Self {
        Self::empty().and_text(part)
    }

    /// A key that begins with a number.
    pub fn number(part: u64) -> Self {
        Self::empty().and_number(part)
    }

    /// Appends text. Ends with 0x00; a 0x00 inside becomes 0x00 0xFF, so that parts never run into each other.
    #[must_use]
    pub fn and_text(mut self, part: &str) -> Self {
        for byte in part.bytes() {
            self.0.push(byte);
            if byte == 0 {
                self.0.push(0xFF);
            }
        }
        self.0.push(0);
        self
    }

    /// Appends text of which more may follow: for "begins with" look-ups.
    #[must_use]
    pub fn and_text_prefix(mut self, part: &str) -> Self {
        self = self.and_text(part);
        self.0.pop();
        self
    }

    /// Appends a number as eight bytes, big-endian.
    #[must_use]
    pub fn and_number(mut self, part: u64) -> Self {
        self.0.extend_from_slice(&part.to_be_bytes());
        self
    }

    /// The bytes that adapters store.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// From stored bytes.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

/// A kept document. The body is JSON; the store does not look inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Unique in its application and collection; not empty, without 0x00.
    pub id: String,
    /// Counts writes from 1; for views, the journal sequence that it shows.
    pub version: u64,
    /// One JSON value.
    pub body: Bytes,
}

/// The keys of a document, by the name of their index.
pub type IndexKeys = Vec<(&'static str, Key)>;

/// One write of a [`Batch`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// A new document, version 1. Conflicts if the id or a unique key is there.
    Insert { collection: &'static Collection, id: String, body: Bytes, keys: IndexKeys },
    /// The next version of a document. Conflicts unless it is kept at `version`, or if a unique key is another's.
    Replace { collection: &'static Collection, id: String, version: u64, body: Bytes, keys: IndexKeys },
    /// Changes nothing. Conflicts unless the document is kept at `version`; with version 0, unless it is absent.
    Require { collection: &'static Collection, id: String, version: u64 },
    /// A view: kept at `sequence` unless a newer or equal one is kept. Never conflicts, and so has no key in a unique
    /// index.
    Put { collection: &'static Collection, id: String, sequence: u64, body: Bytes, keys: IndexKeys },
    /// Gone. Conflicts unless it is kept at `version`.
    Delete { collection: &'static Collection, id: String, version: u64 },
}

/// Writes that happen all or not at all, in one application.
///
/// Except a batch of [`Write::Put`] alone: it may become visible in parts, and of one that failed some may stay. Its
/// last write becomes visible last, when all others are; that is where a watermark belongs. Doing it again is harmless.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// In the order in which they are applied; each sees the ones before.
    pub writes: Vec<Write>,
}

impl Batch {
    /// Of one write.
    pub fn of(write: Write) -> Self {
        Self { writes: vec![write] }
    }

    /// With one more write.
    #[must_use]
    pub fn and(mut self, write: Write) -> Self {
        self.writes.push(write);
        self
    }

    /// For adapters, before anything else: every key names a declared index, and no key of a view a unique one.
    ///
    /// # Panics
    /// If this does not hold: the module that made the batch has a fault.
    pub fn assert_declared(&self) {
        for write in &self.writes {
            if let Write::Insert { collection, keys, .. }
            | Write::Replace { collection, keys, .. }
            | Write::Put { collection, keys, .. } = write
            {
                let is_view = matches!(write, Write::Put { .. });
                for (index, _) in keys {
                    let index = collection.declared_index(index);
                    assert!(
                        !(is_view && index.unique),
                        "a view has a key in {}.{}",
                        collection.name,
                        index.name
                    );
                }
            }
        }
    }
}

/// Why a batch was refused. Nothing of it happened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// An id to insert is there already.
    #[error("{collection} {id} exists")]
    Exists { collection: &'static str, id: String },
    /// A unique key belongs to another document.
    #[error("the key in {collection}.{index} is another's")]
    Taken { collection: &'static str, index: &'static str },
    /// A document is not kept at the version that was expected, or not at all.
    #[error("{collection} {id} is not at the expected version")]
    Version { collection: &'static str, id: String },
    /// The store could not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<CommitError> for crate::Problem {
    /// For conflicts that the caller did not name itself: somebody else was faster.
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Store(error) => error.into(),
            _ => Self::new(crate::Code::Conflict),
        }
    }
}

/// Which way a query goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Smallest key first.
    Ascending,
    /// Largest key first.
    Descending,
}

/// A look-up over one index, or over the ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Where to look.
    pub collection: &'static Collection,
    /// By which declared index; `None` is by id, and then keys are made with [`Key::and_text_prefix`] of the id.
    pub index: Option<&'static str>,
    /// Only keys that begin with this.
    pub prefix: Key,
    /// Only keys at or after this (whole keys, prefix included).
    pub from: Option<Key>,
    /// Only keys before this (whole keys, prefix included).
    pub until: Option<Key>,
    /// The order.
    pub direction: Direction,
    /// Continue behind the position of a row of the same query.
    pub after: Option<Position>,
    /// At most so many.
    pub limit: usize,
}

impl Query {
    /// All documents of a collection under a prefix, ascending, without bounds.
    pub fn new(
        collection: &'static Collection,
        index: Option<&'static str>,
        prefix: Key,
        limit: usize,
    ) -> Self {
        Self {
            collection,
            index,
            prefix,
            from: None,
            until: None,
            direction: Direction::Ascending,
            after: None,
            limit,
        }
    }

    /// For adapters, before anything else: the index is declared.
    ///
    /// # Panics
    /// If it is not: the module that asks has a fault.
    pub fn assert_declared(&self) {
        if let Some(index) = self.index {
            self.collection.declared_index(index);
        }
    }

    /// Largest first.
    #[must_use]
    pub fn descending(mut self) -> Self {
        self.direction = Direction::Descending;
        self
    }
}

/// The place of a row in its query: the bytes of its key followed by 0x00 and the id (by id: the id alone).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub Vec<u8>);

impl Position {
    /// Of a row in an index.
    pub fn of_key(key: &[u8], id: &str) -> Self {
        let mut bytes = Vec::with_capacity(key.len() + 1 + id.len());
        bytes.extend_from_slice(key);
        bytes.push(0);
        bytes.extend_from_slice(id.as_bytes());
        Self(bytes)
    }

    /// The key and the id of a row in an index. Ids have no 0x00, so that the last one is the border.
    pub fn split(&self) -> (&[u8], &[u8]) {
        match self.0.iter().rposition(|byte| *byte == 0) {
            Some(border) => (&self.0[..border], &self.0[border + 1..]),
            None => (&self.0, &[]),
        }
    }
}

/// One row of a query's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Where it stands.
    pub position: Position,
    /// The document.
    pub document: Document,
}

/// Keeps documents. Every call names the application: there is no look-up across applications.
///
/// Reads see every commit that was answered before.
#[async_trait]
pub trait Documents: Send + Sync {
    /// One document.
    async fn get(
        &self,
        app: AppId,
        collection: &'static Collection,
        id: &str,
    ) -> Result<Option<Document>, StoreError>;

    /// Several, in the order asked; `None` for those that are not there.
    async fn get_many(
        &self,
        app: AppId,
        collection: &'static Collection,
        ids: &[String],
    ) -> Result<Vec<Option<Document>>, StoreError>;

    /// Rows in the order of their key and then id.
    async fn query(&self, app: AppId, query: Query) -> Result<Vec<Row>, StoreError>;

    /// All writes or none, durably.
    async fn commit(&self, app: AppId, batch: Batch) -> Result<(), CommitError>;

    /// Every application that has a document in this collection, in the order of their ids, for sweeps.
    async fn apps(&self, collection: &'static Collection) -> Result<Vec<AppId>, StoreError>;

    /// The same in parts: applications whose ids come after this one, and none only if there is none. How many come in
    /// one part is for the store to say.
    async fn apps_after(
        &self,
        collection: &'static Collection,
        after: Option<AppId>,
    ) -> Result<Vec<AppId>, StoreError> {
        let behind = |app: &AppId| after.is_none_or(|after| *app > after);
        Ok(self.apps(collection).await?.into_iter().filter(behind).collect())
    }
}
