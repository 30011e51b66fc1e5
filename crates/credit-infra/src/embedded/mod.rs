//! The embedded store: everything in one directory, nothing else to install.
//!
//! Two `redb` files, because redb has one writer per file: `journal.redb` takes the money, `documents.redb`
//! everything else and the views of the journal. In one file a large batch of views would stall every append; in
//! two, an append never waits for a view. What the two say of each other is that documents never know more of a book
//! than the journal holds.
//!
//! Nothing is acknowledged or visible before it is durable. One sync covers all groups (or batches) that wait. A
//! fault while writing is the end of the store: every later call is refused until the process starts again, because
//! what the operating system failed to write once it may silently have dropped. Want of space for a write alone passes:
//! then the files are opened anew as soon as there is some.

mod disk;
mod documents;
mod documents_writer;
mod error;
mod file;
mod format;
mod journal;
mod owner;
mod recovery;
mod rows;
mod unfinished;

pub mod faulty;

pub mod backup;
mod dump;
mod transfer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use credit_core::ports::StoreError;
use credit_core::ports::documents::Documents;
use credit_core::ports::journal::{BookId, Journal};
use credit_core::{Clock, IdSource, Timestamp};
use redb::backends::InMemoryBackend;
use redb::{Builder, Database, DatabaseError, ReadTransaction, StorageBackend};

use crate::clock::SystemClock;
use crate::randomness::OsIds;

pub use backup::BackupProgress;
pub use dump::DumpRow;
pub use error::OpenError;

use self::disk::Disk;
use self::documents::EmbeddedDocuments;
use self::documents_writer::{HEADS, note_all_heads};
use self::error::store_error;
use self::file::{Failure, StoreFile, open_rows};
use self::format::{DOCUMENTS_STEPS, JOURNAL_STEPS, Meta, Step, migrate, newest, read_meta, write_meta};
use self::journal::{EmbeddedJournal, Heads};
use self::owner::Owner;
use self::recovery::{Caretaker, Recovery};

const JOURNAL_FILE: &str = "journal.redb";
const DOCUMENTS_FILE: &str = "documents.redb";

/// One of the two files.
#[derive(Debug, Clone, Copy)]
enum StorageSide {
    Journal,
    Documents,
}

impl StorageSide {
    const fn name(self) -> &'static str {
        match self {
            Self::Journal => "journal",
            Self::Documents => "documents",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Journal, Self::Documents].into_iter().find(|side| side.name() == name)
    }
}

/// How a store is opened.
#[derive(Debug, Clone, Copy)]
pub struct EmbeddedOptions {
    /// The present instant, for the owner file and, in a new store, its birth date.
    pub now: Timestamp,
    /// The id of the store if it is a new one.
    pub new_store_id: u128,
    /// Memory for pages of the journal. Groups are seldom read again, so that little is enough.
    pub journal_cache_bytes: usize,
    /// Memory for pages of the documents.
    pub documents_cache_bytes: usize,
    /// After an unclean stop every page of a file up to this size is checked before the store opens. A larger one
    /// is trusted as far as the driver's own repair looks, so that the service is back in seconds.
    pub full_check_bytes: u64,
}

impl EmbeddedOptions {
    /// The usual sizes.
    pub const fn new(now: Timestamp, new_store_id: u128) -> Self {
        Self {
            now,
            new_store_id,
            journal_cache_bytes: 16 << 20,
            documents_cache_bytes: 64 << 20,
            full_check_bytes: 256 << 20,
        }
    }
}

impl Default for EmbeddedOptions {
    /// The usual sizes, now, and a random id if the store is new.
    fn default() -> Self {
        Self::new(SystemClock::new().now(), OsIds::new().mint())
    }
}

/// An open store. Hands out the two ports; they answer until [`Self::close`].
pub struct EmbeddedStore {
    journal_file: Arc<StoreFile>,
    documents_file: Arc<StoreFile>,
    heads: Arc<Heads>,
    journal: Arc<EmbeddedJournal>,
    documents: Arc<EmbeddedDocuments>,
    writers: Vec<JoinHandle<()>>,
    failure: Failure,
    store_id: u128,
    owned: Option<PathBuf>,
    caretaker: Option<Caretaker>,
}

impl EmbeddedStore {
    /// Opens the store in a directory, which is made if it is not there.
    pub fn open(directory: &Path, options: EmbeddedOptions) -> Result<Self, OpenError> {
        let shown = directory.display().to_string();
        std::fs::create_dir_all(directory).map_err(OpenError::io(format!("cannot make {shown}")))?;
        let file = |name: &str| {
            let opened = std::fs::File::options()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(directory.join(name));
            opened
                .and_then(|file| unfinished::begin_again(&file).map(|()| file))
                .map_err(OpenError::io(format!("cannot open {shown}/{name}")))
        };
        let in_use = || OpenError::InUse { directory: shown.clone(), owner: Owner::describe(directory) };
        let files = (file(JOURNAL_FILE)?, file(DOCUMENTS_FILE)?);
        // The names must survive a power cut as well as what is written under them.
        std::fs::File::open(directory)
            .and_then(|opened| opened.sync_all())
            .map_err(OpenError::io(format!("cannot sync {shown}")))?;
        let journal = open_database(JOURNAL_FILE, backend(files.0)?, options.journal_cache_bytes, &options)
            .map_err(|refused| refused.unwrap_or_else(in_use))?;
        Owner::this_process(options.now).write(directory)?;
        let documents =
            open_database(DOCUMENTS_FILE, backend(files.1)?, options.documents_cache_bytes, &options)
                .map_err(|refused| refused.unwrap_or_else(in_use))?;
        let mut store = Self::assemble(journal, documents, options)?;
        store.owned = Some(directory.to_owned());
        store.caretaker = Some(Caretaker::start(store.recovery(directory, options)));
        Ok(store)
    }

    /// Opens the store on two storages of the caller's, without a lock or an owner file: for tests with
    /// [`faulty::FaultyDisk`] or in memory.
    pub fn open_with(
        journal: impl StorageBackend,
        documents: impl StorageBackend,
        options: EmbeddedOptions,
    ) -> Result<Self, OpenError> {
        let in_use = || OpenError::InUse { directory: "memory".to_owned(), owner: "this process".to_owned() };
        let journal = open_database(JOURNAL_FILE, journal, options.journal_cache_bytes, &options)
            .map_err(|refused| refused.unwrap_or_else(in_use))?;
        let documents = open_database(DOCUMENTS_FILE, documents, options.documents_cache_bytes, &options)
            .map_err(|refused| refused.unwrap_or_else(in_use))?;
        Self::assemble(journal, documents, options)
    }

    /// The adapter over memory: nothing outlives it. For tests where the disk is not the point.
    pub fn open_in_memory(options: EmbeddedOptions) -> Result<Self, OpenError> {
        Self::open_with(InMemoryBackend::new(), InMemoryBackend::new(), options)
    }

    fn assemble(journal: Database, documents: Database, options: EmbeddedOptions) -> Result<Self, OpenError> {
        let store_id = match_files(&journal, &documents, options)?;
        let failure = Failure::default();
        let journal_file = Arc::new(StoreFile::new(journal, failure.clone()));
        let documents_file = Arc::new(StoreFile::new(documents, failure.clone()));
        let heads = Arc::new(Heads::load(&journal_file).map_err(OpenError::damaged(JOURNAL_FILE))?);
        let noted = documents_file.begin_read().and_then(|snapshot| noted_heads(&snapshot));
        check_noted(&heads, noted.map_err(OpenError::damaged(DOCUMENTS_FILE))?)?;
        let (journal, journal_writer) = EmbeddedJournal::start(Arc::clone(&journal_file), Arc::clone(&heads));
        let (documents, documents_writer) =
            EmbeddedDocuments::start(Arc::clone(&documents_file), Arc::clone(&heads));
        Ok(Self {
            journal_file,
            documents_file,
            heads,
            journal: Arc::new(journal),
            documents: Arc::new(documents),
            writers: vec![journal_writer, documents_writer],
            failure,
            store_id,
            owned: None,
            caretaker: None,
        })
    }

    fn recovery(&self, directory: &Path, options: EmbeddedOptions) -> Recovery {
        Recovery {
            directory: directory.to_owned(),
            options,
            store_id: self.store_id,
            journal: Arc::clone(&self.journal_file),
            documents: Arc::clone(&self.documents_file),
            heads: Arc::clone(&self.heads),
            failure: self.failure.clone(),
        }
    }

    /// The journal port.
    pub fn journal(&self) -> Arc<dyn Journal> {
        let journal: Arc<EmbeddedJournal> = Arc::clone(&self.journal);
        journal
    }

    /// The documents port.
    pub fn documents(&self) -> Arc<dyn Documents> {
        let documents: Arc<EmbeddedDocuments> = Arc::clone(&self.documents);
        documents
    }

    /// Which store this is, for ever.
    pub fn store_id(&self) -> u128 {
        self.store_id
    }

    /// Why the store has failed, if it has: there is no space, and it goes on when there is, or it must be restarted. For
    /// the health report.
    pub fn failed(&self) -> Option<String> {
        self.failure.reason()
    }

    /// Writes what waits, notes the heads and marks both files as cleanly stopped. Blocks; the ports answer from
    /// then on that the store is closed.
    pub fn close(mut self) -> Result<(), StoreError> {
        self.shut()
    }

    fn shut(&mut self) -> Result<(), StoreError> {
        if self.writers.is_empty() {
            return Ok(());
        }
        drop(self.caretaker.take());
        self.journal.stop();
        self.documents.stop();
        for writer in self.writers.drain(..) {
            // A writer that panicked has declared the failure, and the check below refuses.
            let _ = writer.join();
        }
        let noted = note_all_heads(&self.documents_file, &self.heads);
        let closed = self.journal_file.close().and(self.documents_file.close());
        noted.and(closed)?;
        if let Some(directory) = self.owned.take() {
            Owner::remove(&directory);
        }
        Ok(())
    }
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        if let Err(error) = self.shut() {
            tracing::warn!(%error, "the store did not stop cleanly; it is checked when it opens again");
        }
    }
}

impl std::fmt::Debug for EmbeddedStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedStore").field("failed", &self.failed()).finish_non_exhaustive()
    }
}

fn backend(file: std::fs::File) -> Result<Disk, OpenError> {
    Disk::new(file).map_err(|error| OpenError::Damaged { file: "the directory", why: error.to_string() })
}

/// `Err(None)` if another process has it.
fn open_database(
    file: &'static str,
    backend: impl StorageBackend,
    cache_bytes: usize,
    options: &EmbeddedOptions,
) -> Result<Database, Option<OpenError>> {
    let refused = |error: DatabaseError| Some(OpenError::driver(file, error));
    let bytes = backend.len().map_err(|error| Some(OpenError::refused(file, error)))?;
    let unclean = Arc::new(AtomicBool::new(false));
    let noticed = Arc::clone(&unclean);
    let mut builder = Builder::new();
    builder.set_cache_size(cache_bytes);
    builder.set_repair_callback(move |_| noticed.store(true, Ordering::Relaxed));
    let mut database = match builder.create_with_backend(backend) {
        Ok(database) => database,
        Err(DatabaseError::DatabaseAlreadyOpen) => return Err(None),
        Err(error) => return Err(refused(error)),
    };
    if unclean.load(Ordering::Relaxed) {
        let checked = bytes <= options.full_check_bytes;
        tracing::warn!(file, bytes, checked, "the store was not stopped cleanly and was repaired");
        if checked {
            // `false` means that what was not yet durable was rolled back, which is what a repair is for.
            database.check_integrity().map_err(refused)?;
        }
    }
    Ok(database)
}

/// Sees that the two files are two halves of one store, and brings both forward; a new pair gets its id.
fn match_files(
    journal: &Database,
    documents: &Database,
    options: EmbeddedOptions,
) -> Result<u128, OpenError> {
    let read = |database, file| read_meta(database).map_err(OpenError::damaged(file));
    let write = |database, file, meta| write_meta(database, meta).map_err(OpenError::damaged(file));
    let fresh = |store_id, steps: &[Step]| Meta { format: newest(steps), store_id, created: options.now };
    let mismatch = |why: &str| OpenError::Mismatch { why: why.to_owned() };

    let (of_journal, of_documents) = (read(journal, JOURNAL_FILE)?, read(documents, DOCUMENTS_FILE)?);
    let of_journal = match (of_journal, of_documents) {
        (Some(meta), _) => meta,
        (None, Some(_)) => return Err(mismatch("journal.redb is missing or empty")),
        (None, None) => {
            let meta = fresh(options.new_store_id, JOURNAL_STEPS);
            write(journal, JOURNAL_FILE, meta)?;
            meta
        }
    };
    let of_documents = match of_documents {
        Some(meta) => meta,
        None if is_empty_journal(journal).map_err(OpenError::damaged(JOURNAL_FILE))? => {
            // A new store, or one whose making was cut short.
            let meta = fresh(of_journal.store_id, DOCUMENTS_STEPS);
            write(documents, DOCUMENTS_FILE, meta)?;
            meta
        }
        None => return Err(mismatch("documents.redb is missing or empty, and journal.redb is not")),
    };
    if of_journal.store_id != of_documents.store_id {
        return Err(mismatch("they carry the ids of two different stores"));
    }
    migrate(journal, JOURNAL_FILE, of_journal, JOURNAL_STEPS)?;
    migrate(documents, DOCUMENTS_FILE, of_documents, DOCUMENTS_STEPS)?;
    Ok(of_journal.store_id)
}

fn is_empty_journal(journal: &Database) -> Result<bool, StoreError> {
    let snapshot = redb::ReadableDatabase::begin_read(journal).map_err(store_error)?;
    match open_rows(&snapshot, journal::GROUPS)? {
        None => Ok(true),
        Some(groups) => redb::ReadableTableMetadata::is_empty(&groups).map_err(store_error),
    }
}

/// How far the documents have seen each book reach.
fn noted_heads(documents: &ReadTransaction) -> Result<Vec<(BookId, u64)>, StoreError> {
    let Some(table) = open_rows(documents, HEADS)? else { return Ok(Vec::new()) };
    let mut noted = Vec::new();
    for row in table.range::<&[u8]>(..).map_err(store_error)? {
        let (book, head) = row.map_err(store_error)?;
        let head = head.value().try_into().map(u64::from_be_bytes);
        let (Some(book), Ok(head)) = (rows::read_app(book.value()), head) else {
            return Err(StoreError::Corrupt("a noted head does not read".to_owned()));
        };
        noted.push((book, head));
    }
    Ok(noted)
}

/// Every book must reach as far as the documents have seen it reach.
fn check_noted(heads: &Heads, noted: Vec<(BookId, u64)>) -> Result<(), OpenError> {
    let durable = heads.all();
    for (book, kept) in noted {
        let found = durable.get(&book).copied().unwrap_or(0);
        if found < kept {
            return Err(OpenError::LostTail { book, found, kept });
        }
    }
    Ok(())
}
