//! A consistent copy of the store while it works, and the way back.
//!
//! A backup is a directory: both files of the store, each row copied anew, and `backup.json`, which says of which store
//! and which moment it is, how far every book reaches and what the files hash to. It has its name only once all of that
//! is on the disk.

mod error;
mod manifest;
mod restore;
mod shelf;

use std::fs::{DirBuilder, File};
use std::ops::ControlFlow;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use credit_core::Clock;
use credit_core::ports::StoreError;
use redb::{Builder, Database, ReadTransaction, ReadableTableMetadata, TableHandle};

use super::error::store_error;
use super::file::{Rows, open_rows};
use super::journal::Heads;
use super::{DOCUMENTS_FILE, EmbeddedStore, JOURNAL_FILE};

pub use self::error::BackupError;
pub use self::manifest::{FileSum, Manifest};
pub use self::restore::{holds_store, move_in, unpack};
pub use self::shelf::Shelf;

/// How far a copy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackupProgress {
    /// Rows copied so far.
    pub copied_rows: u64,
    /// Rows there are to copy.
    pub total_rows: u64,
}

/// Told now and then how far it is; it says whether to go on.
pub type GoOn<'a> = dyn FnMut(BackupProgress) -> ControlFlow<()> + 'a;

/// How much one transaction of the copy writes: little, because its sync and those of the live journal wait for each
/// other.
const TRANSACTION_BYTES: usize = 4 << 20;
/// Memory for the pages of the copy.
const CACHE_BYTES: usize = 16 << 20;

impl EmbeddedStore {
    /// Copies the store into a directory that is not there yet or is empty, and answers when the copy is durable. Until
    /// then nothing has that name; broken off, it leaves at most a hidden directory beside it, which the next one with
    /// that name removes. Blocks; the store goes on working.
    ///
    /// Everything that was durable when it began is in it, the documents as of one instant and the journal as of one a
    /// little later: a copied journal that is ahead of its views is caught up with, views ahead of their journal would be
    /// a lost tail. As long as it copies, the live files reuse none of the pages that it reads.
    pub fn backup(
        &self,
        to: &Path,
        clock: &dyn Clock,
        progress: &mut GoOn<'_>,
    ) -> Result<Manifest, BackupError> {
        refuse_taken(to)?;
        let part = beside(to)?;
        if part.exists() {
            std::fs::remove_dir_all(&part).map_err(BackupError::io("cannot remove", &part))?;
        }
        // What is in it is money and sealed names: for its owner alone.
        let made = DirBuilder::new().mode(0o700).recursive(true).create(&part);
        made.map_err(BackupError::io("cannot make", &part))?;
        let written = self.write_backup(&part, clock, progress).and_then(|manifest| {
            // Looked at again: a directory that somebody has filled meanwhile is theirs.
            refuse_taken(to)?;
            std::fs::rename(&part, to).map_err(BackupError::io("cannot name it", to))?;
            sync_directory(folder_of(to))?;
            Ok(manifest)
        });
        if written.is_err() {
            // Half a copy helps nobody and takes room; what cannot be removed now is by the next one.
            let _ = std::fs::remove_dir_all(&part);
        }
        written
    }

    fn write_backup(
        &self,
        part: &Path,
        clock: &dyn Clock,
        progress: &mut GoOn<'_>,
    ) -> Result<Manifest, BackupError> {
        let began_at = clock.now();
        let read = |file| move |error: StoreError| BackupError::store(file, &error);
        let documents = self.documents_file.begin_read().map_err(read(DOCUMENTS_FILE))?;
        let journal = self.journal_file.begin_read().map_err(read(JOURNAL_FILE))?;
        let heads = Heads::read(&journal).map_err(read(JOURNAL_FILE))?.all();
        let total_rows = count_rows(&documents).map_err(read(DOCUMENTS_FILE))?
            + count_rows(&journal).map_err(read(JOURNAL_FILE))?;
        let mut report = BackupProgress { copied_rows: 0, total_rows };
        let mut tick = |rows| {
            report.copied_rows += rows;
            progress(report)
        };
        let mut files = Vec::new();
        for (snapshot, file) in [(documents, DOCUMENTS_FILE), (journal, JOURNAL_FILE)] {
            let path = part.join(file);
            let copy = Builder::new().set_cache_size(CACHE_BYTES).create(&path);
            let copy = copy.map_err(|error| BackupError::store(file, &error))?;
            copy_tables(&snapshot, &copy, file, &mut tick)?;
            copy.close().map_err(|error| BackupError::store(file, &error))?;
            files.push((file, FileSum::of(&path)?));
        }
        let manifest = Manifest::new(self.store_id, (began_at, clock.now()), total_rows, heads, files);
        manifest.write(part)?;
        sync_directory(part)?;
        Ok(manifest)
    }
}

/// A copy is never written over anything.
fn refuse_taken(to: &Path) -> Result<(), BackupError> {
    match std::fs::read_dir(to).map(|mut entries| entries.next().is_some()) {
        Ok(false) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Ok(true) => Err(BackupError::Taken { directory: to.to_owned() }),
        Err(error) => Err(BackupError::io("cannot look into", to)(error)),
    }
}

/// Where it is written before it has its name: in the same directory, so that one step gives it.
fn beside(to: &Path) -> Result<PathBuf, BackupError> {
    let name = to.file_name().ok_or_else(|| BackupError::Taken { directory: to.to_owned() })?;
    Ok(to.with_file_name(format!(".{}.part", name.to_string_lossy())))
}

/// The directory that a path is in.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

/// Names must survive a power cut as well as what is under them.
fn sync_directory(directory: &Path) -> Result<(), BackupError> {
    let synced = File::open(directory).and_then(|opened| opened.sync_all());
    synced.map_err(BackupError::io("cannot sync", directory))
}

fn count_rows(snapshot: &ReadTransaction) -> Result<u64, StoreError> {
    let mut count = 0;
    for table in snapshot.list_tables().map_err(store_error)? {
        if let Some(rows) = open_rows(snapshot, table.name())? {
            count += rows.len().map_err(store_error)?;
        }
    }
    Ok(count)
}

fn copy_tables(
    from: &ReadTransaction,
    to: &Database,
    file: &'static str,
    copied: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<(), BackupError> {
    let failed = |error: StoreError| BackupError::store(file, &error);
    for table in from.list_tables().map_err(store_error).map_err(failed)? {
        let Some(rows) = open_rows(from, table.name()).map_err(failed)? else { continue };
        let mut rows = rows.range::<&[u8]>(..).map_err(store_error).map_err(failed)?.peekable();
        loop {
            let count = copy_some(&mut rows, to, table.name()).map_err(failed)?;
            if copied(count).is_break() {
                return Err(BackupError::Stopped);
            }
            if rows.peek().is_none() {
                break;
            }
        }
    }
    Ok(())
}

/// One transaction of the copy. Answers how many rows it took.
fn copy_some(
    rows: &mut dyn Iterator<Item = Result<Row<'_>, redb::StorageError>>,
    to: &Database,
    table: &str,
) -> Result<u64, StoreError> {
    let transaction = to.begin_write().map_err(store_error)?;
    let (mut bytes, mut count) = (0, 0);
    {
        let mut target = transaction.open_table(Rows::new(table)).map_err(store_error)?;
        while bytes < TRANSACTION_BYTES {
            let Some(row) = rows.next() else { break };
            let (key, value) = row.map_err(store_error)?;
            target.insert(key.value(), value.value()).map_err(store_error)?;
            bytes += key.value().len() + value.value().len();
            count += 1;
        }
    }
    transaction.commit().map_err(store_error)?;
    Ok(count)
}

type Row<'a> = (redb::AccessGuard<'a, &'static [u8]>, redb::AccessGuard<'a, &'static [u8]>);
