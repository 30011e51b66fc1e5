//! One command on its way through the lane.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use credit_api::request::{IfMatch, Intent, KeyHolder};
use credit_core::{Actor, Problem};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::pass_on::Elsewhere;
use crate::domain::{Answer, Answered, Command, KeyMark, Needs, Place, Record, Transaction, claim};

/// A command with who asks and how.
#[derive(Clone)]
pub struct Ask {
    /// What to decide.
    pub command: Arc<dyn Command>,
    /// Who asks.
    pub actor: Actor,
    /// The id of the request, kept with refusals.
    pub request_id: String,
    /// The idempotency key, for calls that have one.
    pub key: Option<KeyMark>,
    /// The versions that the caller wants to change.
    pub if_match: Option<IfMatch>,
    /// Decide and tell; store nothing.
    pub dry_run: bool,
}

impl Ask {
    /// A command without key or guard.
    pub fn new(command: Arc<dyn Command>, actor: Actor, request_id: impl Into<String>) -> Self {
        Self { command, actor, request_id: request_id.into(), key: None, if_match: None, dry_run: false }
    }

    /// With the caller's intent.
    #[must_use]
    pub fn intending(mut self, intent: &Intent) -> Self {
        match intent {
            Intent::DryRun => self.dry_run = true,
            Intent::Once(key) => {
                let holder = match key.holder {
                    KeyHolder::User(user) => user.to_string(),
                    KeyHolder::Application => "app".to_owned(),
                };
                self.key = Some(KeyMark {
                    claim: claim("key", &[&holder, key.key.as_str()]),
                    fingerprint: key.fingerprint,
                });
            }
        }
        self
    }

    /// With the versions that the caller wants to change.
    #[must_use]
    pub fn guarded_by(mut self, if_match: Option<IfMatch>) -> Self {
        self.if_match = if_match;
        self
    }
}

/// What became of a command.
#[derive(Debug, Clone)]
pub struct Outcome {
    told: Told,
    /// Whether an earlier call with the same key got it first.
    pub replayed: bool,
}

/// What is known of it here.
#[derive(Debug, Clone)]
enum Told {
    /// All of it.
    Record(Arc<Record>),
    /// What another process said of it.
    Part(Arc<Answered>),
}

impl Outcome {
    /// Of a record of this process.
    pub(crate) fn of(record: Arc<Record>, replayed: bool) -> Self {
        Self { told: Told::Record(record), replayed }
    }

    /// Of a record of another process.
    pub(crate) fn elsewhere(answered: Answered, replayed: bool) -> Self {
        Self { told: Told::Part(Arc::new(answered)), replayed }
    }

    /// What the caller gets.
    pub fn answer(&self) -> &Answer {
        match &self.told {
            Told::Record(record) => &record.answer,
            Told::Part(part) => &part.answer,
        }
    }

    /// What was posted, in order.
    pub fn posted(&self) -> &[Transaction] {
        match &self.told {
            Told::Record(record) => &record.posted,
            Told::Part(part) => &part.posted,
        }
    }

    /// The whole record, where it was decided.
    pub fn record(&self) -> Option<&Arc<Record>> {
        match &self.told {
            Told::Record(record) => Some(record),
            Told::Part(_) => None,
        }
    }
}

const WAITING: u8 = 0;
const TAKEN: u8 = 1;
const GIVEN_UP: u8 = 2;

/// Whether the lane has begun with a command, or its caller has given up before that.
#[derive(Debug, Default)]
pub(crate) struct Ticket(AtomicU8);

impl Ticket {
    /// The lane begins. False if the caller has given up.
    pub(crate) fn take(&self) -> bool {
        let before = self.0.compare_exchange(WAITING, TAKEN, Ordering::AcqRel, Ordering::Acquire);
        before.is_ok() || before == Err(TAKEN)
    }

    /// The caller gives up. True if the lane has not begun: then nothing happens any more.
    pub(crate) fn give_up(&self) -> bool {
        self.0.compare_exchange(WAITING, GIVEN_UP, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

/// A record that is known to have claimed something before.
pub(crate) type Known = (u128, Place, Arc<Record>);

/// Who waits for the outcome of a command.
pub(crate) enum Caller {
    /// Somebody in this process.
    Here(oneshot::Sender<Result<Outcome, Problem>>),
    /// Another process, which has handed the command over.
    Elsewhere(Elsewhere),
}

impl Caller {
    /// Tells it. A caller that has gone does not matter: what is done is done.
    pub(crate) fn tell(self, outcome: Result<Outcome, Problem>) {
        match self {
            Self::Here(caller) => {
                let _gone = caller.send(outcome);
            }
            Self::Elsewhere(caller) => caller.tell(outcome),
        }
    }

    /// Tells it of a record that is now in the journal, with these bytes.
    pub(crate) fn tell_recorded(self, record: Arc<Record>, bytes: Option<&[u8]>) {
        match (self, bytes) {
            (Self::Elsewhere(caller), Some(bytes)) => caller.tell_recorded(bytes),
            (caller, _) => caller.tell(Ok(Outcome::of(record, false))),
        }
    }

    /// Whether it waits no more. One in this process gives its ticket up.
    pub(crate) fn is_late(&self, now: Instant) -> bool {
        match self {
            Self::Here(_) => false,
            Self::Elsewhere(caller) => caller.is_late(now),
        }
    }
}

/// A command in the queue.
pub(crate) struct Job {
    pub(crate) ask: Ask,
    pub(crate) needs: Needs,
    pub(crate) ticket: Arc<Ticket>,
    pub(crate) caller: Caller,
    /// Up to which group the views have been asked for claims.
    pub(crate) seen: Option<u64>,
    /// Claims found in the views.
    pub(crate) known: Vec<Known>,
    /// Wallets, lots and holds that were looked for and do not exist.
    pub(crate) absent: Vec<u128>,
    /// What the views showed before they were looked for. What has been made since is in memory until they show more.
    pub(crate) absent_at: u64,
    /// Where its caller waits, for traces.
    pub(crate) span: tracing::Span,
}

impl Job {
    /// Whether a claim is the idempotency key.
    pub(crate) fn is_key(&self, claim: u128) -> bool {
        self.ask.key.is_some_and(|key| key.claim == claim)
    }

    /// Remembers who claimed something: a record for ever. What such a record posted may have been refunded since, and
    /// the answer tells how much, so that progress is needed too.
    pub(crate) fn know(&mut self, claim: u128, place: Place, record: Arc<Record>) {
        if self.known.iter().any(|(known, ..)| *known == claim) {
            return;
        }
        if !self.is_key(claim) {
            let posted = record.posted.iter();
            self.needs.refunds.extend(posted.map(|posted| (posted.parties.first(), posted.id)));
        }
        self.known.push((claim, place, record));
    }

    /// A command that nothing has been loaded for yet.
    pub(crate) fn new(ask: Ask, caller: Caller) -> Self {
        let mut needs = ask.command.needs();
        needs.claims.extend(ask.key.map(|key| key.claim));
        Self {
            ask,
            needs,
            ticket: Arc::default(),
            caller,
            seen: None,
            known: Vec::new(),
            absent: Vec::new(),
            absent_at: 0,
            span: tracing::Span::current(),
        }
    }
}
