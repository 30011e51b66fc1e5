//! How applications, slots, ids and keys look in the database.

use std::borrow::Cow;

use credit_core::AppId;
use credit_core::ports::StoreError;
use credit_core::ports::journal::Sequence;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Document, RawDocument, RawDocumentBuf, doc};

/// An id of sixteen bytes. All of them are as long, so that they sort by their bytes.
pub(super) fn uuid(id: u128) -> Binary {
    Binary { subtype: BinarySubtype::Uuid, bytes: id.to_be_bytes().to_vec() }
}

/// Bytes as they are.
pub(super) fn binary(bytes: &[u8]) -> Binary {
    Binary { subtype: BinarySubtype::Generic, bytes: bytes.to_vec() }
}

/// The id of a slot.
pub(super) fn slot(book: AppId, sequence: Sequence) -> Document {
    doc! {"b": uuid(book.as_u128()), "s": integer(sequence)}
}

/// All slots of a book from one on.
pub(super) fn slot_bounds(book: AppId, from: Sequence) -> Document {
    doc! {"_id": {"$gte": slot(book, from), "$lte": slot(book, Sequence::MAX)}}
}

/// A count as the database keeps it; what is beyond is never reached.
pub(super) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A time span as the server takes it.
pub(super) fn millis(span: std::time::Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// The book and sequence of a slot's document.
pub(super) fn read_slot(document: &RawDocument) -> Result<(AppId, Sequence), StoreError> {
    let id = document.get_document("_id").map_err(|error| damaged(&error))?;
    let sequence = id.get_i64("s").map_err(|error| damaged(&error))?;
    let sequence = u64::try_from(sequence).map_err(|error| damaged(&error))?;
    Ok((read_app(id, "b")?, sequence))
}

/// The application in a member of a document.
pub(super) fn read_app(document: &RawDocument, member: &str) -> Result<AppId, StoreError> {
    let found = document.get_binary(member).map_err(|error| damaged(&error))?;
    let bytes = found.bytes.try_into().map_err(|_| StoreError::Corrupt("an id is not an id".to_owned()))?;
    Ok(AppId::from_u128(u128::from_be_bytes(bytes)))
}

/// What is kept does not read.
pub(super) fn damaged(error: &dyn std::fmt::Display) -> StoreError {
    StoreError::Corrupt(error.to_string())
}

/// Bytes as text of the characters U+0000 to U+00FF: the server compares text by its bytes, and these sort as the bytes
/// they stand for (its own binary type sorts by length first). ASCII, which nearly all keys and ids are, stays as it is.
pub(super) fn text(bytes: &[u8]) -> String {
    as_text(bytes).into_owned()
}

/// The same where ASCII need not be copied.
pub(super) fn as_text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(ascii) if ascii.is_ascii() => Cow::Borrowed(ascii),
        _ => Cow::Owned(bytes.iter().map(|byte| char::from(*byte)).collect()),
    }
}

/// An empty document with room for so many bytes. Views are written by the ten thousand, and each that grew as it was
/// filled would be moved several times.
pub(super) fn roomy(bytes: usize) -> RawDocumentBuf {
    let empty = RawDocumentBuf::new().into_bytes();
    let mut room = Vec::with_capacity(bytes);
    room.extend_from_slice(&empty);
    RawDocumentBuf::from_bytes(room).expect("an empty document")
}

/// The bytes that such text stands for.
pub(super) fn bytes(text: &str) -> Result<Vec<u8>, StoreError> {
    let bytes = text.chars().map(|character| u8::try_from(u32::from(character)));
    bytes.collect::<Result<_, _>>().map_err(|error| damaged(&error))
}

/// The least text behind all text that begins with this; none if there is no such.
pub(super) fn end_of_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_sorts_as_its_bytes_and_reads_back() {
        let samples: [&[u8]; 9] = [b"", b"\0", b"\0\xff", b"a", b"a\0", b"ab", b"\x7f", b"\x80", b"\xff\xff"];
        for pair in samples.windows(2) {
            assert!(text(pair[0]).as_bytes() < text(pair[1]).as_bytes(), "{pair:?}");
        }
        for sample in samples {
            assert_eq!(bytes(&text(sample)), Ok(sample.to_vec()));
        }
        assert!(bytes("\u{100}").is_err());
    }

    #[test]
    fn the_end_of_a_prefix_is_the_least_that_does_not_begin_with_it() {
        assert_eq!(end_of_prefix(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(end_of_prefix(b"a\xff\xff"), Some(b"b".to_vec()));
        assert_eq!(end_of_prefix(b"\xff"), None);
        assert_eq!(end_of_prefix(b""), None);
    }
}
