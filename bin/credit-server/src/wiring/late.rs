//! Ports of a store that is not there yet: they answer that it is unavailable until it is. The house can then be put
//! together, and say how it is, before its database can be reached. Later the same store may be reached in another way.

use std::sync::Arc;

use async_trait::async_trait;
use credit_core::AppId;
use credit_core::ports::StoreError;
use credit_core::ports::documents::{Batch, Collection, CommitError, Document, Documents, Query, Row};
use credit_core::ports::journal::{Appended, BookId, Group, Journal, Page, Sequence};
use parking_lot::RwLock;

/// Both ports of one store.
#[derive(Clone)]
pub(crate) struct Ports {
    pub(crate) documents: Arc<dyn Documents>,
    pub(crate) journal: Arc<dyn Journal>,
}

/// Where the ports of a store will be. The store is never another one; the way to it may be.
pub(super) struct Late {
    ports: RwLock<Option<Arc<Ports>>>,
    why: RwLock<String>,
}

impl Late {
    /// Nothing is there yet.
    pub(super) fn new() -> Self {
        Self { ports: RwLock::default(), why: RwLock::new("it was not reached yet".to_owned()) }
    }

    /// From now on the store is reached by these. Those before answer the calls that are under way; they are given back,
    /// and nobody holds them any more when the last of those calls has ended.
    pub(super) fn fill(&self, ports: Ports) -> Option<Arc<Ports>> {
        self.ports.write().replace(Arc::new(ports))
    }

    /// Says why it is not there yet.
    pub(super) fn note(&self, why: String) {
        *self.why.write() = why;
    }

    /// Why it is not there yet.
    pub(super) fn why(&self) -> String {
        self.why.read().clone()
    }

    fn ports(&self) -> Result<Arc<Ports>, StoreError> {
        self.ports.read().clone().ok_or_else(|| StoreError::Unavailable(self.why()))
    }
}

#[async_trait]
impl Documents for Late {
    async fn get(
        &self,
        app: AppId,
        collection: &'static Collection,
        id: &str,
    ) -> Result<Option<Document>, StoreError> {
        self.ports()?.documents.get(app, collection, id).await
    }

    async fn get_many(
        &self,
        app: AppId,
        collection: &'static Collection,
        ids: &[String],
    ) -> Result<Vec<Option<Document>>, StoreError> {
        self.ports()?.documents.get_many(app, collection, ids).await
    }

    async fn query(&self, app: AppId, query: Query) -> Result<Vec<Row>, StoreError> {
        self.ports()?.documents.query(app, query).await
    }

    async fn commit(&self, app: AppId, batch: Batch) -> Result<(), CommitError> {
        self.ports()?.documents.commit(app, batch).await
    }

    async fn apps(&self, collection: &'static Collection) -> Result<Vec<AppId>, StoreError> {
        self.ports()?.documents.apps(collection).await
    }

    async fn apps_after(
        &self,
        collection: &'static Collection,
        after: Option<AppId>,
    ) -> Result<Vec<AppId>, StoreError> {
        self.ports()?.documents.apps_after(collection, after).await
    }
}

#[async_trait]
impl Journal for Late {
    async fn append(&self, book: BookId, sequence: Sequence, group: Group) -> Result<Appended, StoreError> {
        self.ports()?.journal.append(book, sequence, group).await
    }

    async fn read(
        &self,
        book: BookId,
        from: Sequence,
        limit: usize,
    ) -> Result<Vec<(Sequence, Group)>, StoreError> {
        self.ports()?.journal.read(book, from, limit).await
    }

    async fn read_known(
        &self,
        book: BookId,
        from: Sequence,
        limit: usize,
    ) -> Result<Vec<(Sequence, Group)>, StoreError> {
        self.ports()?.journal.read_known(book, from, limit).await
    }

    async fn read_page(&self, book: BookId, from: Sequence, limit: usize) -> Result<Page, StoreError> {
        self.ports()?.journal.read_page(book, from, limit).await
    }

    async fn head(&self, book: BookId) -> Result<Sequence, StoreError> {
        self.ports()?.journal.head(book).await
    }

    async fn books(&self) -> Result<Vec<BookId>, StoreError> {
        self.ports()?.journal.books().await
    }

    async fn books_after(&self, after: Option<BookId>, limit: usize) -> Result<Vec<BookId>, StoreError> {
        self.ports()?.journal.books_after(after, limit).await
    }

    /// A store that comes late is one over a network, which others reach as well.
    fn is_shared(&self) -> bool {
        self.ports.read().as_ref().is_none_or(|ports| ports.journal.is_shared())
    }

    fn is_away(&self) -> bool {
        self.ports.read().as_ref().is_none_or(|ports| ports.journal.is_away())
    }
}

#[cfg(test)]
mod tests {
    use credit_core::memory::{MemoryDocuments, MemoryJournal};

    use super::*;

    #[tokio::test]
    async fn a_store_that_is_not_there_yet_is_unavailable_and_says_why_until_it_is_there() {
        let late = Late::new();
        late.note("nobody answers at db.example".to_owned());
        let refused = late.books().await.expect_err("it is not there");
        assert_eq!(refused, StoreError::Unavailable("nobody answers at db.example".to_owned()));
        assert!(late.is_shared());
        let ports =
            Ports { documents: Arc::new(MemoryDocuments::new()), journal: Arc::new(MemoryJournal::new()) };
        assert!(late.fill(ports).is_none());
        assert_eq!(late.books().await, Ok(Vec::new()));
    }

    #[tokio::test]
    async fn what_is_under_way_holds_the_ports_that_it_began_with() {
        let (late, memory) = (Late::new(), || Ports {
            documents: Arc::new(MemoryDocuments::new()),
            journal: Arc::new(MemoryJournal::new()),
        });
        late.fill(memory());
        let under_way = late.ports().expect("they are there");
        let before = late.fill(memory()).expect("there were some");
        assert!(Arc::ptr_eq(&under_way, &before));
        assert_eq!(Arc::strong_count(&before), 2);
        drop(under_way);
        assert_eq!(Arc::strong_count(&before), 1);
    }
}
