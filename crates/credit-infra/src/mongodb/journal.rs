//! Books as one document for each slot.
//!
//! `{_id: {b: book, s: sequence}, g: group, d: bytes}`, or `n` in place of `d`: the number of parts that the bytes are
//! kept in, where a document has no room for them (see [`super::parts`]). The id is the slot, so that the one index every collection has
//! is the rule that a slot is filled once; it leads with the book, which is how the collection is sharded. Slot 0 holds
//! no group: it is the book's fence (see [`super::fence`]). Which books there are, an index of their first slots tells
//! (see [`super::books`]).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use credit_core::ports::StoreError;
use credit_core::ports::journal::{Appended, BOOKS_A_PAGE, BookId, Group, Journal, Page, Sequence};
use mongodb::bson::{RawArrayBuf, RawDocument, RawDocumentBuf, Timestamp, cstr, doc, rawdoc};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::append::{self, Inserted};
use super::books;
use super::error::Failed;
use super::fence::Fences;
use super::layout::{binary, damaged, integer, millis, read_slot, slot, slot_bounds, uuid};
use super::link::Link;
use super::parts::{self, PART_BYTES};

/// How many groups are read from a slot on that another has taken.
const TAKEN_GROUPS: usize = 16;

/// The most groups asked for at a time.
const READ_GROUPS: usize = 1024;

/// The server ends an answer before the document that would make it larger than 16 MiB. With room for what surrounds the
/// bytes of a group.
const ANSWER_BYTES: usize = (16 << 20) - (64 << 10);

/// The journal port.
pub(super) struct MongoJournal {
    link: Link,
    fences: Arc<Fences>,
    /// Slots that are known to be filled, at least up to here: who appends behind that leaves no gap.
    filled: Mutex<HashMap<BookId, Sequence>>,
    /// What was in a slot that another had taken, and behind it: whoever lost it asks for that next.
    taken: Mutex<HashMap<BookId, Vec<(Sequence, Group)>>>,
}

impl MongoJournal {
    pub(super) fn new(link: Link) -> Self {
        Self { fences: Fences::new(link.clone()), link, filled: Mutex::default(), taken: Mutex::default() }
    }

    fn note_filled(&self, book: BookId, sequence: Sequence) {
        let mut filled = self.filled.lock();
        let known = filled.entry(book).or_default();
        *known = sequence.max(*known);
    }

    /// A book has no gaps: refuses a slot whose predecessor is not there.
    async fn check_no_gap(&self, book: BookId, sequence: Sequence) -> Result<(), StoreError> {
        let known = self.filled.lock().get(&book).copied().unwrap_or_default();
        if sequence != 0 && sequence <= known + 1 {
            return Ok(());
        }
        if sequence != 0 && self.holder(book, sequence - 1).await?.is_some() {
            self.note_filled(book, sequence - 1);
            return Ok(());
        }
        Err(StoreError::Corrupt(format!(
            "{book} cannot be filled at {sequence}: the slot before is empty, and a book has no gaps"
        )))
    }

    /// The command that fills a slot.
    fn insert(&self, book: BookId, sequence: Sequence, group: &Group, parts: i64) -> RawDocumentBuf {
        let mut document = rawdoc! {
            "_id": {"b": uuid(book.as_u128()), "s": integer(sequence)},
            "g": uuid(group.id),
        };
        if parts == 0 {
            document.append(cstr!("d"), binary(&group.bytes));
        } else {
            document.append(cstr!("n"), parts);
        }
        let mut documents = RawArrayBuf::new();
        documents.push(document);
        rawdoc! {
            "insert": super::JOURNAL,
            "documents": documents,
            "writeConcern": {"w": "majority", "j": true, "wtimeout": millis(self.link.deadline)},
        }
    }

    /// The group in a slot, and whether it is kept in parts.
    async fn read_group(&self, book: BookId, document: &RawDocument) -> Result<(Group, bool), StoreError> {
        let id = group_id(document)?;
        if let Some(count) = document.get("n").map_err(|error| damaged(&error))? {
            let count = count.as_i64().ok_or_else(|| damaged(&"a count of parts is no number"))?;
            return Ok((Group { id, bytes: parts::read(&self.link, book, id, count).await? }, true));
        }
        let bytes = document.get_binary("d").map_err(|error| damaged(&error))?;
        Ok((Group { id, bytes: Bytes::copy_from_slice(bytes.bytes) }, false))
    }

    /// Whose group a majority has in this slot. What is there stays for ever.
    async fn holder(&self, book: BookId, sequence: Sequence) -> Result<Option<u128>, StoreError> {
        let link = self.link.clone();
        let call = async move {
            let mut session = link.session().await?;
            let found = link
                .collection(super::JOURNAL)
                .find_one(doc! {"_id": slot(book, sequence)})
                .projection(doc! {"g": 1})
                .session(&mut session)
                .await?;
            link.note(&session);
            Ok(found)
        };
        let found = self.link.call(call).await.map_err(Failed::read)?;
        found.map(|document| group_id(&document)).transpose()
    }

    /// The slot is filled: by us or by another? A group that a majority does not have yet is waited for.
    async fn resolve(&self, book: BookId, sequence: Sequence, id: u128) -> Result<Appended, StoreError> {
        let limit = Instant::now() + self.link.deadline;
        let mut pause = Duration::from_millis(2);
        loop {
            let why = match self.page(book, sequence, TAKEN_GROUPS, None).await.map(|page| page.groups) {
                Ok(groups) if !groups.is_empty() => {
                    if groups[0].1.id == id {
                        return Ok(Appended::Appended);
                    }
                    self.taken.lock().insert(book, groups);
                    return Ok(Appended::Taken);
                }
                Ok(_) => "a majority does not have the group in this slot yet".to_owned(),
                Err(StoreError::Unavailable(why)) => why,
                Err(error) => return Err(error),
            };
            if Instant::now() + pause > limit {
                return Err(StoreError::OutcomeUnknown(why));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(200));
        }
    }

    /// The documents of a range of slots, newest first if `backwards`, as they are behind `proof`: as many as have room in
    /// one answer of the server.
    async fn find(
        &self,
        book: BookId,
        from: Sequence,
        limit: usize,
        backwards: bool,
        proof: Option<Timestamp>,
    ) -> Result<Vec<RawDocumentBuf>, StoreError> {
        let link = self.link.clone();
        let call = async move {
            let mut session = link.session().await?;
            if let Some(proof) = proof {
                session.advance_operation_time(proof);
            }
            let projection = if backwards {
                doc! {"_id": 1}
            } else {
                doc! {"g": 1, "d": 1, "n": 1}
            };
            // Below zero: one answer and no more, however many groups have room in it.
            let count = i64::try_from(limit).unwrap_or(i64::MAX).saturating_neg();
            let mut cursor = link
                .collection(super::JOURNAL)
                .find(slot_bounds(book, from))
                .sort(doc! {"_id": if backwards { -1 } else { 1 }})
                .projection(projection)
                .limit(count)
                .batch_size(u32::try_from(limit).unwrap_or(u32::MAX))
                .session(&mut session)
                .await?;
            let mut found = Vec::new();
            while cursor.advance(&mut session).await? {
                found.push(cursor.current().to_owned());
            }
            link.note(&session);
            Ok(found)
        };
        self.link.call(call).await.map_err(Failed::read)
    }

    /// Groups from `from` on, as they are behind `proof`. Without one, what others appended last may be missing.
    async fn page(
        &self,
        book: BookId,
        from: Sequence,
        limit: usize,
        proof: Option<Timestamp>,
    ) -> Result<Page, StoreError> {
        let from = from.max(1);
        if limit == 0 || i64::try_from(from).is_err() {
            return Ok(Page { groups: Vec::new(), is_head: limit > 0 });
        }
        let count = limit.min(READ_GROUPS);
        let found = self.find(book, from, count, false, proof).await?;
        let bytes: usize = found.iter().map(|document| document.as_bytes().len()).sum();
        // Fewer than asked for are the end, unless the server may have stopped because there was no room for the next.
        let mut is_head = found.len() < count && bytes + PART_BYTES < ANSWER_BYTES;
        let mut groups = Vec::with_capacity(found.len());
        let all = found.len();
        for (next, document) in (from..).zip(found) {
            let (_, sequence) = read_slot(&document)?;
            if sequence != next {
                return Err(StoreError::Corrupt(format!("slot {next} of book {book} is missing")));
            }
            let (group, is_large) = self.read_group(book, &document).await?;
            groups.push((sequence, group));
            // Whoever reads has one of these in memory at a time.
            if is_large && groups.len() < all {
                is_head = false;
                break;
            }
        }
        if let Some((last, _)) = groups.last() {
            self.note_filled(book, *last);
        }
        Ok(Page { groups, is_head })
    }
}

#[async_trait]
impl Journal for MongoJournal {
    async fn append(&self, book: BookId, sequence: Sequence, group: Group) -> Result<Appended, StoreError> {
        let parts = parts::count(group.bytes.len())?;
        self.check_no_gap(book, sequence).await?;
        if parts > 0 {
            parts::put(&self.link, book, &group).await?;
        }
        match append::insert(&self.link, &self.insert(book, sequence, &group, parts)).await? {
            Inserted::Done => {
                self.note_filled(book, sequence);
                Ok(Appended::Appended)
            }
            Inserted::Filled => {
                let whose = self.resolve(book, sequence, group.id).await?;
                if whose == Appended::Taken && parts > 0 {
                    parts::remove(&self.link, book, group.id);
                }
                Ok(whose)
            }
        }
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
            next = last + 1;
            groups.extend(page.groups);
            if page.is_head {
                break;
            }
        }
        Ok(groups)
    }

    async fn read_known(
        &self,
        book: BookId,
        from: Sequence,
        limit: usize,
    ) -> Result<Vec<(Sequence, Group)>, StoreError> {
        let kept = self.taken.lock().remove(&book);
        match kept.filter(|groups| groups.first().is_some_and(|(sequence, _)| *sequence == from)) {
            Some(mut groups) => {
                groups.truncate(limit);
                Ok(groups)
            }
            None => Ok(self.page(book, from, limit, None).await?.groups),
        }
    }

    async fn read_page(&self, book: BookId, from: Sequence, limit: usize) -> Result<Page, StoreError> {
        let proof = self.fences.prove(book).await?;
        self.page(book, from, limit, Some(proof)).await
    }

    async fn head(&self, book: BookId) -> Result<Sequence, StoreError> {
        let proof = self.fences.prove(book).await?;
        let found = self.find(book, 1, 1, true, Some(proof)).await?;
        let head =
            found.first().map_or(Ok(0), |document| read_slot(document).map(|(_, sequence)| sequence))?;
        self.note_filled(book, head);
        Ok(head)
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
        books::page(&self.link, after, limit).await
    }

    fn is_shared(&self) -> bool {
        true
    }
}

fn group_id(document: &RawDocument) -> Result<u128, StoreError> {
    let id = document.get_binary("g").map_err(|error| damaged(&error))?;
    let bytes =
        id.bytes.try_into().map_err(|_| StoreError::Corrupt("a group's id does not read".to_owned()))?;
    Ok(u128::from_be_bytes(bytes))
}

impl std::fmt::Debug for MongoJournal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MongoJournal").finish_non_exhaustive()
    }
}
