//! What the store does when there was no space: it waits until there is, opens its files anew and goes on.
//!
//! The same happens then as when the process starts again: the driver undoes what it had not finished, the two files are
//! compared, and the heads are read from what is stored. Whoever asks for the outcome of an append meanwhile is told that
//! the store is unavailable, and afterwards finds out.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use redb::{Database, ReadableDatabase};

use super::error::{OpenError, store_error};
use super::file::{Failure, StoreFile};
use super::format::read_meta;
use super::journal::Heads;
use super::{
    DOCUMENTS_FILE, EmbeddedOptions, JOURNAL_FILE, backend, check_noted, noted_heads, open_database,
};

/// How often it looks whether there is space again.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// So much must fit before it goes on, so that it does not fail again at once.
const WANTED_BYTES: usize = 4 << 20;
/// The file with which it finds out. It is gone again at once.
const TRIAL_FILE: &str = ".space";

/// What is opened anew, and where.
pub(super) struct Recovery {
    pub(super) directory: PathBuf,
    pub(super) options: EmbeddedOptions,
    pub(super) store_id: u128,
    pub(super) journal: Arc<StoreFile>,
    pub(super) documents: Arc<StoreFile>,
    pub(super) heads: Arc<Heads>,
    pub(super) failure: Failure,
}

/// The thread that looks after the store until this is dropped.
pub(super) struct Caretaker {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Caretaker {
    pub(super) fn start(recovery: Recovery) -> Self {
        let (stop, stopped) = channel::<()>();
        let thread = std::thread::Builder::new().name("store-caretaker".to_owned()).spawn(move || {
            while stopped.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                if recovery.failure.may_pass() && recovery.has_space() {
                    recovery.attempt();
                }
            }
        });
        // Without it the store has to be started again by hand, as after any other failure.
        Self { stop: Some(stop), thread: thread.ok() }
    }
}

impl Drop for Caretaker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // One that panicked has nothing more to look after.
            let _ended = thread.join();
        }
    }
}

impl Recovery {
    fn attempt(&self) {
        match self.open_anew() {
            Ok(()) => {
                self.failure.is_over();
                tracing::info!("there is space again, and the store goes on");
            }
            Err(error) => tracing::error!(%error, "the store cannot be opened anew; trying again"),
        }
    }

    /// Whether the larger file could grow by a little.
    fn has_space(&self) -> bool {
        let trial = self.directory.join(TRIAL_FILE);
        let grown = try_to_grow(&trial, &self.directory);
        // Not there if it could not be made.
        let _removed = std::fs::remove_file(&trial);
        if let Err(error) = &grown {
            tracing::debug!(%error, "there is no space yet");
        }
        grown.is_ok()
    }

    fn open_anew(&self) -> Result<(), OpenError> {
        let (mut journal, mut documents) = (self.journal.lock(), self.documents.lock());
        // The old ones give the files free first.
        drop((journal.take(), documents.take()));
        let new_journal = self.open(JOURNAL_FILE, self.options.journal_cache_bytes)?;
        let new_documents = self.open(DOCUMENTS_FILE, self.options.documents_cache_bytes)?;
        for (database, file) in [(&new_journal, JOURNAL_FILE), (&new_documents, DOCUMENTS_FILE)] {
            let meta = read_meta(database).map_err(OpenError::damaged(file))?;
            if meta.is_none_or(|meta| meta.store_id != self.store_id) {
                return Err(OpenError::Mismatch { why: format!("{file} is not the one it was") });
            }
        }
        let read = |database: &Database| database.begin_read().map_err(store_error);
        let noted = read(&new_documents).and_then(|snapshot| noted_heads(&snapshot));
        let reloaded = read(&new_journal).and_then(|snapshot| self.heads.reload(&snapshot));
        reloaded.map_err(OpenError::damaged(JOURNAL_FILE))?;
        check_noted(&self.heads, noted.map_err(OpenError::damaged(DOCUMENTS_FILE))?)?;
        (*journal, *documents) = (Some(new_journal), Some(new_documents));
        Ok(())
    }

    fn open(&self, name: &'static str, cache_bytes: usize) -> Result<Database, OpenError> {
        let shown = self.directory.display();
        let file = File::options().read(true).write(true).open(self.directory.join(name));
        let file = file.map_err(OpenError::io(format!("cannot open {shown}/{name}")))?;
        let held = || OpenError::Damaged { file: name, why: "somebody still reads it".to_owned() };
        open_database(name, backend(file)?, cache_bytes, &self.options)
            .map_err(|refused| refused.unwrap_or_else(held))
    }
}

/// Writes behind where the larger of the two files ends. Before that there is a hole, which takes no space.
fn try_to_grow(trial: &Path, directory: &Path) -> std::io::Result<()> {
    let length = |name: &str| std::fs::metadata(directory.join(name)).map(|metadata| metadata.len());
    let end = length(JOURNAL_FILE)?.max(length(DOCUMENTS_FILE)?);
    let mut file = File::create(trial)?;
    file.seek(SeekFrom::Start(end))?;
    file.write_all(&vec![0; WANTED_BYTES])?;
    file.sync_all()
}
