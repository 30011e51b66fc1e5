//! Commands that are handed to the process that usually writes the book, and those that others hand to this one.
//!
//! Only commands with an idempotency key are. Whatever becomes of the message, the key tells in the end what became of the
//! command: where no answer comes it is decided here as well, under the same key, and counts once.

use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use credit_api::request::IfMatch;
use credit_core::ports::peers::{Answerer, PeerError, Peers};
use credit_core::{Actor, AppId, Code, Problem};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::book::{Book, Ledger};
use super::job::{Ask, Outcome};
use crate::domain::{KeyMark, Record, Unpack};

/// The other processes of a deployment, for a ledger that hands them commands.
pub struct Company {
    /// How they are reached.
    pub peers: Arc<dyn Peers>,
    /// What can be handed over: the commands of all modules.
    pub commands: Vec<Unpack>,
}

/// A command that is handed over.
#[derive(Serialize, Deserialize)]
struct Handed {
    book: AppId,
    /// Who is meant. At an address there may be somebody else by now, who works on another store.
    to: u128,
    name: String,
    command: Vec<u8>,
    actor: Actor,
    request_id: String,
    key: KeyMark,
    if_match: Option<IfMatch>,
    /// How long its caller waits for the outcome, in milliseconds.
    patience: u32,
}

/// What the other process says of it.
enum Said {
    /// It is decided.
    Decided(Outcome),
    /// It is refused.
    Refused(Problem),
    /// Nothing happened, and nothing will: decide it yourself.
    NotHere,
}

impl Said {
    fn write(&self) -> Option<Vec<u8>> {
        let said: Result<Option<(&Record, bool)>, &Problem> = match self {
            Self::Decided(outcome) => Ok(Some((&*outcome.record, outcome.replayed))),
            Self::Refused(problem) => Err(problem),
            Self::NotHere => Ok(None),
        };
        postcard::to_stdvec(&said).ok()
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let said: Result<Option<(Record, bool)>, Problem> = postcard::from_bytes(bytes).ok()?;
        Some(match said {
            Ok(Some((record, replayed))) => Self::Decided(Outcome { record: Arc::new(record), replayed }),
            Ok(None) => Self::NotHere,
            Err(problem) => Self::Refused(problem),
        })
    }
}

/// What became of handing a command over.
enum HandedOver {
    /// The other process answered.
    Answered(Result<Outcome, Problem>),
    /// It has not got it.
    Not,
    /// It may have got it, and may yet decide it.
    Perhaps,
}

impl Book {
    /// Decides a command, durably, here or where the book is usually written. Waits for the outcome until the deadline: a
    /// command that no lane has begun by then never happens (`503 unavailable`); of one that may have been begun, the
    /// outcome is unknown (`503 outcome_unknown`).
    pub async fn submit(&self, ask: Ask) -> Result<Outcome, Problem> {
        self.refuse_if_broken()?;
        let until = Instant::now() + self.parts.settings.deadline;
        match self.hand_over(&ask, until).await {
            HandedOver::Answered(answer) => answer,
            HandedOver::Not => self.submit_here(ask, until).await,
            HandedOver::Perhaps => self.submit_here(ask, until).await.map_err(unless_recorded),
        }
    }

    async fn hand_over(&self, ask: &Ask, until: Instant) -> HandedOver {
        let Some(company) = &self.parts.company else { return HandedOver::Not };
        self.usual.note_a_command();
        let Some(other) = self.usual.other() else { return HandedOver::Not };
        let Some(message) = self.message(ask, other.owner, until) else { return HandedOver::Not };
        let _asked = self.usual.asks();
        let asked = async {
            tokio::select! {
                biased;
                said = company.peers.ask(&other.at, message) => said,
                // It lives and does not get on, or it has handed the book over itself.
                () = self.usual.is_left_by(other.owner) => Err(PeerError::NoAnswer("it has left".to_owned())),
            }
        };
        let (outcome, handed_over) = match tokio::time::timeout_at(until, asked).await {
            Ok(Ok(said)) => match Said::read(&said) {
                Some(Said::NotHere) => ("not_there", HandedOver::Not),
                Some(Said::Refused(problem)) => ("answered", HandedOver::Answered(Err(problem))),
                Some(Said::Decided(outcome)) => ("answered", HandedOver::Answered(Ok(outcome))),
                None => ("no_answer", HandedOver::Perhaps),
            },
            Ok(Err(PeerError::NotSent(_))) => ("not_sent", HandedOver::Not),
            Ok(Err(PeerError::NoAnswer(_))) => ("no_answer", HandedOver::Perhaps),
            Err(_) => {
                let unknown = Problem::new(Code::OutcomeUnknown).retry_after(1);
                ("no_answer", HandedOver::Answered(Err(unknown)))
            }
        };
        metrics::counter!("credit_ledger_handed_over_total", "outcome" => outcome).increment(1);
        handed_over
    }

    /// A command as another process gets it. `None` if it has to be decided here.
    fn message(&self, ask: &Ask, to: u128, until: Instant) -> Option<Bytes> {
        let key = ask.key.filter(|_| !ask.dry_run)?;
        let packed = ask.command.packed()?;
        // What never happens is to be known here before the caller has gone.
        let patience = until.saturating_duration_since(Instant::now()) * 9 / 10;
        let handed = Handed {
            book: self.id,
            to,
            name: packed.name.to_owned(),
            command: packed.bytes,
            actor: ask.actor,
            request_id: ask.request_id.clone(),
            key,
            if_match: ask.if_match.clone(),
            patience: u32::try_from(patience.as_millis()).unwrap_or(u32::MAX),
        };
        postcard::to_stdvec(&handed).ok().map(Bytes::from)
    }
}

/// What is refused here may yet be done there, unless the refusal is kept under the key.
fn unless_recorded(problem: Problem) -> Problem {
    let is_recorded = problem.code().is_outcome() || problem.code() == Code::IdempotencyKeyReused;
    if is_recorded { problem } else { Problem::new(Code::OutcomeUnknown).retry_after(1) }
}

/// Decides what other processes hand over.
pub(super) struct Answers {
    pub(super) ledger: Weak<Ledger>,
}

#[async_trait]
impl Answerer for Answers {
    async fn answer(&self, message: Bytes) -> Bytes {
        let said = match self.ledger.upgrade() {
            Some(ledger) => ledger.decide_for_another(&message).await,
            None => Said::NotHere,
        };
        // What cannot be written is no answer, and the other process asks the book itself.
        said.write().map(Bytes::from).unwrap_or_default()
    }
}

impl Ledger {
    async fn decide_for_another(&self, message: &[u8]) -> Said {
        let Some((app, to, patience, ask)) = self.unpack(message) else { return Said::NotHere };
        // A book that is not open has told nobody that it is written here.
        let is_meant = |book: &Arc<Book>| book.usual.is_me(to) && book.fault().is_none();
        let Some(book) = self.open_book(app).filter(is_meant) else { return Said::NotHere };
        book.usual.note_a_command();
        let until = Instant::now() + patience.min(self.settings().deadline);
        match book.submit_here(ask, until).await {
            Ok(outcome) => Said::Decided(outcome),
            // It promises that nothing moved: the other process may have better luck.
            Err(problem) if problem.code() == Code::Unavailable => Said::NotHere,
            Err(problem) => Said::Refused(problem),
        }
    }

    fn unpack(&self, message: &[u8]) -> Option<(AppId, u128, Duration, Ask)> {
        let handed: Handed = postcard::from_bytes(message).ok()?;
        let company = self.company()?;
        let ask = Ask {
            command: Unpack::any(&company.commands, &handed.name, &handed.command)?,
            actor: handed.actor,
            request_id: handed.request_id,
            key: Some(handed.key),
            if_match: handed.if_match,
            dry_run: false,
        };
        Some((handed.book, handed.to, Duration::from_millis(handed.patience.into()), ask))
    }
}
