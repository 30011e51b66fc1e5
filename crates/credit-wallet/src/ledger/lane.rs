//! The lane of a book: takes what waits, decides one after another in memory, appends one group, then answers each.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use credit_core::ports::StoreError;
use credit_core::ports::journal::{Appended, Group};
use credit_core::{Actor, Code, Problem, Timestamp, WalletId};
use tokio::sync::mpsc;

use super::book::Book;
use super::codec;
use super::job::{Job, Outcome};
use super::mint::{Mint, MintMark};
use super::state::{State, TailGroup};
use crate::domain::commands::Sweep;
use crate::domain::{
    Answer, Command, Decided, Desk, Place, Record, StoredRefusal, Wallet, World, check_posted, has_due,
    settle,
};

/// The only writer of a book in this process.
pub(crate) struct Lane {
    book: Arc<Book>,
    queue: mpsc::Receiver<Job>,
}

impl Lane {
    pub(crate) fn new(book: Arc<Book>, queue: mpsc::Receiver<Job>) -> Self {
        Self { book, queue }
    }

    /// Works until the queue is closed and empty.
    pub(crate) async fn run(mut self) {
        let limit = self.book.parts.settings.group_commands;
        let mut waiting = Vec::with_capacity(limit);
        while self.queue.recv_many(&mut waiting, limit).await > 0 {
            let jobs: Vec<Job> = waiting.drain(..).filter(|job| job.ticket.take()).collect();
            self.process(jobs).await;
        }
        self.book.lane_ended.send_replace(true);
    }

    async fn process(&self, mut jobs: Vec<Job>) {
        self.book.wait_for_views().await;
        while !jobs.is_empty() {
            jobs = self.prepare(jobs).await;
            let Some(draft) = self.decide(&jobs) else { continue };
            let rest = jobs.split_off(draft.verdicts.len());
            match self.land(&draft).await {
                Ok(true) => {
                    answer(jobs, draft);
                    jobs = rest;
                }
                Ok(false) => jobs.extend(rest),
                Err(error) => {
                    self.book.note_damage(&error);
                    jobs.extend(rest);
                    return refuse(jobs, &error);
                }
            }
        }
    }

    /// Makes a draft true: appends its group, or, without one, makes sure that it was decided at the head. False if
    /// others were faster: their groups are applied, and the commands are to be decided again.
    async fn land(&self, draft: &Draft) -> Result<bool, StoreError> {
        if draft.records.is_empty() {
            return if self.book.parts.journal.is_shared() {
                Ok(!self.book.catch_up().await?)
            } else {
                Ok(true)
            };
        }
        let (appended, group) = self.append(draft).await?;
        if appended == Appended::Taken {
            metrics::counter!("credit_ledger_slots_taken_total").increment(1);
            self.book.catch_up().await?;
            return Ok(false);
        }
        metrics::histogram!("credit_ledger_group_records")
            .record(f64::from(u32::try_from(group.records.len()).unwrap_or(u32::MAX)));
        self.book.state.write().commit(group, draft.wallets.values().cloned());
        self.book.appended.notify_one();
        Ok(true)
    }

    /// Looks up claims and loads what is not in memory. Commands for which that fails are refused.
    async fn prepare(&self, mut jobs: Vec<Job>) -> Vec<Job> {
        let prepared = {
            let mut unprepared: Vec<&mut Job> = {
                let state = self.book.state.read();
                jobs.iter_mut().filter(|job| !Book::is_prepared(&state, job)).collect()
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

    /// Decides all, or nothing if something has left memory meanwhile.
    fn decide(&self, jobs: &[Job]) -> Option<Draft> {
        let parts = &self.book.parts;
        let seed = u64::try_from(parts.ids.mint() & u128::from(u64::MAX)).unwrap_or_default();
        let state = self.book.state.read();
        if !jobs.iter().all(|job| Book::is_prepared(&state, job)) {
            return None;
        }
        let at = parts.clock.now().max(state.clock);
        let mut draft = Draft {
            sequence: state.head + 1,
            at,
            mark: 0,
            records: Vec::new(),
            body: codec::Body::default(),
            wallets: HashMap::new(),
            claims: HashMap::new(),
            verdicts: Vec::with_capacity(jobs.len()),
        };
        let mut mint = Mint::new(state.mint, at, seed);
        for job in jobs {
            let verdict = draft.decide(&state, job, &mut mint);
            draft.verdicts.push(verdict);
            if draft.body.len() >= parts.settings.group_bytes {
                break; // the rest goes into the next group
            }
        }
        draft.mark = mint.mark();
        Some(draft)
    }

    /// Appends the group. While the outcome is unknown, appends the same group again: its slot tells in the end.
    async fn append(&self, draft: &Draft) -> Result<(Appended, TailGroup), StoreError> {
        let parts = &self.book.parts;
        let (previous, claims_before) = {
            let state = self.book.state.read();
            (state.hash, state.claims_made)
        };
        let bytes = draft.body.frame(previous, draft.at, draft.mark, claims_before);
        let hash = codec::hash(&bytes);
        let group = Group { id: parts.ids.mint(), bytes };
        let mut pause = Duration::from_millis(20);
        let mut unknown = None;
        loop {
            match parts.journal.append(self.book.id, draft.sequence, group.clone()).await {
                Ok(appended) => {
                    let records = draft.records.clone();
                    let tail = TailGroup {
                        sequence: draft.sequence,
                        at: draft.at,
                        hash,
                        mint: draft.mark,
                        claims_before,
                        records,
                    };
                    return Ok((appended, tail));
                }
                // After an attempt that may still land, a refusal of the next one says nothing about the first.
                Err(error) if unknown.is_some() || matches!(error, StoreError::OutcomeUnknown(_)) => {
                    let why = unknown.get_or_insert_with(|| error.to_string()).clone();
                    tracing::warn!(book = %self.book.id, sequence = draft.sequence, why, "an append's outcome is unknown; asking again");
                    if *self.book.closing.borrow() {
                        return Err(StoreError::OutcomeUnknown(why));
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(1));
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// What a command got.
enum Verdict {
    /// Recorded in the group.
    Recorded(Arc<Record>),
    /// An earlier call with the same key got it.
    Replayed(Arc<Record>),
    /// Decided, with nothing to record.
    Unrecorded(Arc<Record>),
    /// Refused; recorded if it sticks to a key.
    Refused(Problem),
}

/// A group in the making, over the state at the head.
struct Draft {
    sequence: u64,
    at: Timestamp,
    mark: MintMark,
    records: Vec<Arc<Record>>,
    body: codec::Body,
    wallets: HashMap<WalletId, Arc<Wallet>>,
    claims: HashMap<u128, u32>,
    verdicts: Vec<Verdict>,
}

struct View<'a> {
    state: &'a State,
    draft: &'a Draft,
    job: &'a Job,
}

impl World for View<'_> {
    fn wallet(&self, id: WalletId) -> Option<Arc<Wallet>> {
        self.draft.wallets.get(&id).or_else(|| self.state.wallet(id)).cloned()
    }

    fn claimed(&self, claim: u128) -> Option<(Place, Arc<Record>)> {
        if let Some(index) = self.draft.claims.get(&claim) {
            let record = self.draft.records.get(usize::try_from(*index).ok()?)?;
            return Some((Place { sequence: self.draft.sequence, index: *index }, record.clone()));
        }
        self.state.claimed(claim).or_else(|| {
            self.job
                .known
                .iter()
                .find(|(known, ..)| *known == claim)
                .map(|(_, place, record)| (*place, record.clone()))
        })
    }
}

impl Draft {
    fn decide(&mut self, state: &State, job: &Job, mint: &mut Mint) -> Verdict {
        let ask = &job.ask;
        if let Some(key) = ask.key
            && let Some((_, record)) = (View { state, draft: self, job }).claimed(key.claim)
        {
            return match record.key {
                Some(mark) if mark == key => Verdict::Replayed(record),
                _ => Verdict::Refused(Problem::new(Code::IdempotencyKeyReused)),
            };
        }
        if !ask.dry_run
            && let Err(problem) = self.post_due(state, job, mint)
        {
            return Verdict::Refused(problem);
        }
        let decided = self.on_desk(state, job, mint, ask.actor, |desk| {
            if ask.dry_run {
                for id in &job.needs.wallets {
                    // A wallet that is not there is the command's to refuse.
                    if desk.wallet(*id).is_ok() {
                        settle(desk, *id)?;
                    }
                }
            }
            if let (Some(if_match), Some(guarded)) = (&ask.if_match, ask.command.guarded()) {
                if_match.check(desk.wallet(guarded)?.version)?;
            }
            ask.command.decide(desk)
        });
        match decided {
            Ok(decided) if ask.dry_run => Verdict::Unrecorded(Arc::new(decided.record)),
            Ok(mut decided) => {
                decided.record.key = ask.key;
                if decided.record.changes.is_empty() && ask.key.is_none() {
                    return Verdict::Unrecorded(Arc::new(decided.record));
                }
                self.keep(decided).map_or_else(Verdict::Refused, Verdict::Recorded)
            }
            Err(problem) => match ask.key {
                Some(key) if problem.code().is_outcome() => {
                    let refusal = StoredRefusal::of(&problem, &ask.request_id);
                    let kept =
                        self.keep(Decided { record: Record::refused(key, refusal), wallets: Vec::new() });
                    Verdict::Refused(kept.err().unwrap_or(problem))
                }
                _ => Verdict::Refused(problem),
            },
        }
    }

    /// Posts what is due of the wallets that a command touches, before it, in a record of its own: it happens whether
    /// or not the command is refused.
    fn post_due(&mut self, state: &State, job: &Job, mint: &mut Mint) -> Result<(), Problem> {
        for id in &job.needs.wallets {
            let due = (View { state, draft: self, job })
                .wallet(*id)
                .is_some_and(|wallet| has_due(&wallet, self.at));
            if due {
                let decided =
                    self.on_desk(state, job, mint, Actor::System, |desk| Sweep(*id).decide(desk))?;
                if !decided.record.changes.is_empty() {
                    self.keep(decided)?;
                }
            }
        }
        Ok(())
    }

    /// Runs a decision on a desk of its own and checks what it posts. A broken invariant refuses the command and changes
    /// nothing.
    fn on_desk(
        &self,
        state: &State,
        job: &Job,
        mint: &mut Mint,
        actor: Actor,
        decide: impl FnOnce(&mut Desk<'_>) -> Result<Answer, Problem>,
    ) -> Result<Decided, Problem> {
        let view = View { state, draft: self, job };
        let mut next = || mint.next();
        let mut desk = Desk::new(&view, &mut next, self.at, self.sequence, actor);
        let answer = decide(&mut desk)?;
        let decided = desk.finish(answer);
        if let Err(broken) = check_posted(&decided.record, &decided.wallets, self.at) {
            metrics::counter!("credit_ledger_broken_invariants_total").increment(1);
            tracing::error!(%broken, request_id = job.ask.request_id, "a decision broke an invariant and was thrown away");
            return Err(Problem::new(Code::Internal));
        }
        Ok(decided)
    }

    fn keep(&mut self, decided: Decided) -> Result<Arc<Record>, Problem> {
        let index = u32::try_from(self.records.len()).unwrap_or(u32::MAX);
        self.body.push(&decided.record)?;
        let record = Arc::new(decided.record);
        for claim in record.all_claims() {
            self.claims.insert(claim, index);
        }
        for wallet in decided.wallets {
            self.wallets.insert(wallet.id, Arc::new(wallet));
        }
        self.records.push(record.clone());
        Ok(record)
    }
}

/// Answers each command. A caller that has gone does not matter: what is done is done.
fn answer(jobs: Vec<Job>, draft: Draft) {
    for (job, verdict) in jobs.into_iter().zip(draft.verdicts) {
        let outcome = match verdict {
            Verdict::Recorded(record) | Verdict::Unrecorded(record) => {
                Ok(Outcome { record, replayed: false })
            }
            Verdict::Replayed(record) => match &record.answer {
                Answer::Refused(refusal) => Err(refusal.replay()),
                _ => Ok(Outcome { record, replayed: true }),
            },
            Verdict::Refused(problem) => Err(problem),
        };
        let _gone = job.reply.send(outcome);
    }
}

fn refuse(jobs: Vec<Job>, error: &StoreError) {
    tracing::warn!(%error, commands = jobs.len(), "the store refused a group");
    if matches!(error, StoreError::OutcomeUnknown(_)) {
        tell_unfinished(&jobs);
    }
    for job in jobs {
        let _gone = job.reply.send(Err(error.clone().into()));
    }
}

/// Names the keys of the commands whose outcome nobody knows: whoever repeats one learns it. Keys are told by the hashes
/// that the book keeps of them.
fn tell_unfinished(jobs: &[Job]) {
    for job in jobs {
        let Some(key) = job.ask.key else { continue };
        let (key, request_id) = (format!("{:032x}", key.claim), &job.ask.request_id);
        tracing::warn!(key, request_id, "a command with a key was left unfinished");
    }
}
