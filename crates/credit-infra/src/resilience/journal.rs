//! The journal port behind a guard.

use std::sync::Arc;

use async_trait::async_trait;
use credit_core::ports::StoreError;
use credit_core::ports::journal::{Appended, BOOKS_A_PAGE, BookId, Group, Journal, Page, Sequence};

use super::guard::Guard;
use super::operations::Operation;

/// A journal that is asked only while its store is not known to be away, and not for longer than the deadline. An append
/// that was turned away was not made; one that was made and not answered in time is unknown, and the lane asks again.
pub struct GuardedJournal {
    inner: Arc<dyn Journal>,
    guard: Arc<Guard>,
    operations: Operations,
}

struct Operations {
    append: Operation,
    read: Operation,
    head: Operation,
    books: Operation,
}

impl GuardedJournal {
    /// This journal behind this guard. Its futures are dropped at the deadline.
    pub fn new(inner: Arc<dyn Journal>, guard: Arc<Guard>) -> Self {
        let operation = |name| Operation::new("journal", name);
        let operations = Operations {
            append: operation("append"),
            read: operation("read"),
            head: operation("head"),
            books: operation("books"),
        };
        Self { inner, guard, operations }
    }
}

#[async_trait]
impl Journal for GuardedJournal {
    async fn append(&self, book: BookId, sequence: Sequence, group: Group) -> Result<Appended, StoreError> {
        self.operations.append.measured(self.guard.write(self.inner.append(book, sequence, group))).await
    }

    async fn read(
        &self,
        book: BookId,
        from: Sequence,
        limit: usize,
    ) -> Result<Vec<(Sequence, Group)>, StoreError> {
        let mut groups = Vec::new();
        let mut next = from;
        while groups.len() < limit {
            let page = self.read_page(book, next, limit - groups.len()).await?;
            let Some((last, _)) = page.groups.last() else { break };
            next = last.saturating_add(1);
            groups.extend(page.groups);
            if page.is_head {
                break;
            }
        }
        Ok(groups)
    }

    async fn read_page(&self, book: BookId, from: Sequence, limit: usize) -> Result<Page, StoreError> {
        self.operations.read.measured(self.guard.read(|| self.inner.read_page(book, from, limit))).await
    }

    async fn read_known(
        &self,
        book: BookId,
        from: Sequence,
        limit: usize,
    ) -> Result<Vec<(Sequence, Group)>, StoreError> {
        self.operations.read.measured(self.guard.read(|| self.inner.read_known(book, from, limit))).await
    }

    async fn head(&self, book: BookId) -> Result<Sequence, StoreError> {
        self.operations.head.measured(self.guard.read(|| self.inner.head(book))).await
    }

    async fn books(&self) -> Result<Vec<BookId>, StoreError> {
        let mut books: Vec<BookId> = Vec::new();
        loop {
            let page = self.books_after(books.last().copied(), BOOKS_A_PAGE).await?;
            if page.is_empty() {
                return Ok(books);
            }
            books.extend(page);
        }
    }

    async fn books_after(&self, after: Option<BookId>, limit: usize) -> Result<Vec<BookId>, StoreError> {
        self.operations.books.measured(self.guard.read(|| self.inner.books_after(after, limit))).await
    }

    fn is_shared(&self) -> bool {
        self.inner.is_shared()
    }

    fn is_away(&self) -> bool {
        self.guard.is_away() || self.inner.is_away()
    }
}
