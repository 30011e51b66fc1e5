//! The journal in `journal.redb`: one writer thread, one transaction and one sync for all groups that wait.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use async_trait::async_trait;
use bytes::Bytes;
use credit_core::ports::StoreError;
use credit_core::ports::journal::{Appended, BookId, Group, Journal, Sequence};
use parking_lot::{Mutex, RwLock};
use redb::{ReadTransaction, ReadableTable};
use tokio::sync::oneshot;

use super::error::store_error;
use super::file::{ReadRows, Rows, StoreFile, WatchedThread, closed, open_rows};
use super::rows;

/// The table of groups.
pub(super) const GROUPS: &str = "groups";

/// What one transaction takes at most, so that a burst does not hold much memory twice.
const TRANSACTION_BYTES: usize = 16 << 20;

/// The heads of all books as they are durable, and which of them moved since they were last noted elsewhere.
#[derive(Debug, Default)]
pub(super) struct Heads {
    durable: RwLock<BTreeMap<BookId, Sequence>>,
    moved: Mutex<BTreeMap<BookId, Sequence>>,
}

impl Heads {
    fn get(&self, book: BookId) -> Sequence {
        self.durable.read().get(&book).copied().unwrap_or(0)
    }

    fn publish(&self, heads: &HashMap<BookId, Sequence>) {
        self.durable.write().extend(heads.iter().map(|(book, head)| (*book, *head)));
        self.moved.lock().extend(heads.iter().map(|(book, head)| (*book, *head)));
    }

    /// The heads that moved since this was last asked.
    pub(super) fn take_moved(&self) -> BTreeMap<BookId, Sequence> {
        std::mem::take(&mut *self.moved.lock())
    }

    /// All heads.
    pub(super) fn all(&self) -> BTreeMap<BookId, Sequence> {
        self.durable.read().clone()
    }

    /// From what is stored.
    pub(super) fn load(file: &StoreFile) -> Result<Self, StoreError> {
        Self::read(&file.begin_read()?)
    }

    /// From what is stored, after it was opened anew: an append whose outcome was unknown may be there or not.
    pub(super) fn reload(&self, snapshot: &ReadTransaction) -> Result<(), StoreError> {
        let stored = Self::read(snapshot)?.durable.into_inner();
        self.moved.lock().extend(stored.iter().map(|(book, head)| (*book, *head)));
        *self.durable.write() = stored;
        Ok(())
    }

    /// As they are in a snapshot.
    pub(super) fn read(snapshot: &ReadTransaction) -> Result<Self, StoreError> {
        let mut durable = BTreeMap::new();
        if let Some(groups) = open_rows(snapshot, GROUPS)? {
            let mut next = Some(BookId::from_u128(0));
            while let Some(from) = next {
                let mut behind = groups.range(rows::slot_key(from, 0).as_slice()..).map_err(store_error)?;
                let Some(row) = behind.next() else { break };
                let (book, _) = slot_of(row.map_err(store_error)?.0.value())?;
                durable.insert(book, last_slot(&groups, book)?);
                next = book.as_u128().checked_add(1).map(BookId::from_u128);
            }
        }
        Ok(Self { durable: RwLock::new(durable), moved: Mutex::default() })
    }
}

fn slot_of(key: &[u8]) -> Result<(BookId, Sequence), StoreError> {
    rows::read_slot_key(key)
        .ok_or_else(|| StoreError::Corrupt("a slot of the journal has no place".to_owned()))
}

fn last_slot(groups: &ReadRows, book: BookId) -> Result<Sequence, StoreError> {
    let (first, last) = (rows::slot_key(book, 0), rows::slot_key(book, Sequence::MAX));
    let mut slots = groups.range(first.as_slice()..=last.as_slice()).map_err(store_error)?;
    match slots.next_back() {
        Some(row) => Ok(slot_of(row.map_err(store_error)?.0.value())?.1),
        None => Ok(0),
    }
}

struct Append {
    book: BookId,
    sequence: Sequence,
    group: Group,
    answer: oneshot::Sender<Result<Appended, StoreError>>,
}

/// The port.
pub(super) struct EmbeddedJournal {
    file: Arc<StoreFile>,
    heads: Arc<Heads>,
    appends: Mutex<Option<Sender<Append>>>,
}

impl EmbeddedJournal {
    /// Starts the writer, which ends after [`Self::stop`].
    pub(super) fn start(file: Arc<StoreFile>, heads: Arc<Heads>) -> (Self, std::thread::JoinHandle<()>) {
        let (appends, waiting) = channel();
        let writer = Writer { file: Arc::clone(&file), heads: Arc::clone(&heads) };
        let thread = std::thread::Builder::new()
            .name("journal-writer".to_owned())
            .spawn(move || {
                let _watched = WatchedThread(writer.file.failure().clone());
                writer.run(&waiting);
            })
            .expect("a thread can be started while the store opens");
        (Self { file, heads, appends: Mutex::new(Some(appends)) }, thread)
    }

    /// Takes no more appends; those that wait are still written.
    pub(super) fn stop(&self) {
        self.appends.lock().take();
    }
}

#[async_trait]
impl Journal for EmbeddedJournal {
    async fn append(&self, book: BookId, sequence: Sequence, group: Group) -> Result<Appended, StoreError> {
        self.file.failure().check()?;
        let (answer, answered) = oneshot::channel();
        let append = Append { book, sequence, group, answer };
        self.appends.lock().as_ref().ok_or_else(closed)?.send(append).map_err(|_| closed())?;
        answered.await.map_err(|_| StoreError::OutcomeUnknown("its writer stopped".to_owned()))?
    }

    async fn read(
        &self,
        book: BookId,
        from: Sequence,
        limit: usize,
    ) -> Result<Vec<(Sequence, Group)>, StoreError> {
        let snapshot = self.file.begin_read()?;
        let Some(groups) = open_rows(&snapshot, GROUPS)? else { return Ok(Vec::new()) };
        let (first, last) = (rows::slot_key(book, from.max(1)), rows::slot_key(book, Sequence::MAX));
        let slots = groups.range(first.as_slice()..=last.as_slice()).map_err(store_error)?;
        let mut read = Vec::new();
        for (expected, slot) in (from.max(1)..=Sequence::MAX).zip(slots.take(limit)) {
            let (key, value) = slot.map_err(store_error)?;
            let (_, sequence) = slot_of(key.value())?;
            if sequence != expected {
                return Err(StoreError::Corrupt(format!(
                    "book {book} has no slot {expected}, but {sequence}"
                )));
            }
            read.push((sequence, group_of(book, sequence, value.value())?));
        }
        Ok(read)
    }

    async fn read_known(
        &self,
        book: BookId,
        from: Sequence,
        limit: usize,
    ) -> Result<Vec<(Sequence, Group)>, StoreError> {
        self.read(book, from, limit).await
    }

    async fn head(&self, book: BookId) -> Result<Sequence, StoreError> {
        self.file.failure().check()?;
        Ok(self.heads.get(book))
    }

    async fn books(&self) -> Result<Vec<BookId>, StoreError> {
        self.file.failure().check()?;
        Ok(self.heads.durable.read().keys().copied().collect())
    }

    async fn books_after(&self, after: Option<BookId>, limit: usize) -> Result<Vec<BookId>, StoreError> {
        self.file.failure().check()?;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let heads = self.heads.durable.read();
        Ok(heads.range((from, Bound::Unbounded)).take(limit).map(|(book, _)| *book).collect())
    }

    fn is_shared(&self) -> bool {
        false
    }

    fn is_away(&self) -> bool {
        self.file.failure().check().is_err()
    }
}

fn group_of(book: BookId, sequence: Sequence, value: &[u8]) -> Result<Group, StoreError> {
    let Some((id, bytes)) = value.split_first_chunk::<16>() else {
        return Err(StoreError::Corrupt(format!("slot {sequence} of book {book} does not read")));
    };
    Ok(Group { id: u128::from_be_bytes(*id), bytes: Bytes::copy_from_slice(bytes) })
}

struct Writer {
    file: Arc<StoreFile>,
    heads: Arc<Heads>,
}

/// What will be answered if the transaction commits, and what if it does not.
enum Decided {
    /// Holds whatever becomes of the transaction.
    Already(Result<Appended, StoreError>),
    /// Holds once the transaction is durable.
    IfDurable(Appended),
}

impl Writer {
    fn run(&self, waiting: &Receiver<Append>) {
        while let Ok(first) = waiting.recv() {
            let mut bytes = first.group.bytes.len();
            let mut together = vec![first];
            while bytes < TRANSACTION_BYTES {
                let Ok(next) = waiting.try_recv() else { break };
                bytes += next.group.bytes.len();
                together.push(next);
            }
            self.write(together);
        }
    }

    fn write(&self, together: Vec<Append>) {
        match self.write_durably(&together) {
            Ok(decided) => {
                for (append, decided) in together.into_iter().zip(decided) {
                    let answer = match decided {
                        Decided::Already(answer) => answer,
                        Decided::IfDurable(answer) => Ok(answer),
                    };
                    // Whoever hung up learns the outcome by appending the same group again.
                    let _ = append.answer.send(answer);
                }
            }
            Err(error) => {
                for append in together {
                    let _ = append.answer.send(Err(error.clone()));
                }
            }
        }
    }

    /// One transaction and one sync. Any fault in here is the end of the store: what the operating system failed to
    /// write once it may silently have dropped.
    fn write_durably(&self, together: &[Append]) -> Result<Vec<Decided>, StoreError> {
        let fatal = |error: StoreError| {
            self.file.failure().declare(&error);
            error
        };
        let transaction = self.file.begin_write().map_err(fatal)?;
        let mut pending: HashMap<(BookId, Sequence), u128> = HashMap::new();
        let mut heads: HashMap<BookId, Sequence> = HashMap::new();
        let mut decided = Vec::with_capacity(together.len());
        {
            let mut groups = transaction.open_table(Rows::new(GROUPS)).map_err(store_error).map_err(fatal)?;
            for Append { book, sequence, group, .. } in together {
                let head = heads.get(book).copied().unwrap_or_else(|| self.heads.get(*book));
                let key = rows::slot_key(*book, *sequence);
                if let Some(id) = pending.get(&(*book, *sequence)) {
                    decided.push(Decided::IfDurable(same_or_taken(*id == group.id)));
                } else if *sequence == 0 || *sequence > head + 1 {
                    decided.push(Decided::Already(Err(StoreError::Corrupt(format!(
                        "{book} cannot be filled at {sequence}: its head is {head}, and a book has no gaps"
                    )))));
                } else if *sequence <= head {
                    let kept = groups.get(key.as_slice()).map_err(store_error).map_err(fatal)?;
                    let ours = kept.is_some_and(|kept| kept.value().starts_with(&group.id.to_be_bytes()));
                    decided.push(Decided::Already(Ok(same_or_taken(ours))));
                } else {
                    let length = 16 + group.bytes.len();
                    let mut value =
                        groups.insert_reserve(key.as_slice(), length).map_err(store_error).map_err(fatal)?;
                    value.as_mut()[..16].copy_from_slice(&group.id.to_be_bytes());
                    value.as_mut()[16..].copy_from_slice(&group.bytes);
                    pending.insert((*book, *sequence), group.id);
                    heads.insert(*book, *sequence);
                    decided.push(Decided::IfDurable(Appended::Appended));
                }
            }
        }
        if pending.is_empty() {
            transaction.abort().map_err(store_error).map_err(fatal)?;
            return Ok(decided);
        }
        if let Err(error) = transaction.commit() {
            let error = store_error(error);
            self.file.failure().declare(&error);
            let unknown = || Decided::Already(Err(StoreError::OutcomeUnknown(error.to_string())));
            let after = |one| if matches!(one, Decided::IfDurable(_)) { unknown() } else { one };
            return Ok(decided.into_iter().map(after).collect());
        }
        self.heads.publish(&heads);
        Ok(decided)
    }
}

fn same_or_taken(same: bool) -> Appended {
    if same { Appended::Appended } else { Appended::Taken }
}
