//! How keys and values are laid out in the tables. Everything is bytes, so that order is the order of bytes.
//!
//! | table | key | value |
//! |---|---|---|
//! | `groups` | book (16) ‖ sequence (8, big-endian) | group id (16) ‖ bytes |
//! | `d.{collection}` | app (16) ‖ id | version (8) ‖ length of keys (4) ‖ keys ‖ body |
//! | `i.{collection}.{index}` | app (16) ‖ escaped key ‖ 0x00 0x01 ‖ id | nothing |
//! | `heads` | book (16) | sequence (8) |
//!
//! In an index row every 0x00 of the key is followed by 0xFF, and 0x00 0x01 ends it: rows then sort by key and then
//! id, and a key never runs into the id.

use bytes::Bytes;
use credit_core::AppId;
use credit_core::ports::documents::{Collection, Document, IndexKeys};
use credit_core::ports::journal::{BookId, Sequence};

/// The table of a collection's documents.
pub(super) fn documents_table(collection: &str) -> String {
    format!("d.{collection}")
}

/// The table of one index.
pub(super) fn index_table(collection: &str, index: &str) -> String {
    format!("i.{collection}.{index}")
}

pub(super) fn slot_key(book: BookId, sequence: Sequence) -> [u8; 24] {
    let mut key = [0; 24];
    key[..16].copy_from_slice(&book.as_u128().to_be_bytes());
    key[16..].copy_from_slice(&sequence.to_be_bytes());
    key
}

pub(super) fn read_slot_key(key: &[u8]) -> Option<(BookId, Sequence)> {
    let (book, sequence) = key.split_first_chunk::<16>()?;
    Some((AppId::from_u128(u128::from_be_bytes(*book)), u64::from_be_bytes(sequence.try_into().ok()?)))
}

pub(super) fn app_prefix(app: AppId) -> [u8; 16] {
    app.as_u128().to_be_bytes()
}

pub(super) fn read_app(key: &[u8]) -> Option<AppId> {
    key.first_chunk::<16>().map(|app| AppId::from_u128(u128::from_be_bytes(*app)))
}

pub(super) fn document_key(app: AppId, id: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(16 + id.len());
    key.extend_from_slice(&app_prefix(app));
    key.extend_from_slice(id.as_bytes());
    key
}

/// What every row under this part of a key begins with; also where the rows at or after it begin.
pub(super) fn index_prefix(app: AppId, part: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(16 + part.len() + 8);
    key.extend_from_slice(&app_prefix(app));
    for byte in part {
        key.push(*byte);
        if *byte == 0 {
            key.push(0xFF);
        }
    }
    key
}

/// What the rows of exactly this key begin with.
pub(super) fn index_rows_of(app: AppId, key: &[u8]) -> Vec<u8> {
    let mut prefix = index_prefix(app, key);
    prefix.extend_from_slice(&[0, 1]);
    prefix
}

pub(super) fn index_row(app: AppId, key: &[u8], id: &[u8]) -> Vec<u8> {
    let mut row = index_rows_of(app, key);
    row.extend_from_slice(id);
    row
}

/// The key and the id of an index row.
pub(super) fn read_index_row(row: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut rest = row.get(16..)?;
    let mut key = Vec::with_capacity(rest.len());
    loop {
        match rest {
            [0, 0xFF, tail @ ..] => {
                key.push(0);
                rest = tail;
            }
            [0, 1, id @ ..] => return Some((key, id)),
            [0, ..] | [] => return None,
            [byte, tail @ ..] => {
                key.push(*byte);
                rest = tail;
            }
        }
    }
}

/// The first bytes that no longer begin with `prefix`; `None` if all that follow do.
pub(super) fn behind_prefix(mut prefix: Vec<u8>) -> Option<Vec<u8>> {
    while let Some(last) = prefix.pop() {
        if last < 0xFF {
            prefix.push(last + 1);
            return Some(prefix);
        }
    }
    None
}

/// A document as it is kept.
pub(super) fn encode_document(version: u64, keys: &IndexKeys, body: &[u8]) -> Vec<u8> {
    let keys_length: usize = keys.iter().map(|(name, key)| 5 + name.len() + key.as_bytes().len()).sum();
    let mut value = Vec::with_capacity(12 + keys_length + body.len());
    value.extend_from_slice(&version.to_be_bytes());
    value.extend_from_slice(&length(keys_length).to_be_bytes());
    for (name, key) in keys {
        value.push(u8::try_from(name.len()).expect("names of indexes are short"));
        value.extend_from_slice(name.as_bytes());
        value.extend_from_slice(&length(key.as_bytes().len()).to_be_bytes());
        value.extend_from_slice(key.as_bytes());
    }
    value.extend_from_slice(body);
    value
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("keys of a document are far below 4 GiB")
}

/// A kept document, read in place.
pub(super) struct Kept<'a> {
    /// As in [`Document`].
    pub(super) version: u64,
    /// The encoded keys: the same bytes are the same keys.
    pub(super) keys: &'a [u8],
    /// As in [`Document`].
    pub(super) body: &'a [u8],
}

impl<'a> Kept<'a> {
    pub(super) fn read(value: &'a [u8]) -> Option<Self> {
        let (version, rest) = value.split_first_chunk::<8>()?;
        let (keys_length, rest) = rest.split_first_chunk::<4>()?;
        let (keys, body) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*keys_length)).ok()?)?;
        Some(Self { version: u64::from_be_bytes(*version), keys, body })
    }

    /// Index names and keys.
    pub(super) fn read_keys(mut keys: &'a [u8]) -> Option<Vec<(&'a str, &'a [u8])>> {
        let mut read = Vec::new();
        while let Some((name_length, rest)) = keys.split_first() {
            let (name, rest) = rest.split_at_checked(usize::from(*name_length))?;
            let (key_length, rest) = rest.split_first_chunk::<4>()?;
            let (key, rest) =
                rest.split_at_checked(usize::try_from(u32::from_be_bytes(*key_length)).ok()?)?;
            read.push((std::str::from_utf8(name).ok()?, key));
            keys = rest;
        }
        Some(read)
    }

    pub(super) fn document(&self, id: &str) -> Document {
        Document { id: id.to_owned(), version: self.version, body: Bytes::copy_from_slice(self.body) }
    }
}

/// The sentence for a row that does not read.
pub(super) fn unreadable(collection: &Collection, id: &str) -> String {
    format!("the document {id} of {} does not read", collection.name)
}

#[cfg(test)]
mod tests {
    use credit_core::ports::documents::Key;

    use super::*;

    const APP: AppId = AppId::from_u128(7);

    #[test]
    fn index_rows_sort_by_key_and_then_id_and_read_back() {
        let keys: [&[u8]; 7] = [b"", b"\0", b"\0\0", b"\0\x01", b"\x01", b"a", b"a\0"];
        let mut rows = Vec::new();
        for key in keys {
            for id in ["a", "b"] {
                rows.push((key.to_vec(), id, index_row(APP, key, id.as_bytes())));
            }
        }
        assert!(rows.windows(2).all(|pair| pair[0].2 < pair[1].2));
        for (key, id, row) in rows {
            assert_eq!(read_index_row(&row), Some((key, id.as_bytes())));
        }
        assert_eq!(read_index_row(&[0; 16]), None);
    }

    #[test]
    fn a_document_reads_back_with_its_keys() {
        let keys = vec![("email", Key::text("a@x")), ("city", Key::empty())];
        let value = encode_document(9, &keys, b"{}");
        let kept = Kept::read(&value).expect("reads");
        assert_eq!((kept.version, kept.body), (9, b"{}".as_slice()));
        let read = Kept::read_keys(kept.keys).expect("reads");
        assert_eq!(read, [("email", b"a@x\0".as_slice()), ("city", b"".as_slice())]);
        assert!(Kept::read(&value[..11]).is_none());
    }

    #[test]
    fn what_follows_a_prefix_no_longer_begins_with_it() {
        assert_eq!(behind_prefix(vec![1, 2]), Some(vec![1, 3]));
        assert_eq!(behind_prefix(vec![1, 0xFF]), Some(vec![2]));
        assert_eq!(behind_prefix(vec![0xFF, 0xFF]), None);
    }
}
