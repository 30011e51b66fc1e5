//! The usual writer of a book that several processes share: one of them, to which the others hand their commands.
//!
//! Any of them may write at any time, and the slot rule tells who is right. It is only a waste that each reads and applies
//! what the others append. Who usually writes shows it by a beat beside the watermark, with the address at which the
//! others reach it; whoever sees no beat for a while takes the seat. The others read no journal for what they hand over,
//! and go on from the watermark where they have fallen behind.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use credit_core::ports::documents::CommitError;
use metrics::Counter;
use parking_lot::RwLock;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::book::Book;
use super::turn::Seat;
use super::views;

/// How often each process looks who it is, as long as commands come: while there are so many of them, and else. A quiet book
/// gains little, and there may be thousands. Both are less than others wait for a beat.
const BUSY: u32 = 16;
const LOOK_WHILE_BUSY: Duration = Duration::from_secs(1);
const LOOK_WHILE_QUIET: Duration = Duration::from_secs(3);
/// Whoever has just taken the seat beats so often as if it were busy, for the others believe the second beat.
const NEW_FOR: u32 = 3;
/// Whoever hands its commands over and lags behind the watermark by more groups than this goes on from there.
const FAR: u64 = 64;
/// How often a process that is read from again and again applies what the other one appends, so that no reader waits for
/// much of it.
const FOLLOW_EVERY: Duration = Duration::from_millis(100);
/// For so many times after a read the next one belongs to it, and between them the process follows. A single read, as of a
/// job, is not worth applying everything for.
const FOLLOW_ON: u32 = 30;

/// What a process knows of the usual writer of a book.
pub(crate) struct Usual {
    /// This process, as the others see it in this book.
    me: u128,
    /// Who it is, if it is another process.
    other: RwLock<Option<Arc<Other>>>,
    /// How many commands came since the last look.
    came: AtomicU32,
    /// How many commands another process is asked for at present.
    asked: AtomicU32,
    /// Whether somebody has read since it was last looked at.
    is_read: AtomicBool,
    wanted: Notify,
    /// Counters that are looked up once: for each command that would cost more than to count.
    handings: OnceLock<Handings>,
}

/// What became of commands that were handed over, or were to be.
pub(super) struct Handings {
    pub(super) answered: Counter,
    pub(super) not_there: Counter,
    pub(super) not_sent: Counter,
    pub(super) no_answer: Counter,
}

impl Handings {
    fn new() -> Self {
        let counter = |outcome| metrics::counter!("credit_ledger_handed_over_total", "outcome" => outcome);
        Self {
            answered: counter("answered"),
            not_there: counter("not_there"),
            not_sent: counter("not_sent"),
            no_answer: counter("no_answer"),
        }
    }
}

/// Another process on the same book.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Other {
    /// Which: addresses are given to somebody else once a process has ended.
    pub(super) owner: u128,
    /// Where it is reached.
    pub(super) at: String,
}

impl Usual {
    pub(super) fn new(minted: u128) -> Self {
        Self {
            me: minted.max(1),
            other: RwLock::default(),
            came: AtomicU32::new(0),
            asked: AtomicU32::new(0),
            is_read: AtomicBool::new(false),
            wanted: Notify::new(),
            handings: OnceLock::new(),
        }
    }

    /// Whether this process is meant.
    pub(super) fn is_me(&self, owner: u128) -> bool {
        self.me == owner
    }

    /// A command has come, so that it is worth knowing, and worth showing who it is.
    pub(super) fn note_a_command(&self) {
        if self.came.fetch_add(1, Ordering::Relaxed) == 0 {
            self.wanted.notify_one();
        }
    }

    /// Somebody reads the book here.
    pub(super) fn note_a_read(&self) {
        self.is_read.store(true, Ordering::Relaxed);
    }

    /// To whom commands are handed. `None` is nobody: they are decided here.
    pub(super) fn other(&self) -> Option<Arc<Other>> {
        self.other.read().clone()
    }

    /// A command is asked of another process until this is dropped.
    pub(super) fn asks(&self) -> Asked<'_> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Asked(self)
    }

    /// Whether it is not this one any more.
    pub(super) fn is_left_by(&self, owner: u128) -> bool {
        self.other.read().as_ref().is_none_or(|other| other.owner != owner)
    }

    /// Counts what became of commands that were handed over.
    pub(super) fn handings(&self) -> &Handings {
        self.handings.get_or_init(Handings::new)
    }

    fn set(&self, other: Option<Other>) {
        *self.other.write() = other.map(Arc::new);
    }
}

/// A command that another process is asked for.
pub(super) struct Asked<'a>(&'a Usual);

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.0.asked.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Keeps what this process knows of the usual writer of a book, and takes the seat when it is free.
pub(crate) struct Usher {
    book: Arc<Book>,
    seat: Seat,
    /// How often it could have followed since somebody has read.
    since_read: u32,
    /// Whether that was not the first read for long.
    is_read_again: bool,
    /// For so many more looks the seat is new, and the others wait to see that it is kept.
    is_new_for: u32,
}

impl Usher {
    /// Of a process that is reached there.
    pub(crate) fn new(book: Arc<Book>, address: &str) -> Self {
        let seat = Seat::new(views::WRITER, book.usual.me, Some(address.to_owned()));
        Self { book, seat, since_read: FOLLOW_ON, is_read_again: false, is_new_for: 0 }
    }

    /// Works until the book is closed. Without commands it rests, and whoever has some takes the seat from it.
    pub(crate) async fn run(mut self) {
        let book = self.book.clone();
        let mut closing = book.closing.subscribe();
        while !*closing.borrow_and_update() {
            tokio::select! {
                () = self.rest() => {}
                _ = closing.changed() => break,
            }
            // As long as it is not seen to be another one, it is the same.
            if let Err(error) = self.round().await {
                tracing::debug!(book = %book.id, %error, "who usually writes the book could not be seen");
            }
        }
        book.usual.set(None);
        if let Err(error) = self.seat.leave(&book).await {
            tracing::debug!(book = %book.id, %error, "the seat could not be left; the others will see that it is empty");
        }
    }

    /// Until the next look. Meanwhile a process that hands its commands over and is read from follows.
    async fn rest(&mut self) {
        let usual = &self.book.usual;
        let is_new = self.is_new_for > 0;
        self.is_new_for = self.is_new_for.saturating_sub(1);
        let pause = match usual.came.swap(0, Ordering::Relaxed) {
            _ if is_new => LOOK_WHILE_BUSY,
            // Whoever is asked may not get on.
            0 if usual.asked.load(Ordering::Relaxed) > 0 => LOOK_WHILE_BUSY,
            0 => return usual.wanted.notified().await,
            BUSY.. => LOOK_WHILE_BUSY,
            // Does it go on?
            _ if self.seat.is_taken() && self.seat.other().is_none() => LOOK_WHILE_BUSY,
            _ => LOOK_WHILE_QUIET,
        };
        let until = Instant::now() + pause;
        while Instant::now() < until {
            tokio::time::sleep(FOLLOW_EVERY).await;
            self.follow().await;
        }
    }

    async fn follow(&mut self) {
        if self.book.usual.is_read.swap(false, Ordering::Relaxed) {
            self.is_read_again = self.since_read < FOLLOW_ON;
            self.since_read = 0;
        } else {
            self.since_read = self.since_read.saturating_add(1);
        }
        if self.is_read_again
            && self.since_read < FOLLOW_ON
            && self.book.usual.other().is_some()
            && let Err(error) = self.book.catch_up().await
        {
            self.book.note_damage(&error);
        }
    }

    /// Looks who it is. Of several that find the seat free in the same moment one has it.
    async fn round(&mut self) -> Result<(), CommitError> {
        // Whoever cannot decide anything keeps nobody else from it.
        if self.book.fault().is_some() {
            self.book.usual.set(None);
            return self.seat.leave(&self.book).await;
        }
        let (mut watermark, may_take) = self.seat.look(&self.book).await?;
        if may_take {
            let had_it = self.seat.is_held();
            self.seat.beat(&self.book).await?;
            if !had_it {
                self.is_new_for = NEW_FOR;
                (watermark, _) = self.seat.look(&self.book).await?;
            }
        }
        let other = self.seat.other().map(|(owner, at)| Other { owner, at: at.to_owned() });
        if other.is_some()
            && let Some(watermark) = watermark
        {
            self.book.jump_if_far(watermark, FAR);
        }
        self.book.usual.set(other);
        Ok(())
    }
}
