//! The journal port: append-only books of money.

use async_trait::async_trait;
use bytes::Bytes;

use super::StoreError;
use crate::AppId;

/// One append-only sequence of groups. There is one per application.
pub type BookId = AppId;

/// The place of a group in its book, from 1.
pub type Sequence = u64;

/// What one slot holds: the outcomes of many commands in one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Tells our own group from another's when the outcome of an append was unknown.
    pub id: u128,
    /// The encoded outcomes. The store does not look inside.
    pub bytes: Bytes,
}

/// The answer to an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// The slot holds this group now, durably; also when an earlier attempt with the same id had put it there.
    Appended,
    /// The slot holds another group, for ever.
    Taken,
}

/// A part of a book, as one call of the store brings it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// In order, without gaps.
    pub groups: Vec<(Sequence, Group)>,
    /// Whether nothing was behind them when they were read.
    pub is_head: bool,
}

/// How many books are listed at a time.
pub const BOOKS_A_PAGE: usize = 1000;

/// Keeps books. One rule carries everything: **a slot (book, sequence) is filled once, for ever.** It makes any
/// number of processes safe on one book without locks, leases or multi-document transactions.
///
/// Callers append at `head + 1` only, where `head` is what they have read and applied.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Fills a slot. `Appended` means durable. [`StoreError::Unavailable`] means that the slot was not filled by
    /// this call; after [`StoreError::OutcomeUnknown`] append the same group at the same slot again until the
    /// answer is known. An empty slot proves nothing, since the first attempt may still land.
    async fn append(&self, book: BookId, sequence: Sequence, group: Group) -> Result<Appended, StoreError>;

    /// Groups from `from` on in order, without gaps: `limit` of them, or fewer if the head comes first; none past the
    /// head. Sees every append that was answered before.
    async fn read(
        &self,
        book: BookId,
        from: Sequence,
        limit: usize,
    ) -> Result<Vec<(Sequence, Group)>, StoreError>;

    /// The same without proof of the head, which may cost a store over a network a write: what others appended last may be
    /// missing. Enough for who knows that a slot is filled, and for who appends next and is told by the slot.
    async fn read_known(
        &self,
        book: BookId,
        from: Sequence,
        limit: usize,
    ) -> Result<Vec<(Sequence, Group)>, StoreError>;

    /// The same in parts of a few megabytes, however many groups are asked for: whoever gives each call so much time and
    /// no more reads large groups so. At least one group, unless the head is before `from`.
    async fn read_page(&self, book: BookId, from: Sequence, limit: usize) -> Result<Page, StoreError> {
        let groups = self.read(book, from, limit).await?;
        Ok(Page { is_head: groups.len() < limit, groups })
    }

    /// The last filled slot, 0 for an empty book. Sees every append that was answered before.
    async fn head(&self, book: BookId) -> Result<Sequence, StoreError>;

    /// Every book that has a group, in the order of their ids.
    async fn books(&self) -> Result<Vec<BookId>, StoreError>;

    /// The same in parts: books whose ids come after this one, `limit` at most, and none only if there is none.
    async fn books_after(&self, after: Option<BookId>, limit: usize) -> Result<Vec<BookId>, StoreError> {
        let behind = |book: &BookId| after.is_none_or(|after| *book > after);
        Ok(self.books().await?.into_iter().filter(behind).take(limit).collect())
    }

    /// Whether another process can append to the same books. If not, what this process has applied is the head.
    fn is_shared(&self) -> bool;

    /// Whether calls are turned away for now without being made: whoever would wait for one need not begin.
    fn is_away(&self) -> bool {
        false
    }
}
