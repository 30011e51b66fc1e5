//! Whose turn it is to write the views of a book that several processes share.
//!
//! All may write at once, since newer rows win; it is only a waste. So one of them usually writes, and shows that it is
//! at it by a beat beside the watermark. The others take for shown what the watermark says. Nothing depends on there
//! being one: whoever sees no beat for a while writes, and so does whoever has a caller waiting.

use std::time::Duration;

use credit_core::ports::StoreError;
use credit_core::ports::documents::{Batch, CommitError};
use tokio::time::Instant;

use super::book::Book;
use super::views::{self, Beat, BookView};

/// Without a beat for so long, the one who wrote the views is taken to be gone. Clocks of machines do not matter: it is
/// measured from when the last beat was seen.
const PATIENCE: Duration = Duration::from_secs(5);
/// Whoever writes shows it at least so often.
const BEAT_EVERY: Duration = Duration::from_secs(1);
/// In place of the owner: the last one has nothing to write.
const NOBODY: u128 = 0;

/// A seat that one of several processes has at a time: told by beats in a document, advice and never a lock.
pub(super) struct Seat {
    document: &'static str,
    me: u128,
    /// Where the others reach this process, if they may.
    at: Option<String>,
    /// The last beat that was seen, and when it was new.
    seen: Beat,
    seen_at: Option<Instant>,
    /// Whether who has it was seen to go on beating. A beat that only stands there may be one of a database that this one
    /// is a copy of, and its owner alive elsewhere.
    is_alive: bool,
}

impl Seat {
    pub(super) fn new(document: &'static str, me: u128, at: Option<String>) -> Self {
        Self { document, me: me.max(1), at, seen: Beat::default(), seen_at: None, is_alive: false }
    }

    /// The watermark of the views, if there is one, and whether the seat is this process's or free.
    pub(super) async fn look(&mut self, book: &Book) -> Result<(Option<BookView>, bool), StoreError> {
        let ids = [views::BOOK.to_owned(), self.document.to_owned()];
        let found = book.parts.documents.get_many(book.id, &views::BOOKS, &ids).await?;
        let [watermark, beat] = <[_; 2]>::try_from(found)
            .map_err(|_| StoreError::Corrupt("two were asked for, and not two were answered".to_owned()))?;
        let beat: Beat = beat.map(|beat| views::read(&beat)).transpose()?.unwrap_or_default();
        let is_mine = self.is_mine(beat, Instant::now());
        Ok((watermark.map(|watermark| views::read(&watermark)).transpose()?, is_mine))
    }

    fn is_mine(&mut self, beat: Beat, now: Instant) -> bool {
        if beat != self.seen || self.seen_at.is_none() {
            self.is_alive = self.seen_at.is_some() && beat.owner == self.seen.owner;
            (self.seen, self.seen_at) = (beat, Some(now));
        }
        let is_stale = self.seen_at.is_some_and(|at| now.duration_since(at) > PATIENCE);
        self.seen.owner == NOBODY || self.is_held() || is_stale
    }

    /// Whether this process was the last to show that it has the seat.
    pub(super) fn is_held(&self) -> bool {
        self.seen.owner == self.me
    }

    /// Who has it and where that process is reached, if it is another one that says so and works on this database.
    pub(super) fn other(&self) -> Option<(u128, &str)> {
        let at = self.seen.at.as_deref()?;
        (self.is_taken() && self.is_alive).then_some((self.seen.owner, at))
    }

    /// Whether another process has it, as far as is known.
    pub(super) fn is_taken(&self) -> bool {
        !self.is_held() && self.seen.owner != NOBODY
    }

    /// Shows that this process has it, if it has not for a while.
    pub(super) async fn beat(&mut self, book: &Book) -> Result<(), CommitError> {
        let is_fresh = self.seen_at.is_some_and(|at| at.elapsed() < BEAT_EVERY);
        if self.is_held() && is_fresh { Ok(()) } else { self.put(book, self.me).await }
    }

    /// Leaves it, so that the next one need not wait.
    pub(super) async fn leave(&mut self, book: &Book) -> Result<(), CommitError> {
        if self.is_held() { self.put(book, NOBODY).await } else { Ok(()) }
    }

    async fn put(&mut self, book: &Book, owner: u128) -> Result<(), CommitError> {
        let at = self.at.clone().filter(|_| owner != NOBODY);
        // Of two that are put at the same count, the first one stays.
        let beat = Beat { owner, count: self.seen.count + 1, at };
        book.parts.documents.commit(book.id, Batch::of(views::beat_write(self.document, &beat))).await?;
        (self.seen, self.seen_at) = (beat, Some(Instant::now()));
        Ok(())
    }
}

/// What this process knows of who writes the views.
pub(crate) struct Turns {
    seat: Seat,
}

impl Turns {
    pub(crate) fn new(me: u128) -> Self {
        Self { seat: Seat::new(views::PROJECTOR, me, None) }
    }

    /// Takes for shown what others have written, and answers whether it is this process's turn to write the rest. Of
    /// several that take over in the same moment one does.
    pub(crate) async fn take(&mut self, book: &Book) -> Result<bool, CommitError> {
        if !self.look(book).await? {
            return Ok(false);
        }
        let had_it = self.seat.is_held();
        self.seat.beat(book).await?;
        Ok(had_it || self.look(book).await?)
    }

    async fn look(&mut self, book: &Book) -> Result<bool, StoreError> {
        let (watermark, is_mine) = self.seat.look(book).await?;
        if let Some(watermark) = watermark {
            book.take_for_shown(watermark.sequence);
        }
        Ok(is_mine)
    }

    /// Writes a batch. It may take longer than others are patient, so that this process shows meanwhile that it is at it,
    /// if it is its turn.
    pub(crate) async fn commit(&mut self, book: &Book, batch: Batch) -> Result<(), CommitError> {
        let commit = book.parts.documents.commit(book.id, batch);
        tokio::pin!(commit);
        loop {
            tokio::select! {
                done = &mut commit => return done,
                () = tokio::time::sleep(BEAT_EVERY), if self.seat.is_held() => self.seat.beat(book).await?,
            }
        }
    }

    /// Has nothing more to write: the next one need not wait.
    pub(crate) async fn end(&mut self, book: &Book) -> Result<(), CommitError> {
        self.seat.leave(book).await
    }
}

impl Book {
    /// Another process has written the views up to a group: nothing that is applied here need be written again.
    fn take_for_shown(&self, sequence: u64) {
        let shown = {
            let mut state = self.state.write();
            let shown = sequence.min(state.head);
            if shown <= state.shown {
                return;
            }
            let touched = state.wallets_changed_since_shown(shown);
            state.mark_shown(shown, &touched, self.parts.settings.cached_wallets);
            shown
        };
        self.tell_shown(shown);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_left_to_whoever_beats_and_taken_from_whoever_stopped() {
        let mut turns = Seat::new(views::PROJECTOR, 7, None);
        let by = |owner, count| Beat { owner, count, at: None };
        let mut now = Instant::now();
        assert!(turns.is_mine(Beat::default(), now), "nobody writes");
        assert!(!turns.is_mine(by(8, 1), now));
        now += PATIENCE;
        assert!(!turns.is_mine(by(8, 2), now), "it still beats");
        now += PATIENCE;
        assert!(!turns.is_mine(by(8, 2), now));
        now += Duration::from_millis(1);
        assert!(turns.is_mine(by(8, 2), now), "it has stopped");
        assert!(turns.is_mine(by(7, 3), now), "it is this one's");
        assert!(!turns.is_mine(by(8, 4), now), "both wrote, and the later one goes on");
        assert!(turns.is_mine(by(NOBODY, 5), now), "it has nothing more to write");
        assert_eq!(turns.other(), None);
        let there = |owner, count| Beat { at: Some("there".to_owned()), ..by(owner, count) };
        assert!(!turns.is_mine(there(8, 6), now));
        assert_eq!(turns.other(), None, "it may stand there since this database was copied");
        assert!(!turns.is_mine(there(8, 6), now) && turns.other().is_none());
        assert!(!turns.is_mine(there(8, 7), now));
        assert_eq!(turns.other(), Some((8, "there")), "it goes on");
        assert!(!turns.is_mine(there(9, 8), now) && turns.other().is_none(), "another one");
    }
}
