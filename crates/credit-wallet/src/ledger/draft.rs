//! A group in the making: commands decided one after another, each sees the ones before.

use std::ops::Range;
use std::sync::Arc;

use credit_core::{Actor, Code, Problem, Timestamp, WalletId};
use foldhash::HashMap;

use super::book::Book;
use super::codec;
use super::config::LedgerSettings;
use super::job::{Job, Outcome};
use super::mint::{Mint, MintMark};
use super::state::State;
use crate::domain::commands::Sweep;
use crate::domain::{
    Answer, Command, Decided, Desk, Needs, Place, Record, StoredRefusal, Wallet, World, check_posted,
    has_due, settle,
};

/// For how long a group takes more commands while the one before it is on its way, in milliseconds: what is posted in it
/// bears the time at which it was begun.
const OPEN_MILLIS: i64 = 50;

/// What a command got.
pub(super) enum Verdict {
    /// Recorded in the group, and there it stands.
    Recorded(Arc<Record>, Range<usize>),
    /// An earlier call with the same key got it.
    Replayed(Arc<Record>),
    /// Decided, with nothing to record.
    Unrecorded(Arc<Record>),
    /// Refused; recorded if it sticks to a key.
    Refused(Problem),
}

impl Verdict {
    /// What the caller is told.
    pub(super) fn outcome(self) -> Result<Outcome, Problem> {
        match self {
            Self::Recorded(record, _) | Self::Unrecorded(record) => Ok(Outcome::of(record, false)),
            Self::Replayed(record) => match &record.answer {
                Answer::Refused(refusal) => Err(refusal.replay()),
                _ => Ok(Outcome::of(record, true)),
            },
            Self::Refused(problem) => Err(problem),
        }
    }
}

/// What a group does: its records, and the wallets and claims after it.
#[derive(Default)]
pub(super) struct Effects {
    pub(super) sequence: u64,
    pub(super) at: Timestamp,
    pub(super) mark: MintMark,
    pub(super) records: Vec<Arc<Record>>,
    pub(super) wallets: HashMap<WalletId, Arc<Wallet>>,
    claims: HashMap<u128, u32>,
}

impl Effects {
    fn claimed(&self, claim: u128) -> Option<(Place, Arc<Record>)> {
        let index = *self.claims.get(&claim)?;
        let record = self.records.get(usize::try_from(index).ok()?)?;
        Some((Place { sequence: self.sequence, index }, record.clone()))
    }
}

/// A group in the making, over the group that is on its way, over the state at the head.
pub(super) struct Draft {
    pub(super) effects: Effects,
    pub(super) body: codec::Body,
    /// The commands so far, each with what it got.
    pub(super) decided: Vec<(Box<Job>, Verdict)>,
    /// The group before, which may not have landed yet. If it does not land, this one is thrown away.
    beneath: Option<Arc<Effects>>,
    mint: Mint,
}

/// Why a draft does not take a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotNow {
    /// Something that it looks at has left memory.
    Unprepared,
    /// The group has to land first.
    Later,
}

impl Draft {
    /// An empty group behind `beneath`, or at the head.
    pub(super) fn begin(state: &State, beneath: Option<Arc<Effects>>, now: Timestamp, seed: u64) -> Self {
        let (head, clock, mark) = beneath.as_ref().map_or((state.head, state.clock, state.mint), |beneath| {
            (beneath.sequence, state.clock.max(beneath.at), state.mint.max(beneath.mark))
        });
        let at = now.max(clock);
        Self {
            effects: Effects { sequence: head + 1, at, mark, ..Effects::default() },
            body: codec::Body::default(),
            decided: Vec::new(),
            beneath,
            mint: Mint::new(mark, at, seed),
        }
    }

    /// Whether it has all that a group may have.
    pub(super) fn is_full(&self, settings: &LedgerSettings) -> bool {
        self.decided.len() >= settings.group_commands || self.body.len() >= settings.group_bytes
    }

    /// Decides one more command, if it can be decided here and now.
    pub(super) fn admit(
        &mut self,
        state: &State,
        job: Box<Job>,
        now: Timestamp,
    ) -> Result<(), (Box<Job>, NotNow)> {
        match self.refuses(state, &job, now) {
            None => {
                let verdict = self.decide(state, &job);
                self.decided.push((job, verdict));
                Ok(())
            }
            Some(why) => Err((job, why)),
        }
    }

    fn refuses(&self, state: &State, job: &Job, now: Timestamp) -> Option<NotNow> {
        // The slot is another's already: its group has been applied by somebody who reads.
        if state.head >= self.effects.sequence {
            return Some(NotNow::Later);
        }
        if !Book::is_prepared(state, job) {
            return Some(NotNow::Unprepared);
        }
        if self.lacks_part(state, &job.needs) {
            return Some(NotNow::Later);
        }
        (self.effects.at < now && !self.is_steady(state, job, now)).then_some(NotNow::Later)
    }

    /// Whether a lot, a hold or refund progress was loaded into the state after its wallet had been copied into here.
    fn lacks_part(&self, state: &State, needs: &Needs) -> bool {
        let lacks = |id: WalletId, has: &dyn Fn(&Wallet) -> bool| {
            self.wallet(id).is_some_and(|copy| !has(copy))
                && state.wallet(id).is_some_and(|wallet| has(wallet))
        };
        needs.lots.iter().any(|(id, lot)| lacks(*id, &|wallet| wallet.lot(*lot).is_some()))
            || needs.holds.iter().any(|(id, hold)| lacks(*id, &|wallet| wallet.holds.contains_key(hold)))
            || needs.refunds.iter().any(|(id, of)| lacks(*id, &|wallet| wallet.refunds.contains_key(of)))
    }

    /// Whether it makes no difference to a command that the group was begun some milliseconds ago.
    fn is_steady(&self, state: &State, job: &Job, now: Timestamp) -> bool {
        let began = self.effects.at;
        now.millis() - began.millis() <= OPEN_MILLIS
            && job.needs.wallets.iter().all(|id| {
                let wallet = self.wallet(*id).or_else(|| state.wallet(*id));
                wallet.is_none_or(|wallet| !turns(wallet, began, now))
            })
    }

    /// A wallet as this group or the one before it leaves it.
    fn wallet(&self, id: WalletId) -> Option<&Arc<Wallet>> {
        let beneath = || self.beneath.as_ref().and_then(|beneath| beneath.wallets.get(&id));
        self.effects.wallets.get(&id).or_else(beneath)
    }

    fn decide(&mut self, state: &State, job: &Job) -> Verdict {
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
            && let Err(problem) = self.post_due(state, job)
        {
            return Verdict::Refused(problem);
        }
        let decided = self.on_desk(state, job, ask.actor, |desk| {
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
                match self.keep(decided) {
                    Ok((record, place)) => Verdict::Recorded(record, place),
                    Err(problem) => Verdict::Refused(problem),
                }
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
    fn post_due(&mut self, state: &State, job: &Job) -> Result<(), Problem> {
        for id in &job.needs.wallets {
            let wallet = self.wallet(*id).or_else(|| state.wallet(*id));
            if wallet.is_some_and(|wallet| has_due(wallet, self.effects.at)) {
                let decided = self.on_desk(state, job, Actor::System, |desk| Sweep(*id).decide(desk))?;
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
        &mut self,
        state: &State,
        job: &Job,
        actor: Actor,
        decide: impl FnOnce(&mut Desk<'_>) -> Result<Answer, Problem>,
    ) -> Result<Decided, Problem> {
        let (at, sequence) = (self.effects.at, self.effects.sequence);
        let mut mint = self.mint.clone();
        let mut next = || mint.next();
        let view = View { state, draft: self, job };
        let mut desk = Desk::new(&view, &mut next, at, sequence, actor);
        let answer = decide(&mut desk);
        let decided = answer.map(|answer| desk.finish(answer));
        // Ids are used up also by what is refused: none is ever given twice.
        self.mint = mint;
        let decided = decided?;
        if let Err(broken) = check_posted(&decided.record, &decided.wallets, at) {
            metrics::counter!("credit_ledger_broken_invariants_total").increment(1);
            tracing::error!(%broken, request_id = job.ask.request_id, "a decision broke an invariant and was thrown away");
            return Err(Problem::new(Code::Internal));
        }
        Ok(decided)
    }

    fn keep(&mut self, decided: Decided) -> Result<(Arc<Record>, Range<usize>), Problem> {
        let effects = &mut self.effects;
        let index = u32::try_from(effects.records.len()).unwrap_or(u32::MAX);
        let place = self.body.push(&decided.record)?;
        let record = Arc::new(decided.record);
        for claim in record.all_claims() {
            effects.claims.insert(claim, index);
        }
        for wallet in decided.wallets {
            effects.wallets.insert(wallet.id, Arc::new(wallet));
        }
        effects.records.push(record.clone());
        effects.mark = self.mint.mark();
        Ok((record, place))
    }
}

/// Whether something of a wallet falls due or becomes effective after one instant and not after another.
fn turns(wallet: &Wallet, began: Timestamp, now: Timestamp) -> bool {
    let passes = |at: Timestamp| began < at && at <= now;
    let mut lots = wallet.lots.iter();
    lots.any(|lot| passes(lot.effective_at) || lot.expires_at.is_some_and(passes))
        || wallet.holds.values().any(|hold| hold.is_active() && passes(hold.expires_at))
}

/// What a command sees.
struct View<'a> {
    state: &'a State,
    draft: &'a Draft,
    job: &'a Job,
}

impl World for View<'_> {
    fn wallet(&self, id: WalletId) -> Option<Arc<Wallet>> {
        self.draft.wallet(id).or_else(|| self.state.wallet(id)).cloned()
    }

    fn claimed(&self, claim: u128) -> Option<(Place, Arc<Record>)> {
        let beneath = || self.draft.beneath.as_ref().and_then(|beneath| beneath.claimed(claim));
        let known = || {
            let mut known = self.job.known.iter();
            known.find(|(known, ..)| *known == claim).map(|(_, place, record)| (*place, record.clone()))
        };
        let drafted = self.draft.effects.claimed(claim).or_else(beneath);
        drafted.or_else(|| self.state.claimed(claim)).or_else(known)
    }
}
