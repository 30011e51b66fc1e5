//! Groups that are too large for one document.
//!
//! The server refuses documents over 16 MiB. The bytes of a larger group are kept beside the journal, in parts
//! `{_id: {b: book, g: group, p: number}, d: bytes}`. A majority takes all of them before the slot is filled, and the slot
//! tells how many there are: the group counts with its slot, whole, or not at all. Parts whose slot went to another count
//! for nothing; whoever lost the slot removes them, and what a crash leaves of them is in nobody's way.

use bytes::{Bytes, BytesMut};
use credit_core::ports::StoreError;
use credit_core::ports::journal::{BookId, Group};
use mongodb::bson::{Document, RawArrayBuf, RawDocumentBuf, doc, rawdoc};

use super::append::{self, Inserted};
use super::error::Failed;
use super::layout::{binary, damaged, millis, uuid};
use super::link::Link;

/// The collection.
pub(super) const PARTS: &str = "journal_parts";

/// The most bytes of one part, with room for what surrounds them.
pub(super) const PART_BYTES: usize = 12 << 20;

/// The most parts of one group. Three quarters of a gigabyte are more than anything makes that has room in memory.
const MOST: usize = 64;

/// How many parts a group of so many bytes has; none if it has room in its slot.
pub(super) fn count(bytes: usize) -> Result<i64, StoreError> {
    let count = if bytes <= PART_BYTES { 0 } else { bytes.div_ceil(PART_BYTES) };
    if count > MOST {
        return Err(StoreError::Corrupt(format!(
            "a group of {bytes} bytes does not fit: {} is the most",
            MOST * PART_BYTES
        )));
    }
    i64::try_from(count).map_err(|error| damaged(&error))
}

/// Puts the parts of a group, each by a majority. They may be there already. As long as its slot is not filled, none of
/// it counts, so that a fault is nothing worse than [`StoreError::Unavailable`].
pub(super) async fn put(link: &Link, book: BookId, group: &Group) -> Result<(), StoreError> {
    for (number, bytes) in (1_i64..).zip(group.bytes.chunks(PART_BYTES)) {
        let mut documents = RawArrayBuf::new();
        documents.push(rawdoc! {
            "_id": {"b": uuid(book.as_u128()), "g": uuid(group.id), "p": number},
            "d": binary(bytes),
        });
        let command = rawdoc! {
            "insert": PARTS,
            "documents": documents,
            "writeConcern": {"w": "majority", "j": true, "wtimeout": millis(link.deadline)},
        };
        match append::insert(link, &command).await {
            Ok(Inserted::Done) => {}
            Ok(Inserted::Filled) => check_majority(link, book, group.id, number).await?,
            Err(error) => return Err(StoreError::Unavailable(error.to_string())),
        }
    }
    Ok(())
}

/// A part that was there already may have been put by an attempt that no majority had answered: it counts once a majority
/// has it.
async fn check_majority(link: &Link, book: BookId, group: u128, number: i64) -> Result<(), StoreError> {
    if read_from(link, book, group, number, 1).await?.is_empty() {
        return Err(StoreError::Unavailable("a majority does not have a part of the group yet".to_owned()));
    }
    Ok(())
}

/// The bytes of a group of which a slot says that it has so many parts.
pub(super) async fn read(link: &Link, book: BookId, group: u128, count: i64) -> Result<Bytes, StoreError> {
    let incomplete =
        || StoreError::Corrupt(format!("a group of book {book} lacks some of its {count} parts"));
    let mut bytes = BytesMut::new();
    let mut next = 1;
    // Each answer of the server has room for one or two of them.
    while next <= count {
        let found = read_from(link, book, group, next, count - next + 1).await?;
        if found.is_empty() {
            return Err(incomplete());
        }
        for part in found {
            let id = part.get_document("_id").map_err(|error| damaged(&error))?;
            if id.get_i64("p").map_err(|error| damaged(&error))? != next {
                return Err(incomplete());
            }
            bytes.extend_from_slice(part.get_binary("d").map_err(|error| damaged(&error))?.bytes);
            next += 1;
        }
    }
    Ok(bytes.freeze())
}

/// Parts as a majority has them, from a number on: at most so many, and as many as one answer holds.
async fn read_from(
    link: &Link,
    book: BookId,
    group: u128,
    from: i64,
    most: i64,
) -> Result<Vec<RawDocumentBuf>, StoreError> {
    let own = link.clone();
    let filter = bounds(book, group, from);
    let call = async move {
        let mut session = own.session().await?;
        let mut cursor = own
            .collection(PARTS)
            .find(filter)
            .sort(doc! {"_id": 1})
            .limit(most.saturating_neg())
            .session(&mut session)
            .await?;
        let mut found = Vec::new();
        while cursor.advance(&mut session).await? {
            found.push(cursor.current().to_owned());
        }
        own.note(&session);
        Ok(found)
    };
    link.call(call).await.map_err(Failed::read)
}

/// Removes the parts of a group whose slot went to another. Where that fails they stay, and count for nothing.
pub(super) fn remove(link: &Link, book: BookId, group: u128) {
    let own = link.clone();
    link.spawn(async move {
        let removed = own.collection(PARTS).delete_many(bounds(book, group, 1)).await;
        if let Err(error) = removed {
            tracing::warn!(%book, %error, "parts of a group that does not count are left");
        }
    });
}

fn bounds(book: BookId, group: u128, from: i64) -> Document {
    let part = |number: i64| doc! {"b": uuid(book.as_u128()), "g": uuid(group), "p": number};
    doc! {"_id": {"$gte": part(from), "$lte": part(i64::MAX)}}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_has_parts_only_if_its_slot_has_no_room_for_it() {
        assert_eq!(count(0), Ok(0));
        assert_eq!(count(PART_BYTES), Ok(0));
        assert_eq!(count(PART_BYTES + 1), Ok(2));
        assert_eq!(count(PART_BYTES * MOST), Ok(64));
        assert!(matches!(count(PART_BYTES * MOST + 1), Err(StoreError::Corrupt(_))));
    }
}
