//! The lane of a book: takes what waits, decides one after another in memory, appends one group, then answers each.
//!
//! While a group is on its way to the disk, the next one is decided on top of it. It is appended only once the one
//! before it holds; if that one does not, the commands of both are decided again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use credit_core::ports::StoreError;
use credit_core::ports::journal::{Appended, Group};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::Instrument;

use super::book::{Book, busy};
use super::codec;
use super::courtesy::Turn;
use super::draft::{Draft, Effects, NotNow, Verdict};
use super::job::Job;
use super::state::TailGroup;
use super::{meter, traced};

/// The only writer of a book in this process.
pub(crate) struct Lane {
    book: Arc<Book>,
    queue: mpsc::Receiver<Box<Job>>,
    /// Commands to decide, the oldest first.
    waiting: VecDeque<Box<Job>>,
    /// The group on its way.
    flight: Option<Flight>,
    /// What callers get whose group has landed: they are told once the next group is on its way, so that the disk does not
    /// wait for it.
    owed: Vec<(Box<Job>, Verdict)>,
    /// The bytes of that group.
    owed_of: Bytes,
}

/// A group on its way, with the commands that wait for it.
struct Flight {
    effects: Arc<Effects>,
    group: TailGroup,
    bytes: Bytes,
    decided: Vec<(Box<Job>, Verdict)>,
    sent: Instant,
    landing: JoinHandle<Result<Appended, StoreError>>,
}

impl Flight {
    /// Waits for the end of the append, which goes on also when nobody waits.
    async fn landed(&mut self) -> Result<Appended, StoreError> {
        let ended = (&mut self.landing).await;
        ended.unwrap_or_else(|_| Err(StoreError::OutcomeUnknown("an append broke off".to_owned())))
    }
}

impl Lane {
    pub(crate) fn new(book: Arc<Book>, queue: mpsc::Receiver<Box<Job>>) -> Self {
        Self { book, queue, waiting: VecDeque::new(), flight: None, owed: Vec::new(), owed_of: Bytes::new() }
    }

    /// Works until the queue is closed and empty.
    pub(crate) async fn run(mut self) {
        while let Some(draft) = self.gather().await {
            // Nothing is on its way here: what has landed counts, and one group more is all that may come on top.
            if self.book.is_far_behind() {
                self.pay();
                self.book.wait_for_views().await;
                // What was decided before the wait may have fallen due in it.
                self.decide_again(draft.decided);
            } else {
                self.launch(draft).await;
                self.pay();
            }
        }
        self.book.lane_ended.send_replace(true);
    }

    /// Decides what comes, at least one command, and as long as the group before is on its way. `None` at the end.
    async fn gather(&mut self) -> Option<Draft> {
        let limit = self.book.parts.settings.group_commands;
        let mut draft: Option<Draft> = None;
        let mut open = true;
        loop {
            let turn = self.others_turn();
            if turn.is_some()
                && let Some(early) = draft.take()
            {
                self.decide_again(early.decided); // behind what the others append
            }
            if open && turn.is_none() && !self.waiting.is_empty() && !self.is_in_vain() {
                open = self.extend(&mut draft).await;
            }
            let has_room = open && self.waiting.len() < limit;
            let mut arrived = Vec::new();
            match (&mut self.flight, draft.is_some(), turn) {
                (None, true, _) => return draft,
                (None, false, Some(turn)) if !self.waiting.is_empty() => {
                    tokio::select! {
                        () = tokio::time::sleep_until(turn.look) => self.look().await,
                        taken = self.queue.recv_many(&mut arrived, limit), if has_room => {
                            open = taken > 0;
                        }
                    }
                }
                (None, false, _) => {
                    open = true;
                    if self.waiting.is_empty() && self.queue.recv_many(&mut arrived, limit).await == 0 {
                        return None;
                    }
                }
                (Some(flight), ..) => {
                    tokio::select! {
                        biased;
                        landed = flight.landed() => {
                            // What came later goes back first, so that what came before is again in front of it.
                            if !matches!(landed, Ok(Appended::Appended)) && let Some(lost) = draft.take() {
                                self.decide_again(lost.decided);
                            }
                            self.conclude(landed).await;
                            if draft.is_some() && self.others_turn().is_none() {
                                return draft;
                            }
                            self.pay();
                            open = true;
                        }
                        taken = self.queue.recv_many(&mut arrived, limit), if has_room => {
                            open = taken > 0; // a closed queue gives nothing more
                        }
                    }
                }
            }
            self.waiting.extend(arrived);
        }
    }

    /// How long the next slot is left to the lanes of other processes, if nothing of this one is on its way.
    fn others_turn(&self) -> Option<Turn> {
        if self.flight.is_some() { None } else { self.book.lanes.turn(Instant::now()) }
    }

    /// Whether what is decided on top of the group that is on its way would have to be decided again, since others come
    /// in between.
    fn is_in_vain(&self) -> bool {
        self.flight.is_some() && self.book.lanes.are_several(Instant::now())
    }

    /// Looks whether others have appended. Where that fails, the append tells.
    async fn look(&self) {
        if let Err(error) = self.book.follow(0).await {
            self.book.note_damage(&error);
        }
    }

    /// Adds what waits to the draft. False if it takes no more before the group on its way has landed.
    async fn extend(&mut self, draft: &mut Option<Draft>) -> bool {
        let settings = &self.book.parts.settings;
        let room = settings.group_commands - draft.as_ref().map_or(0, |draft| draft.decided.len());
        let (began, mut jobs) = (Instant::now(), Vec::new());
        for job in self.waiting.drain(..room.min(self.waiting.len())) {
            if job.caller.is_late(began) {
                job.caller.tell(Err(busy()));
            } else if job.ticket.take() {
                jobs.push(job);
            }
        }
        let jobs = self.prepare(jobs).await;
        if jobs.is_empty() {
            return true;
        }
        let parts = &self.book.parts;
        let now = parts.clock.now();
        let state = self.book.state.read();
        let mut in_making = draft.take().unwrap_or_else(|| {
            let beneath = self.flight.as_ref().map(|flight| flight.effects.clone());
            let seed = u64::try_from(parts.ids.mint() & u128::from(u64::MAX)).unwrap_or_default();
            Draft::begin(&state, beneath, now, seed)
        });
        let (mut left, mut later) = (Vec::new(), false);
        for job in jobs {
            if !left.is_empty() || in_making.is_full(settings) {
                left.push(job);
            } else if let Err((job, why)) = in_making.admit(&state, job, now) {
                later |= why == NotNow::Later;
                left.push(job);
            }
        }
        for job in left.into_iter().rev() {
            self.waiting.push_front(job);
        }
        let open = !later && !in_making.is_full(settings);
        *draft = Some(in_making).filter(|draft| !draft.decided.is_empty());
        open
    }

    /// Looks up claims and loads what is not in memory. Commands for which that fails are refused.
    #[expect(clippy::vec_box, reason = "commands are large and move from queue to draft and back")]
    async fn prepare(&self, mut jobs: Vec<Box<Job>>) -> Vec<Box<Job>> {
        let prepared = {
            let mut unprepared: Vec<&mut Job> = {
                let state = self.book.state.read();
                jobs.iter_mut().map(AsMut::as_mut).filter(|job| !Book::is_prepared(&state, job)).collect()
            };
            self.book.prepare(&mut unprepared).await
        };
        match prepared {
            Ok(()) => jobs,
            Err(error) => {
                refuse(jobs, &error);
                Vec::new()
            }
        }
    }

    /// Makes a draft true: sends its group on its way, or, without one, makes sure that it was decided at the head. If
    /// others were faster, the commands are to be decided again.
    async fn launch(&mut self, draft: Draft) {
        if draft.effects.records.is_empty() && self.book.parts.journal.is_shared() {
            self.pay();
            if let Err(error) = self.book.catch_up().await {
                self.book.note_damage(&error);
                return refuse(draft.decided.into_iter().map(|(job, _)| job), &error);
            }
        }
        let parts = &self.book.parts;
        let (head, previous, claims_before) = {
            let state = self.book.state.read();
            (state.head, state.hash, state.claims_made)
        };
        let effects = draft.effects;
        if head + 1 != effects.sequence {
            return self.decide_again(draft.decided);
        }
        if effects.records.is_empty() {
            return answer(draft.decided, &[]);
        }
        let bytes = draft.body.frame(previous, effects.at, effects.mark, claims_before);
        let group = TailGroup {
            sequence: effects.sequence,
            at: effects.at,
            hash: codec::hash(&bytes),
            mint: effects.mark,
            claims_before,
            records: effects.records.clone(),
        };
        let append = append(
            self.book.clone(),
            effects.sequence,
            Group { id: self.book.lanes.group_id(parts.ids.mint()), bytes: bytes.clone() },
        );
        let landing =
            parts.runtime.spawn(append.instrument(traced::of_group(&draft.decided, effects.sequence)));
        let (effects, decided) = (Arc::new(effects), draft.decided);
        self.flight = Some(Flight { effects, group, bytes, decided, sent: Instant::now(), landing });
    }

    /// Takes the group that was on its way for true and answers, or decides its commands again, or refuses them.
    async fn conclude(&mut self, landed: Result<Appended, StoreError>) {
        let Some(flight) = self.flight.take() else { return };
        let jobs = |decided: Vec<(Box<Job>, Verdict)>| decided.into_iter().map(|(job, _)| job);
        match landed {
            Ok(Appended::Appended) => {
                if self.book.parts.journal.is_shared() {
                    self.book.lanes.landed(flight.group.sequence, flight.sent, Instant::now());
                }
                metrics::histogram!("credit_ledger_group_records")
                    .record(f64::from(u32::try_from(flight.group.records.len()).unwrap_or(u32::MAX)));
                meter::count_posted(&flight.group.records);
                let wallets = flight.effects.wallets.values().cloned();
                self.book.state.write().commit(flight.group, wallets);
                self.book.appended.notify_one();
                self.book.hurry_views();
                (self.owed, self.owed_of) = (flight.decided, flight.bytes);
            }
            Ok(Appended::Taken) => {
                metrics::counter!("credit_ledger_slots_taken_total").increment(1);
                match self.book.follow(flight.group.sequence).await {
                    Ok(()) => self.decide_again(flight.decided),
                    Err(error) => {
                        self.book.note_damage(&error);
                        refuse(jobs(flight.decided), &error);
                    }
                }
            }
            Err(error) => {
                self.book.note_damage(&error);
                refuse(jobs(flight.decided), &error);
            }
        }
    }

    /// Tells the callers whose group has landed.
    fn pay(&mut self) {
        answer(std::mem::take(&mut self.owed), &std::mem::take(&mut self.owed_of));
    }

    /// Puts commands back, before those that came later.
    fn decide_again(&mut self, decided: Vec<(Box<Job>, Verdict)>) {
        for (mut job, _) in decided.into_iter().rev() {
            // What did not exist may have been made since.
            job.absent.clear();
            self.waiting.push_front(job);
        }
    }
}

impl Drop for Lane {
    /// A fault of ours ends the lane for good: the book says so, and its projector does not wait for the rest.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.book.note_damage(&StoreError::Corrupt("its lane broke off".to_owned()));
            self.book.lane_ended.send_replace(true);
        }
    }
}

/// Appends a group. While the outcome is unknown, appends the same group again: its slot tells in the end.
async fn append(book: Arc<Book>, sequence: u64, group: Group) -> Result<Appended, StoreError> {
    let mut pause = Duration::from_millis(20);
    let mut unknown = None;
    loop {
        match book.parts.journal.append(book.id, sequence, group.clone()).await {
            // Asking again does not mend what is kept; what the first attempt did stays unknown.
            Err(error @ StoreError::Corrupt(_)) if unknown.is_some() => {
                book.note_damage(&error);
                return Err(StoreError::OutcomeUnknown(unknown.unwrap_or_default()));
            }
            // After an attempt that may still land, a refusal of the next one says nothing about the first.
            Err(error) if unknown.is_some() || matches!(error, StoreError::OutcomeUnknown(_)) => {
                let why = unknown.get_or_insert_with(|| error.to_string()).clone();
                tracing::warn!(book = %book.id, sequence, why, "an append's outcome is unknown; asking again");
                if *book.closing.borrow() {
                    return Err(StoreError::OutcomeUnknown(why));
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(1));
            }
            known => return known,
        }
    }
}

/// Answers each command; these are the bytes of the group in which some of them are recorded.
fn answer(decided: Vec<(Box<Job>, Verdict)>, group: &[u8]) {
    for (job, verdict) in decided {
        match verdict {
            Verdict::Recorded(record, place) => job.caller.tell_recorded(record, group.get(place)),
            other => job.caller.tell(other.outcome()),
        }
    }
}

fn refuse(jobs: impl IntoIterator<Item = Box<Job>>, error: &StoreError) {
    let mut commands = 0;
    for job in jobs {
        commands += 1;
        if matches!(error, StoreError::OutcomeUnknown(_)) {
            tell_unfinished(&job);
        }
        job.caller.tell(Err(error.clone().into()));
    }
    tracing::warn!(%error, commands, "the store refused a group");
}

/// Names the key of a command whose outcome nobody knows: whoever repeats it learns it. The key is told by the hash that
/// the book keeps of it.
fn tell_unfinished(job: &Job) {
    if let Some(key) = job.ask.key {
        let (key, request_id) = (format!("{:032x}", key.claim), &job.ask.request_id);
        tracing::warn!(key, request_id, "a command with a key was left unfinished");
    }
}
