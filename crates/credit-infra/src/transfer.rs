//! Moving a store: what it keeps, as it is, into another one.
//!
//! Groups of the journal go through the journal port. Documents do not go through theirs: it shows no keys, and a
//! document that is inserted begins at version 1. Views are not moved at all; they are made again from the journal.

use async_trait::async_trait;
use bytes::Bytes;
use credit_core::AppId;
use credit_core::ports::StoreError;
use credit_core::ports::documents::{Collection, IndexKeys};

/// A document with all that is kept of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptDocument {
    /// Whose it is.
    pub app: AppId,
    /// Unique in its application and collection.
    pub id: String,
    /// How often it was written.
    pub version: u64,
    /// One JSON value.
    pub body: Bytes,
    /// Under which keys it is found.
    pub keys: IndexKeys,
}

/// What a store says of itself while it is, or once it was, the target of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopyNote {
    /// The id of the store that it is a copy of.
    pub source: u128,
    /// Whether the copy was finished and verified. Until then nobody may work on it.
    pub done: bool,
}

/// Documents that can be read with all that is kept of them.
#[async_trait]
pub trait DocumentSource: Send + Sync {
    /// How many documents there are.
    async fn count(&self, collection: &'static Collection) -> Result<u64, StoreError>;

    /// Documents of all applications in the order of application and id, behind a place; at most `limit`.
    async fn export(
        &self,
        collection: &'static Collection,
        after: Option<(AppId, String)>,
        limit: usize,
    ) -> Result<Vec<KeptDocument>, StoreError>;
}

/// A store as something to move from and to. Nobody else may use either store meanwhile, unless what is moved is a
/// [`moment`](Transfer::moment).
#[async_trait]
pub trait Transfer: DocumentSource {
    /// Which store this is, for ever.
    fn store_id(&self) -> u128;

    /// All documents as they are at one instant, not before this call, whoever goes on writing; `None` if nobody can write
    /// beside this process anyway. It is to be read at once: a store forgets after a while what was.
    async fn moment(&self) -> Result<Option<Box<dyn DocumentSource>>, StoreError>;

    /// Keeps documents as they are, in the place of those that are there. Durable when it answers. If it fails, some may
    /// be kept: import them again.
    async fn import(
        &self,
        collection: &'static Collection,
        documents: Vec<KeptDocument>,
    ) -> Result<(), StoreError>;

    /// The note, if this store is the target of a copy.
    async fn copy_note(&self) -> Result<Option<CopyNote>, StoreError>;

    /// Leaves the note. Durable when it answers.
    async fn note_copy(&self, note: CopyNote) -> Result<(), StoreError>;
}
