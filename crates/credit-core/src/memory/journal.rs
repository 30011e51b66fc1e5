//! Books in memory.

use std::collections::BTreeMap;

use async_trait::async_trait;
use parking_lot::Mutex;

use crate::ports::StoreError;
use crate::ports::journal::{Appended, BookId, Group, Journal, Sequence};

/// The reference journal.
#[derive(Debug, Default)]
pub struct MemoryJournal {
    books: Mutex<BTreeMap<BookId, Vec<Group>>>,
    shared: bool,
}

impl MemoryJournal {
    /// An empty journal with one writer.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty journal that says that others append to it too, for tests of several ledgers on one book.
    pub fn shared() -> Self {
        Self { shared: true, ..Self::default() }
    }
}

#[async_trait]
impl Journal for MemoryJournal {
    async fn append(&self, book: BookId, sequence: Sequence, group: Group) -> Result<Appended, StoreError> {
        let mut books = self.books.lock();
        let head = books.get(&book).map_or(0, head_of);
        if sequence == 0 || sequence > head + 1 {
            return Err(StoreError::Corrupt(format!(
                "{book} cannot be filled at {sequence}: its head is {head}, and a book has no gaps"
            )));
        }
        let groups = books.entry(book).or_default();
        if sequence == head + 1 {
            groups.push(group);
            return Ok(Appended::Appended);
        }
        let kept = &groups[place_of(sequence)];
        Ok(if kept.id == group.id { Appended::Appended } else { Appended::Taken })
    }

    async fn read(
        &self,
        book: BookId,
        from: Sequence,
        limit: usize,
    ) -> Result<Vec<(Sequence, Group)>, StoreError> {
        let books = self.books.lock();
        let Some(groups) = books.get(&book) else { return Ok(Vec::new()) };
        let from = from.max(1);
        Ok((from..).zip(groups.iter().skip(place_of(from)).take(limit).cloned()).collect())
    }

    async fn read_known(
        &self,
        book: BookId,
        from: Sequence,
        limit: usize,
    ) -> Result<Vec<(Sequence, Group)>, StoreError> {
        self.read(book, from, limit).await
    }

    async fn head(&self, book: BookId) -> Result<Sequence, StoreError> {
        Ok(self.books.lock().get(&book).map_or(0, head_of))
    }

    async fn books(&self) -> Result<Vec<BookId>, StoreError> {
        Ok(self.books.lock().keys().copied().collect())
    }

    fn is_shared(&self) -> bool {
        self.shared
    }
}

#[expect(clippy::ptr_arg, reason = "used as a function over the map's values")]
fn head_of(groups: &Vec<Group>) -> Sequence {
    Sequence::try_from(groups.len()).expect("memory ends before u64 does")
}

/// Where a slot lies in the vector; slots count from 1.
fn place_of(sequence: Sequence) -> usize {
    usize::try_from(sequence - 1).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use std::future::{Ready, ready};
    use std::sync::Arc;

    use super::*;

    fn fresh() -> Ready<(Arc<dyn Journal>, ())> {
        ready((Arc::new(MemoryJournal::new()), ()))
    }

    crate::journal_contract_tests!(fresh);

    #[tokio::test]
    async fn a_shared_journal_says_so() {
        assert!(!MemoryJournal::new().is_shared());
        assert!(MemoryJournal::shared().is_shared());
    }
}
