//! The stored format: which version a file has, which store it belongs to, and the way forward from older versions.

use credit_core::Timestamp;
use credit_core::ports::StoreError;
use redb::{Database, ReadableDatabase, WriteTransaction};

use super::error::{OpenError, store_error};
use super::file::{Rows, open_rows};

/// What a file says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Meta {
    /// The version of its format.
    pub(super) format: u32,
    /// The same in both files of a store.
    pub(super) store_id: u128,
    /// When the store was made.
    pub(super) created: Timestamp,
}

/// One step forward: from the version at its place (counted from 1) to the next. Steps are added at the end and
/// never changed; there is no way back.
pub(super) type Step = fn(&WriteTransaction) -> Result<(), StoreError>;

/// The steps of `journal.redb`. Its format is their number plus one.
pub(super) const JOURNAL_STEPS: &[Step] = &[];
/// The steps of `documents.redb`.
pub(super) const DOCUMENTS_STEPS: &[Step] = &[];

pub(super) const META: &str = "meta";

/// The newest format that these steps lead to.
pub(super) fn newest(steps: &[Step]) -> u32 {
    u32::try_from(steps.len()).expect("few steps") + 1
}

/// `None` in a new file.
pub(super) fn read_meta(database: &Database) -> Result<Option<Meta>, StoreError> {
    let snapshot = database.begin_read().map_err(store_error)?;
    let Some(table) = open_rows(&snapshot, META)? else { return Ok(None) };
    let field = |name: &str| -> Result<Vec<u8>, StoreError> {
        let value = table.get(name.as_bytes()).map_err(store_error)?;
        value.map(|value| value.value().to_vec()).ok_or_else(|| unreadable(name))
    };
    let number = |name: &str| field(name)?.try_into().map_err(|_| unreadable(name)).map(i64::from_be_bytes);
    Ok(Some(Meta {
        format: u32::try_from(number("format")?).map_err(|_| unreadable("format"))?,
        store_id: u128::from_be_bytes(field("store_id")?.try_into().map_err(|_| unreadable("store_id"))?),
        created: Timestamp::from_millis(number("created")?),
    }))
}

fn unreadable(name: &str) -> StoreError {
    StoreError::Corrupt(format!("its {name} does not read"))
}

pub(super) fn write_meta(database: &Database, meta: Meta) -> Result<(), StoreError> {
    let transaction = database.begin_write().map_err(store_error)?;
    put_meta(&transaction, meta)?;
    transaction.commit().map_err(store_error)
}

pub(super) fn put_meta(transaction: &WriteTransaction, meta: Meta) -> Result<(), StoreError> {
    let mut table = transaction.open_table(Rows::new(META)).map_err(store_error)?;
    let fields: [(&str, &[u8]); 3] = [
        ("format", &i64::from(meta.format).to_be_bytes()),
        ("store_id", &meta.store_id.to_be_bytes()),
        ("created", &meta.created.millis().to_be_bytes()),
    ];
    for (name, value) in fields {
        table.insert(name.as_bytes(), value).map_err(store_error)?;
    }
    Ok(())
}

/// Brings a file forward to the newest format, step by step, each durable before the next; refuses a newer one.
pub(super) fn migrate(
    database: &Database,
    file: &'static str,
    mut meta: Meta,
    steps: &[Step],
) -> Result<Meta, OpenError> {
    let known = newest(steps);
    if meta.format > known {
        return Err(OpenError::Newer { file, found: meta.format, known });
    }
    let first = usize::try_from(meta.format.saturating_sub(1)).expect("small");
    for step in &steps[first..] {
        let next = Meta { format: meta.format + 1, ..meta };
        let stepped = || -> Result<(), StoreError> {
            let transaction = database.begin_write().map_err(store_error)?;
            step(&transaction)?;
            put_meta(&transaction, next)?;
            transaction.commit().map_err(store_error)
        };
        stepped().map_err(OpenError::damaged(file))?;
        tracing::info!(file, from = meta.format, to = next.format, "the stored format was brought forward");
        meta = next;
    }
    Ok(meta)
}

#[cfg(test)]
mod tests {
    use redb::backends::InMemoryBackend;

    use super::*;

    const META_ONE: Meta = Meta { format: 1, store_id: 5, created: Timestamp::EPOCH };

    fn fresh() -> Database {
        Database::builder().create_with_backend(InMemoryBackend::new()).expect("in memory")
    }

    fn mark(transaction: &WriteTransaction) -> Result<(), StoreError> {
        let mut table = transaction.open_table(Rows::new("marks")).map_err(store_error)?;
        let count =
            u8::try_from(redb::ReadableTableMetadata::len(&table).map_err(store_error)?).expect("few");
        table.insert([count].as_slice(), [].as_slice()).map_err(store_error)?;
        Ok(())
    }

    #[test]
    fn an_older_file_is_brought_forward_once() {
        let database = fresh();
        write_meta(&database, META_ONE).expect("written");
        let migrated = migrate(&database, "journal.redb", META_ONE, &[mark, mark]).expect("migrated");
        assert_eq!(migrated, Meta { format: 3, ..META_ONE });
        assert_eq!(read_meta(&database), Ok(Some(migrated)));
        migrate(&database, "journal.redb", migrated, &[mark, mark]).expect("nothing to do");
        let snapshot = database.begin_read().expect("readable");
        let marks = open_rows(&snapshot, "marks").expect("readable").expect("there");
        assert_eq!(redb::ReadableTableMetadata::len(&marks).expect("readable"), 2);
    }

    #[test]
    fn a_newer_file_is_refused_with_both_versions() {
        let database = fresh();
        let meta = Meta { format: 9, ..META_ONE };
        let refused = migrate(&database, "journal.redb", meta, &[]).expect_err("newer").to_string();
        assert!(refused.contains("format 9") && refused.contains("up to format 1"), "{refused}");
    }
}
