//! Any table as JSON, for people who look.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use credit_core::ports::StoreError;
use redb::TableHandle;
use serde_json::{Value, json};

use super::documents_writer::HEADS;
use super::error::store_error;
use super::file::{StoreFile, open_rows};
use super::journal::GROUPS;
use super::rows::{self, Kept};
use super::{EmbeddedStore, StorageSide};

/// One row of a table.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct DumpRow {
    /// Its key, taken apart.
    pub key: Value,
    /// Its value, taken apart.
    pub value: Value,
}

impl EmbeddedStore {
    /// The names of all tables: `journal/…` and `documents/…`, in order.
    pub fn tables(&self) -> Result<Vec<String>, StoreError> {
        let mut names = Vec::new();
        for side in [StorageSide::Journal, StorageSide::Documents] {
            let snapshot = self.side(side).begin_read()?;
            let tables = snapshot.list_tables().map_err(store_error)?;
            names.extend(tables.map(|table| format!("{}/{}", side.name(), table.name())));
        }
        names.sort();
        Ok(names)
    }

    /// The rows of one of [`Self::tables`] as they are at this moment; `None` if there is no such table.
    pub fn dump(
        &self,
        table: &str,
    ) -> Result<Option<impl Iterator<Item = Result<DumpRow, StoreError>> + use<>>, StoreError> {
        let named = table.split_once('/');
        let Some((side, name)) = named.and_then(|(side, name)| Some((StorageSide::parse(side)?, name)))
        else {
            return Ok(None);
        };
        let snapshot = self.side(side).begin_read()?;
        let Some(rows) = open_rows(&snapshot, name)? else { return Ok(None) };
        let rows = rows.range_owned::<&[u8]>(..).map_err(store_error)?;
        let name = name.to_owned();
        Ok(Some(rows.map(move |row| {
            let (key, value) = row.map_err(store_error)?;
            Ok(dump_row(&name, key.value(), value.value()))
        })))
    }

    fn side(&self, side: StorageSide) -> &StoreFile {
        match side {
            StorageSide::Journal => &self.journal_file,
            StorageSide::Documents => &self.documents_file,
        }
    }
}

/// What does not read as what it should be is shown as bytes: a dump is for finding out why.
fn dump_row(table: &str, key: &[u8], value: &[u8]) -> DumpRow {
    let read = match table {
        GROUPS => dump_group(key, value),
        HEADS => dump_head(key, value),
        name if name.starts_with("d.") => dump_document(key, value),
        name if name.starts_with("i.") => dump_index_row(key),
        _ => None,
    };
    let plain = |bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => json!(text),
        _ => bytes_of(bytes),
    };
    read.unwrap_or_else(|| DumpRow { key: plain(key), value: plain(value) })
}

fn bytes_of(bytes: &[u8]) -> Value {
    json!({ "base64": STANDARD.encode(bytes) })
}

fn dump_group(key: &[u8], value: &[u8]) -> Option<DumpRow> {
    let (book, sequence) = rows::read_slot_key(key)?;
    let (id, bytes) = value.split_first_chunk::<16>()?;
    Some(DumpRow {
        key: json!({ "book": book, "sequence": sequence }),
        value: json!({ "group": format!("{:032x}", u128::from_be_bytes(*id)), "bytes": bytes_of(bytes) }),
    })
}

fn dump_head(key: &[u8], value: &[u8]) -> Option<DumpRow> {
    let head = u64::from_be_bytes(value.try_into().ok()?);
    Some(DumpRow { key: json!({ "book": rows::read_app(key)? }), value: json!({ "sequence": head }) })
}

fn dump_document(key: &[u8], value: &[u8]) -> Option<DumpRow> {
    let app = rows::read_app(key)?;
    let id = std::str::from_utf8(key.get(16..)?).ok()?;
    let kept = Kept::read(value)?;
    let keys: Vec<_> = Kept::read_keys(kept.keys)?
        .into_iter()
        .map(|(index, key)| json!({ "index": index, "key": String::from_utf8_lossy(key) }))
        .collect();
    let body: Value = serde_json::from_slice(kept.body).unwrap_or_else(|_| bytes_of(kept.body));
    Some(DumpRow {
        key: json!({ "app": app, "id": id }),
        value: json!({ "version": kept.version, "keys": keys, "body": body }),
    })
}

fn dump_index_row(key: &[u8]) -> Option<DumpRow> {
    let app = rows::read_app(key)?;
    let (key, id) = rows::read_index_row(key)?;
    let id = std::str::from_utf8(id).ok()?;
    Some(DumpRow {
        key: json!({ "app": app, "key": String::from_utf8_lossy(&key), "id": id }),
        value: Value::Null,
    })
}
