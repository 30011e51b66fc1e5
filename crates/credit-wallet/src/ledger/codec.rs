//! A group on disk: a fixed head, then each record with its length, so that one record can be read without the others.
//!
//! ```text
//! version u8 | previous hash 32 | time i64 | mint mark u64 | claims before u64 | records u32 | (length u32 | record)*
//!                                                                                                   big-endian
//! ```

use std::ops::Range;
use std::sync::Arc;

use bytes::{BufMut, Bytes};
use credit_core::Timestamp;
use credit_core::ports::StoreError;
use sha2::{Digest, Sha256};

use super::mint::MintMark;
use crate::domain::{ChainHash, Record};

/// The only version so far. A later one is added beside it and never in its place.
const VERSION: u8 = 1;
const HEAD: usize = 1 + 32 + 8 + 8 + 8 + 4;

/// The head of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupHeader {
    /// The hash of the group before; zero before the first.
    pub previous: ChainHash,
    /// When it was decided.
    pub at: Timestamp,
    /// Where its ids end.
    pub mint: MintMark,
    /// How many claims the groups before it made.
    pub claims_before: u64,
    /// How many records it has.
    pub records: u32,
}

/// The records of a group in the making, encoded as they come, behind room for the head.
pub(crate) struct Body {
    bytes: Vec<u8>,
    records: u32,
    scratch: Vec<u8>,
}

impl Default for Body {
    fn default() -> Self {
        Self { bytes: vec![0; HEAD], records: 0, scratch: Vec::new() }
    }
}

impl Body {
    /// Encodes one more record. Answers where in the group stands what its caller is told.
    pub(crate) fn push(&mut self, record: &Record) -> Result<Range<usize>, StoreError> {
        let broken = || StoreError::Corrupt("a record cannot be encoded".to_owned());
        self.scratch.clear();
        let (scratch, told) = record.write(std::mem::take(&mut self.scratch)).map_err(|_| broken())?;
        self.scratch = scratch;
        self.bytes.put_u32(u32::try_from(self.scratch.len()).map_err(|_| broken())?);
        let from = self.bytes.len();
        self.bytes.put_slice(&self.scratch);
        self.records += 1;
        Ok(from + told.start..from + told.end)
    }

    /// How many bytes there are so far.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The group: its head and the records.
    pub(crate) fn frame(
        mut self,
        previous: ChainHash,
        at: Timestamp,
        mint: MintMark,
        claims_before: u64,
    ) -> Bytes {
        let mut head = &mut self.bytes[..HEAD];
        head.put_u8(VERSION);
        head.put_slice(&previous.0);
        head.put_i64(at.millis());
        head.put_u64(mint);
        head.put_u64(claims_before);
        head.put_u32(self.records);
        self.bytes.into()
    }
}

/// The hash of a group: the `previous` of the next.
pub(crate) fn hash(bytes: &[u8]) -> ChainHash {
    ChainHash(Sha256::digest(bytes).into())
}

/// A group as read: its head and the bytes of its records.
pub(crate) struct Decoded {
    pub(crate) header: GroupHeader,
    records: Vec<Bytes>,
}

impl Decoded {
    /// Reads the frame of a group.
    pub(crate) fn parse(bytes: &Bytes) -> Result<Self, StoreError> {
        let damaged = || StoreError::Corrupt("a group of the journal cannot be read".to_owned());
        let head = bytes.get(..HEAD).ok_or_else(damaged)?;
        if head[0] != VERSION {
            return Err(StoreError::Corrupt(format!(
                "a group has format {}, and this version knows {VERSION}: use a newer release",
                head[0]
            )));
        }
        let take = |from: usize| -> [u8; 8] { head[from..from + 8].try_into().unwrap_or_default() };
        let mut previous = [0; 32];
        previous.copy_from_slice(&head[1..33]);
        let count = u32::from_be_bytes(head[57..61].try_into().unwrap_or_default());
        let header = GroupHeader {
            previous: ChainHash(previous),
            at: Timestamp::from_millis(i64::from_be_bytes(take(33))),
            mint: u64::from_be_bytes(take(41)),
            claims_before: u64::from_be_bytes(take(49)),
            records: count,
        };
        let mut records = Vec::new();
        let mut place = HEAD;
        for _ in 0..count {
            let length = bytes.get(place..place + 4).ok_or_else(damaged)?;
            let length = u32::from_be_bytes(length.try_into().unwrap_or_default());
            let length = usize::try_from(length).map_err(|_| damaged())?;
            place += 4;
            if place + length > bytes.len() {
                return Err(damaged());
            }
            records.push(bytes.slice(place..place + length));
            place += length;
        }
        if place != bytes.len() {
            return Err(damaged());
        }
        Ok(Self { header, records })
    }

    /// One record.
    pub(crate) fn record(&self, index: usize) -> Result<Arc<Record>, StoreError> {
        let damaged = || StoreError::Corrupt("a record of the journal cannot be read".to_owned());
        let bytes = self.records.get(index).ok_or_else(damaged)?;
        postcard::from_bytes(bytes).map(Arc::new).map_err(|_| damaged())
    }

    /// All records.
    pub(crate) fn records(&self) -> Result<Vec<Arc<Record>>, StoreError> {
        (0..self.records.len()).map(|index| self.record(index)).collect()
    }
}

/// A group for people, as JSON: for `store dump`.
pub fn describe_group(bytes: &Bytes) -> Result<serde_json::Value, StoreError> {
    let group = Decoded::parse(bytes)?;
    let records = group.records()?;
    Ok(serde_json::json!({
        "previous_hash": group.header.previous.to_string(),
        "hash": hash(bytes).to_string(),
        "at": group.header.at,
        "records": records,
    }))
}
