//! Stores with something of a test's own on the way.

use std::ops::Deref;

use async_trait::async_trait;

use crate::AppId;
use crate::ports::StoreError;
use crate::ports::documents::{Batch, Collection, CommitError, Document, Documents, Query, Row};
use crate::ports::journal::{Appended, BookId, Group, Journal, Sequence};

/// A store before which a [`MeddlesWithDocuments`] or a [`MeddlesWithJournal`] stands, whose members it shows.
#[derive(Debug, Default)]
pub struct Between<M>(pub M);

impl<M> Deref for Between<M> {
    type Target = M;

    fn deref(&self) -> &M {
        &self.0
    }
}

/// What a test does with calls of documents. What it does not name passes to those behind.
#[async_trait]
#[expect(missing_docs, reason = "each does what the method of that name does in the port")]
pub trait MeddlesWithDocuments: Send + Sync {
    fn behind(&self) -> &dyn Documents;

    /// Before every call; an error is the answer.
    async fn before(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Behind every call but [`Documents::apps`].
    async fn after(&self) {}

    async fn query(&self, app: AppId, query: Query) -> Result<Vec<Row>, StoreError> {
        self.behind().query(app, query).await
    }

    async fn commit(&self, app: AppId, batch: Batch) -> Result<(), CommitError> {
        self.behind().commit(app, batch).await
    }
}

#[async_trait]
impl<M: MeddlesWithDocuments> Documents for Between<M> {
    async fn get(
        &self,
        app: AppId,
        collection: &'static Collection,
        id: &str,
    ) -> Result<Option<Document>, StoreError> {
        self.before().await?;
        let answer = self.behind().get(app, collection, id).await;
        self.after().await;
        answer
    }

    async fn get_many(
        &self,
        app: AppId,
        collection: &'static Collection,
        ids: &[String],
    ) -> Result<Vec<Option<Document>>, StoreError> {
        self.before().await?;
        let answer = self.behind().get_many(app, collection, ids).await;
        self.after().await;
        answer
    }

    async fn query(&self, app: AppId, query: Query) -> Result<Vec<Row>, StoreError> {
        self.before().await?;
        let answer = self.0.query(app, query).await;
        self.after().await;
        answer
    }

    async fn commit(&self, app: AppId, batch: Batch) -> Result<(), CommitError> {
        self.before().await?;
        let answer = self.0.commit(app, batch).await;
        self.after().await;
        answer
    }

    async fn apps(&self, collection: &'static Collection) -> Result<Vec<AppId>, StoreError> {
        self.before().await?;
        self.behind().apps(collection).await
    }
}

/// What a test does with calls of a journal. What it does not name passes to the one behind.
#[async_trait]
#[expect(missing_docs, reason = "each does what the method of that name does in the port")]
pub trait MeddlesWithJournal: Send + Sync {
    fn behind(&self) -> &dyn Journal;

    async fn append(&self, book: BookId, sequence: Sequence, group: Group) -> Result<Appended, StoreError> {
        self.behind().append(book, sequence, group).await
    }

    /// Every kind of read.
    async fn read(
        &self,
        book: BookId,
        from: Sequence,
        limit: usize,
    ) -> Result<Vec<(Sequence, Group)>, StoreError> {
        self.behind().read(book, from, limit).await
    }
}

#[async_trait]
impl<M: MeddlesWithJournal> Journal for Between<M> {
    async fn append(&self, book: BookId, sequence: Sequence, group: Group) -> Result<Appended, StoreError> {
        self.0.append(book, sequence, group).await
    }

    async fn read(
        &self,
        book: BookId,
        from: Sequence,
        limit: usize,
    ) -> Result<Vec<(Sequence, Group)>, StoreError> {
        self.0.read(book, from, limit).await
    }

    async fn read_known(
        &self,
        book: BookId,
        from: Sequence,
        limit: usize,
    ) -> Result<Vec<(Sequence, Group)>, StoreError> {
        self.0.read(book, from, limit).await
    }

    async fn head(&self, book: BookId) -> Result<Sequence, StoreError> {
        self.behind().head(book).await
    }

    async fn books(&self) -> Result<Vec<BookId>, StoreError> {
        self.behind().books().await
    }

    fn is_shared(&self) -> bool {
        self.behind().is_shared()
    }
}
