//! Books and the ledger that opens them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use credit_core::ports::StoreError;
use credit_core::ports::documents::Documents;
use credit_core::ports::journal::{BookId, Group, Journal};
use credit_core::{AppId, Clock, Code, IdSource, Problem};
use foldhash::HashMap;
use parking_lot::{Mutex, RwLock};
use tokio::sync::mpsc::error::{SendError, TrySendError};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::codec::{self, Decoded};
use super::config::LedgerSettings;
use super::courtesy::Lanes;
use super::filter::GrowingFilter;
use super::job::{Ask, Caller, Job, Outcome};
use super::lane::Lane;
use super::load::{load_claims, load_filters};
use super::pass_on::{Answers, Company, Elsewhere};
use super::projector::Projector;
use super::refresh::Refreshes;
use super::state::{State, TailGroup};
use super::sweeper;
use super::usual::{Usher, Usual};
use super::views::{self, BookView};

/// Groups asked for at a time.
const READ_GROUPS: usize = 64;

/// What the ledger needs.
pub struct LedgerParts {
    /// Where money is kept.
    pub journal: Arc<dyn Journal>,
    /// Where the views are kept.
    pub documents: Arc<dyn Documents>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness for ids.
    pub ids: Arc<dyn IdSource>,
    /// Bounds.
    pub settings: LedgerSettings,
    /// The runtime of the ledger's own tasks: a forced shutdown of the web or a client that hangs up never drops an
    /// append half way.
    pub runtime: tokio::runtime::Handle,
    /// The runtime that makes the views. One of its own keeps no lane waiting, for a batch is much work at a time.
    pub views: tokio::runtime::Handle,
    /// The other processes, where they hand each other commands.
    pub company: Option<Company>,
}

/// All books of this process.
pub struct Ledger {
    parts: Arc<LedgerParts>,
    books: RwLock<HashMap<AppId, Arc<Book>>>,
    opening: tokio::sync::Mutex<()>,
    sweeper: Mutex<Option<JoinHandle<()>>>,
}

impl Ledger {
    /// A ledger that opens books when they are asked for.
    pub fn new(parts: LedgerParts) -> Arc<Self> {
        let ledger = Arc::new(Self {
            parts: Arc::new(parts),
            books: RwLock::default(),
            opening: tokio::sync::Mutex::default(),
            sweeper: Mutex::default(),
        });
        if let Some(company) = ledger.company() {
            company.peers.answer_with(Arc::new(Answers { ledger: Arc::downgrade(&ledger) }));
        }
        ledger
    }

    /// The other processes, if they are known.
    pub(crate) fn company(&self) -> Option<&Company> {
        self.parts.company.as_ref()
    }

    /// The bounds.
    pub fn settings(&self) -> &LedgerSettings {
        &self.parts.settings
    }

    /// The book of an application, opened if need be: its views are read and the journal since is applied.
    pub async fn book(&self, app: AppId) -> Result<Arc<Book>, StoreError> {
        if let Some(book) = self.open_book(app) {
            return Ok(book);
        }
        let _one_at_a_time = self.opening.lock().await;
        if let Some(book) = self.open_book(app) {
            return Ok(book);
        }
        let book = Book::open(app, self.parts.clone()).await?;
        self.books.write().insert(app, book.clone());
        Ok(book)
    }

    /// Opens every book of the journal and starts posting what falls due.
    pub async fn start(self: &Arc<Self>) -> Result<(), StoreError> {
        for app in self.parts.journal.books().await? {
            self.book(app).await?;
        }
        let mut sweeper = self.sweeper.lock();
        if sweeper.is_none() {
            *sweeper = Some(self.parts.runtime.spawn(sweeper::run(Arc::downgrade(self))));
        }
        Ok(())
    }

    /// Of which applications there are books, open or not.
    pub async fn all_books(&self) -> Result<Vec<BookId>, StoreError> {
        self.parts.journal.books().await
    }

    /// The book of an application, if it is open.
    pub(crate) fn open_book(&self, app: AppId) -> Option<Arc<Book>> {
        self.books.read().get(&app).cloned()
    }

    /// Every open book.
    pub fn open_books(&self) -> Vec<Arc<Book>> {
        self.books.read().values().cloned().collect()
    }

    /// Finishes what waits and what others have asked for, writes the views, and takes nothing more.
    pub async fn shut_down(&self) {
        // Seats are left first: what the others do not hand over any more they need not do in turns.
        for book in self.open_books() {
            book.closing.send_replace(true);
        }
        if let Some(company) = self.company() {
            company.peers.close().await;
        }
        if let Some(task) = self.sweeper.lock().take() {
            task.abort();
        }
        for book in self.open_books() {
            book.close().await;
        }
    }
}

/// One application's book.
pub struct Book {
    pub(crate) id: BookId,
    pub(crate) parts: Arc<LedgerParts>,
    pub(crate) state: RwLock<State>,
    /// Looks of readers at what others have appended.
    pub(crate) refreshes: Refreshes,
    /// This process's lane and those of others.
    pub(crate) lanes: Lanes,
    /// The process that usually writes the book.
    pub(crate) usual: Usual,
    /// There are groups that the views may not show.
    pub(crate) appended: Notify,
    /// Somebody waits for the views.
    pub(crate) urgent: Notify,
    /// Up to which group the views show everything.
    pub(crate) shown: watch::Sender<u64>,
    /// Up to which group somebody waits for them.
    pub(crate) wanted: AtomicU64,
    /// Why the book takes no more commands, once an invariant or the store has broken.
    pub(crate) broken: RwLock<Option<String>>,
    queue: Mutex<Option<mpsc::Sender<Box<Job>>>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    /// The book takes no more commands.
    pub(crate) closing: watch::Sender<bool>,
    /// The lane has answered its last command.
    pub(crate) lane_ended: watch::Sender<bool>,
    pub(crate) groups: moka::sync::Cache<u64, Arc<Decoded>>,
}

/// Nothing has happened: there is too much to do.
pub(crate) fn busy() -> Problem {
    Problem::because(Code::Unavailable, "The ledger is busy.").retry_after(1)
}

/// Nothing has happened: there will be nobody to do it.
fn stopping() -> Problem {
    Problem::because(Code::Unavailable, "The service is stopping.").retry_after(1)
}

/// The filter over the newest generation, as far as the views show it.
async fn load_newest(parts: &LedgerParts, id: BookId, view: &BookView) -> Result<GrowingFilter, StoreError> {
    let per_generation = parts.settings.claims_per_generation;
    let claims = load_claims(&parts.documents, id, view.claims_made / per_generation).await?;
    // There may be more, for a batch may become visible in parts, and the watermark is its last.
    if u64::try_from(claims.len()).is_ok_and(|found| found < view.claims_made % per_generation) {
        tracing::error!(book = %id, found = claims.len(), "the newest generation of claims is not whole: run `ledger verify`");
        return Ok(GrowingFilter::Unknown);
    }
    let mut newest = GrowingFilter::of(usize::try_from(per_generation).unwrap_or(usize::MAX));
    for claim in claims {
        newest.add(claim);
    }
    Ok(newest)
}

impl Book {
    async fn open(id: BookId, parts: Arc<LedgerParts>) -> Result<Arc<Self>, StoreError> {
        let document = parts.documents.get(id, &views::BOOKS, views::BOOK).await?;
        let view: BookView = document.map(|document| views::read(&document)).transpose()?.unwrap_or_default();
        let filters = load_filters(&parts.documents, id).await?;
        let per_generation = parts.settings.claims_per_generation;
        let newest = load_newest(&parts, id, &view).await?;
        let state = State::new(view, filters, newest, per_generation);
        let (sender, receiver) = mpsc::channel(parts.settings.queue_commands);
        let book = Arc::new(Self {
            id,
            shown: watch::Sender::new(state.shown),
            state: RwLock::new(state),
            refreshes: Refreshes::default(),
            lanes: Lanes::new(parts.ids.mint()),
            usual: Usual::new(parts.ids.mint()),
            wanted: AtomicU64::new(0),
            appended: Notify::new(),
            urgent: Notify::new(),
            broken: RwLock::default(),
            queue: Mutex::new(Some(sender)),
            tasks: Mutex::default(),
            closing: watch::Sender::new(false),
            lane_ended: watch::Sender::new(false),
            groups: moka::sync::Cache::builder().max_capacity(64).build(),
            parts,
        });
        book.catch_up().await?;
        let lane = Lane::new(book.clone(), receiver);
        let projector = Projector::new(book.clone());
        let runtime = &book.parts.runtime;
        let mut tasks = vec![runtime.spawn(lane.run()), book.parts.views.spawn(projector.run())];
        if let Some(company) = book.parts.company.as_ref().filter(|_| book.parts.journal.is_shared()) {
            tasks.push(runtime.spawn(Usher::new(book.clone(), company.peers.address()).run()));
        }
        *book.tasks.lock() = tasks;
        book.appended.notify_one();
        Ok(book)
    }

    /// Whose book it is.
    pub fn id(&self) -> BookId {
        self.id
    }

    /// Of what cannot be right nobody makes more, whoever would decide it.
    pub(crate) fn refuse_if_broken(&self) -> Result<(), Problem> {
        let Some(why) = self.fault() else { return Ok(()) };
        tracing::error!(book = %self.id, why, "a command was refused: the book is broken");
        Err(Problem::new(Code::Unavailable).retry_after(1))
    }

    /// Decides a command in the lane of this process. Of one that it has not begun at the deadline nothing happens
    /// (`503 unavailable`); of one that it has begun, the outcome is unknown (`503 outcome_unknown`).
    pub(crate) async fn submit_here(&self, ask: Ask, until: Instant) -> Result<Outcome, Problem> {
        let queue = self.entrance()?;
        let (caller, outcome) = oneshot::channel();
        let mut job = Box::new(Job::new(ask, Caller::Here(caller)));
        self.load_needs(&mut job).await?;
        let ticket = job.ticket.clone();
        let deadline = tokio::time::sleep_until(until);
        tokio::pin!(deadline);
        tokio::select! {
            sent = queue.send(job) => sent.map_err(|_| stopping())?,
            () = &mut deadline => return Err(busy()),
        }
        tokio::select! {
            answer = outcome => answer.unwrap_or_else(|_| Err(Problem::new(Code::OutcomeUnknown).retry_after(1))),
            () = &mut deadline => Err(if ticket.give_up() { busy() } else { Problem::new(Code::OutcomeUnknown).retry_after(1) }),
        }
    }

    /// The same for a caller elsewhere, who is told without anybody waiting for it here.
    pub(crate) fn submit_for(self: &Arc<Self>, ask: Ask, caller: Elsewhere) {
        let queue = match self.entrance() {
            Ok(queue) => queue,
            Err(problem) => return caller.tell(Err(problem)),
        };
        let mut job = Box::new(Job::new(ask, Caller::Elsewhere(caller)));
        if self.has_needs(&job) {
            match queue.try_send(job) {
                Ok(()) => return,
                Err(TrySendError::Full(back) | TrySendError::Closed(back)) => job = back,
            }
        }
        let book = self.clone();
        self.parts.runtime.spawn(async move {
            match book.load_needs(&mut job).await {
                Ok(()) => {
                    if let Err(SendError(job)) = queue.send(job).await {
                        job.caller.tell(Err(stopping()));
                    }
                }
                Err(error) => job.caller.tell(Err(error.into())),
            }
        });
    }

    /// The queue of the lane, if it makes sense to wait in it.
    fn entrance(&self) -> Result<mpsc::Sender<Box<Job>>, Problem> {
        self.refuse_if_broken()?;
        // Whoever is queued behind a group that cannot be appended would wait for nothing.
        if self.parts.journal.is_away() {
            return Err(Problem::because(Code::Unavailable, "The store cannot be reached.").retry_after(1));
        }
        self.queue.lock().clone().ok_or_else(stopping)
    }

    /// Applies the groups that others have appended since, up to the head. Answers whether there were any.
    pub(crate) async fn catch_up(&self) -> Result<bool, StoreError> {
        self.apply_from(true).await
    }

    /// Applies the groups of others up to a slot that is known to be filled, and what is known beyond it. That need not be
    /// the head: whoever appends next is told by the slot.
    pub(crate) async fn follow(&self, filled: u64) -> Result<(), StoreError> {
        self.apply_from(false).await?;
        if self.state.read().head < filled {
            self.catch_up().await?;
        }
        Ok(())
    }

    async fn apply_from(&self, proven: bool) -> Result<bool, StoreError> {
        let (journal, mut moved) = (&self.parts.journal, false);
        for page in 0_u64.. {
            // There is much to apply; most of it may be shown already.
            if page == 1 && journal.is_shared() {
                self.skip_what_is_shown().await?;
            }
            let from = self.state.read().head + 1;
            // What ends at the head need not be looked at again: that would cost a store over a network as much again.
            let (groups, is_head) = if proven {
                let page = journal.read_page(self.id, from, READ_GROUPS).await?;
                (page.groups, page.is_head)
            } else {
                let groups = journal.read_known(self.id, from, READ_GROUPS).await?;
                let is_last = groups.len() < READ_GROUPS;
                (groups, is_last)
            };
            for (sequence, group) in groups {
                self.take(sequence, &group).await?;
                moved = true;
            }
            if is_head {
                break;
            }
        }
        Ok(moved)
    }

    async fn take(&self, sequence: u64, group: &Group) -> Result<(), StoreError> {
        let (id, bytes) = (group.id, &group.bytes);
        let decoded = Decoded::parse(bytes)?;
        let (head, hash) = {
            let state = self.state.read();
            (state.head, state.hash)
        };
        if sequence <= head {
            return Ok(());
        }
        if sequence != head + 1 || decoded.header.previous != hash {
            return Err(StoreError::Corrupt(format!(
                "group {sequence} of book {} does not follow group {head}",
                self.id
            )));
        }
        let group = TailGroup {
            sequence,
            at: decoded.header.at,
            hash: codec::hash(bytes),
            mint: decoded.header.mint,
            claims_before: decoded.header.claims_before,
            records: decoded.records()?,
        };
        loop {
            self.load_for(&group).await?;
            if self.state.write().apply(&group) {
                // Where nobody else writes, a group of old is this process's own, from before it was started.
                if self.parts.journal.is_shared() {
                    self.lanes.note(sequence, id, Instant::now());
                }
                self.appended.notify_one();
                return Ok(());
            }
        }
    }

    /// Waits until the views show everything up to the present head.
    pub async fn flush(&self) -> Result<(), Problem> {
        let head = self.state.read().head;
        let mut shown = self.shown.subscribe();
        if *shown.borrow() >= head {
            return Ok(());
        }
        self.wanted.fetch_max(head, Ordering::Relaxed);
        self.urgent.notify_one();
        let waited = tokio::select! {
            result = shown.wait_for(|shown| *shown >= head) => result.is_ok(),
            () = tokio::time::sleep(self.parts.settings.deadline) => false,
        };
        if waited {
            Ok(())
        } else {
            Err(Problem::because(Code::Unavailable, "The views lag behind.").retry_after(1))
        }
    }

    /// Takes no more commands if what is kept cannot be right.
    pub(crate) fn note_damage(&self, error: &StoreError) {
        if let StoreError::Corrupt(why) = error {
            tracing::error!(book = %self.id, why, "the book is damaged and takes no more commands");
            *self.broken.write() = Some(why.clone());
        }
    }

    /// How many records the views lag behind.
    pub fn lag(&self) -> usize {
        self.state.read().lag
    }

    /// How many commands wait for the lane.
    pub fn queued(&self) -> usize {
        self.queue.lock().as_ref().map_or(0, |queue| queue.max_capacity() - queue.capacity())
    }

    /// How many wallets are in memory.
    pub fn cached_wallets(&self) -> usize {
        self.state.read().cached_wallets()
    }

    /// Whether it takes commands; else why not.
    pub fn fault(&self) -> Option<String> {
        self.broken.read().clone()
    }

    async fn close(&self) {
        drop(self.queue.lock().take());
        self.closing.send_replace(true);
        let tasks = std::mem::take(&mut *self.tasks.lock());
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!(book = %self.id, %error, "a task of the book ended badly");
            }
        }
    }
}
