//! Books as one document for each slot.
//!
//! `{_id: {b: book, s: sequence}, g: group, d: bytes}`. The id is the slot, so that the one index every collection has
//! is the rule that a slot is filled once; it leads with the book, which is how the collection is sharded. Slot 0 holds
//! no group: it is the book's fence (see [`super::fence`]).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use credit_core::ports::StoreError;
use credit_core::ports::journal::{Appended, BookId, Group, Journal, Sequence};
use mongodb::bson::{RawDocument, RawDocumentBuf, Timestamp, doc, rawdoc};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::error::Failed;
use super::fence::Fences;
use super::layout::{binary, damaged, integer, read_slot, slot, slot_bounds, uuid};
use super::link::Link;

/// The most bytes of one group. The server refuses documents over 16 MiB; the ledger closes a group once it has 8 MiB.
pub(super) const GROUP_BYTES: usize = 12 << 20;

/// How many groups are read from a slot on that another has taken.
const TAKEN_GROUPS: usize = 16;

/// The most groups asked for at a time.
const READ_GROUPS: usize = 1024;

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
            let why = match self.groups(book, sequence, TAKEN_GROUPS, false).await {
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

    /// The documents of a range of slots, newest first if `backwards`, as they are behind `proof`.
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
                doc! {"g": 1, "d": 1}
            };
            let count = i64::try_from(limit).unwrap_or(i64::MAX);
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

    /// Groups from `from` on; up to the head if they are `proven`.
    async fn groups(
        &self,
        book: BookId,
        from: Sequence,
        limit: usize,
        proven: bool,
    ) -> Result<Vec<(Sequence, Group)>, StoreError> {
        let mut groups = Vec::new();
        let mut next = from.max(1);
        while groups.len() < limit && i64::try_from(next).is_ok() {
            let count = (limit - groups.len()).min(READ_GROUPS);
            let found = {
                let proof = if proven { Some(self.fences.prove(book).await?) } else { None };
                self.find(book, next, count, false, proof).await?
            };
            // Fewer than asked for is the end: the cursor was read to its end.
            let is_last = found.len() < count;
            for document in found {
                let (sequence, group) = read_group(&document)?;
                if sequence != next {
                    return Err(StoreError::Corrupt(format!("slot {next} of book {book} is missing")));
                }
                groups.push((sequence, group));
                next += 1;
            }
            if is_last {
                break;
            }
        }
        if !groups.is_empty() {
            self.note_filled(book, next - 1);
        }
        Ok(groups)
    }
}

#[async_trait]
impl Journal for MongoJournal {
    async fn append(&self, book: BookId, sequence: Sequence, group: Group) -> Result<Appended, StoreError> {
        if group.bytes.len() > GROUP_BYTES {
            return Err(StoreError::Corrupt(format!(
                "a group of {} bytes does not fit a slot, which takes {GROUP_BYTES}",
                group.bytes.len()
            )));
        }
        self.check_no_gap(book, sequence).await?;
        let document = rawdoc! {
            "_id": {"b": uuid(book.as_u128()), "s": integer(sequence)},
            "g": uuid(group.id),
            "d": binary(&group.bytes),
        };
        let link = self.link.clone();
        let call = async move {
            let mut session = link.session().await?;
            let inserted = link.collection(super::JOURNAL).insert_one(document).session(&mut session).await;
            link.note(&session);
            inserted
        };
        match self.link.call(call).await {
            Ok(_) => {
                self.note_filled(book, sequence);
                Ok(Appended::Appended)
            }
            Err(failed) if failed.is_duplicate() => self.resolve(book, sequence, group.id).await,
            Err(failed) => Err(failed.write()),
        }
    }

    async fn read(
        &self,
        book: BookId,
        from: Sequence,
        limit: usize,
    ) -> Result<Vec<(Sequence, Group)>, StoreError> {
        self.groups(book, from, limit, true).await
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
            None => self.groups(book, from, limit, false).await,
        }
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
            // From book to book, not from slot to slot: one look each.
            let behind = books.last().map_or_else(
                || doc! {"g": {"$exists": true}},
                |last| doc! {"_id": {"$gt": slot(*last, Sequence::MAX)}, "g": {"$exists": true}},
            );
            let link = self.link.clone();
            let call = async move {
                let mut session = link.session().await?;
                let found = link
                    .collection(super::JOURNAL)
                    .find_one(behind)
                    .sort(doc! {"_id": 1})
                    .projection(doc! {"_id": 1})
                    .session(&mut session)
                    .await?;
                link.note(&session);
                Ok(found)
            };
            let found = self.link.call(call).await.map_err(Failed::read)?;
            match found {
                Some(document) => books.push(read_slot(&document)?.0),
                None => return Ok(books),
            }
        }
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

fn read_group(document: &RawDocument) -> Result<(Sequence, Group), StoreError> {
    let (_, sequence) = read_slot(document)?;
    let bytes = document.get_binary("d").map_err(|error| damaged(&error))?;
    Ok((sequence, Group { id: group_id(document)?, bytes: Bytes::copy_from_slice(bytes.bytes) }))
}

impl std::fmt::Debug for MongoJournal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MongoJournal").finish_non_exhaustive()
    }
}
