//! Commands that are handed to the process that usually writes the book, and those that others hand to this one.
//!
//! Only commands with an idempotency key are. Whatever becomes of the message, the key tells in the end what became of the
//! command: where no answer comes it is decided here as well, under the same key, and counts once.

use std::sync::{Arc, Weak};
use std::time::Duration;

use credit_api::request::IfMatch;
use credit_core::ports::peers::{Answerer, Hear, PeerError, Peers, Reply};
use credit_core::{Actor, AppId, Code, Problem};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::book::{Book, Ledger};
use super::job::{Ask, Outcome};
use super::usual::Other;
use crate::domain::{KeyMark, Unpack};

/// The other processes of a deployment, for a ledger that hands them commands.
pub struct Company {
    /// How they are reached.
    pub peers: Arc<dyn Peers>,
    /// What can be handed over: the commands of all modules.
    pub commands: Vec<Unpack>,
}

/// A command that is handed over. What it says comes after this.
#[derive(Serialize, Deserialize)]
struct Handed<'a> {
    book: AppId,
    /// Who is meant. At an address there may be somebody else by now, who works on another store.
    #[serde(with = "postcard::fixint::le")]
    to: u128,
    name: &'a str,
    actor: Actor,
    request_id: &'a str,
    /// The claim of its key and the fingerprint.
    #[serde(with = "postcard::fixint::le")]
    claim: u128,
    #[serde(with = "postcard::fixint::le")]
    fingerprint: u128,
    if_match: Option<IfMatch>,
    /// How long its caller waits for the outcome, in milliseconds.
    patience: u32,
}

/// So long is it at most with what it says, as a rule.
const HANDED: usize = 512;
/// How often whoever waits for the other process looks whether it still writes the book.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What the other process says of it: a byte for what, and then what the record tells, or the problem.
enum Said {
    /// It is decided.
    Decided(Outcome),
    /// It is refused.
    Refused(Problem),
    /// Nothing happened, and nothing will: decide it yourself.
    NotHere,
}

/// `None` is an answer that cannot be read, which is none.
type Heard = Result<Option<Said>, PeerError>;

const NOT_HERE: u8 = 0;
const RECORDED: u8 = 1;
const REPLAYED: u8 = 2;
const REFUSED: u8 = 3;

impl Said {
    /// `None` if it cannot be written. That is no answer, and the other process asks the book itself.
    fn write(&self) -> Option<Vec<u8>> {
        match self {
            Self::Decided(outcome) => {
                let kind = if outcome.replayed { REPLAYED } else { RECORDED };
                outcome.record()?.write_answered(vec![kind]).ok()
            }
            Self::Refused(problem) => postcard::to_extend(problem, vec![REFUSED]).ok(),
            Self::NotHere => Some(vec![NOT_HERE]),
        }
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let decided =
            |replayed| Some(Self::Decided(Outcome::elsewhere(postcard::from_bytes(rest).ok()?, replayed)));
        match *kind {
            NOT_HERE => Some(Self::NotHere),
            RECORDED => decided(false),
            REPLAYED => decided(true),
            REFUSED => Some(Self::Refused(postcard::from_bytes(rest).ok()?)),
            _ => None,
        }
    }
}

/// A caller of another process, which has handed over its command.
pub(crate) struct Elsewhere {
    reply: Reply,
    /// For so long it waits.
    until: Instant,
}

impl Elsewhere {
    /// What has not been begun by then never is, and the other process may decide it.
    pub(super) fn is_late(&self, now: Instant) -> bool {
        self.until <= now
    }

    pub(super) fn tell(self, outcome: Result<Outcome, Problem>) {
        let said = match outcome {
            Ok(outcome) => Said::Decided(outcome),
            // It promises that nothing moved: the other process may have better luck.
            Err(problem) if problem.code() == Code::Unavailable => Said::NotHere,
            Err(problem) => Said::Refused(problem),
        };
        if let Some(said) = said.write() {
            self.reply.give(&[&said]);
        }
    }

    /// Of a record in the journal, by the bytes that what is told of it has there.
    pub(super) fn tell_recorded(self, answered: &[u8]) {
        self.reply.give(&[&[RECORDED], answered]);
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
        let now = Instant::now();
        let until = now + self.parts.settings.deadline;
        match self.hand_over(&ask, now, until).await {
            HandedOver::Answered(answer) => answer,
            HandedOver::Not => self.submit_here(ask, until).await,
            HandedOver::Perhaps => self.submit_here(ask, until).await.map_err(unless_recorded),
        }
    }

    async fn hand_over(&self, ask: &Ask, now: Instant, until: Instant) -> HandedOver {
        let Some(company) = &self.parts.company else { return HandedOver::Not };
        self.usual.note_a_command();
        let Some(other) = self.usual.other() else { return HandedOver::Not };
        let Some(message) = self.message(ask, other.owner, until - now) else { return HandedOver::Not };
        let _asked = self.usual.asks();
        let (tell, told) = oneshot::channel();
        let hear = Hear::new(move |answer| {
            // Whoever has given up waiting does not hear it.
            let _heard = tell.send(answer.map(Said::read));
        });
        let said = match company.peers.ask(&other.at, &message, hear) {
            Ok(()) => self.said_by(&other, told, now, until).await,
            Err(error) => Some(Err(error)),
        };
        let handings = self.usual.handings();
        let (counter, handed_over) = match said {
            Some(Ok(Some(Said::NotHere))) => (&handings.not_there, HandedOver::Not),
            Some(Ok(Some(Said::Refused(problem)))) => {
                (&handings.answered, HandedOver::Answered(Err(problem)))
            }
            Some(Ok(Some(Said::Decided(outcome)))) => (&handings.answered, HandedOver::Answered(Ok(outcome))),
            Some(Err(PeerError::NotSent(_))) => (&handings.not_sent, HandedOver::Not),
            Some(Ok(None) | Err(PeerError::NoAnswer(_))) => (&handings.no_answer, HandedOver::Perhaps),
            None => {
                let unknown = Problem::new(Code::OutcomeUnknown).retry_after(1);
                (&handings.no_answer, HandedOver::Answered(Err(unknown)))
            }
        };
        counter.increment(1);
        handed_over
    }

    /// What another process says, as long as it is the one that usually writes: one that is not any more lives and does not
    /// get on, or has handed the book over itself. `None` if the deadline comes first.
    async fn said_by(
        &self,
        other: &Other,
        mut told: oneshot::Receiver<Heard>,
        now: Instant,
        until: Instant,
    ) -> Option<Heard> {
        let mut look = now;
        loop {
            look = until.min(look + LOOK_EVERY);
            match tokio::time::timeout_at(look, &mut told).await {
                Ok(heard) => {
                    let nobody = |_| Err(PeerError::NoAnswer("nobody brings it".to_owned()));
                    return Some(heard.unwrap_or_else(nobody));
                }
                Err(_) if look == until => return None,
                Err(_) if self.usual.is_left_by(other.owner) => {
                    return Some(Err(PeerError::NoAnswer("it has left".to_owned())));
                }
                Err(_) => {}
            }
        }
    }

    /// A command as another process gets it. `None` if it has to be decided here.
    fn message(&self, ask: &Ask, to: u128, deadline: Duration) -> Option<Vec<u8>> {
        let key = ask.key.filter(|_| !ask.dry_run)?;
        let command = ask.command.portable()?;
        // What never happens is to be known here before the caller has gone.
        let patience = deadline * 9 / 10;
        let handed = Handed {
            book: self.id,
            to,
            name: command.name(),
            actor: ask.actor,
            request_id: &ask.request_id,
            claim: key.claim,
            fingerprint: key.fingerprint,
            if_match: ask.if_match.clone(),
            patience: u32::try_from(patience.as_millis()).unwrap_or(u32::MAX),
        };
        command.pack(postcard::to_extend(&handed, Vec::with_capacity(HANDED)).ok()?)
    }
}

/// What is refused here may yet be done there, unless the refusal is kept under the key.
fn unless_recorded(problem: Problem) -> Problem {
    let is_recorded = problem.code().is_outcome() || problem.code() == Code::IdempotencyKeyReused;
    if is_recorded { problem } else { Problem::new(Code::OutcomeUnknown).retry_after(1) }
}

/// Takes what other processes hand over.
pub(super) struct Answers {
    pub(super) ledger: Weak<Ledger>,
}

impl Answerer for Answers {
    fn take(&self, message: &[u8], reply: Reply) {
        let told = match self.ledger.upgrade() {
            Some(ledger) => ledger.take_from_another(message, reply),
            None => Err(reply),
        };
        if let Err(reply) = told {
            reply.give(&[&[NOT_HERE]]);
        }
    }
}

impl Ledger {
    /// Has a command of another process decided. Gives the reply back if that is not for this one to do.
    fn take_from_another(&self, message: &[u8], reply: Reply) -> Result<(), Reply> {
        let Some((app, to, patience, ask)) = self.unpack(message) else { return Err(reply) };
        // A book that is not open has told nobody that it is written here.
        let is_meant = |book: &Arc<Book>| book.usual.is_me(to) && book.fault().is_none();
        let Some(book) = self.open_book(app).filter(is_meant) else { return Err(reply) };
        book.usual.note_a_command();
        let until = Instant::now() + patience.min(self.settings().deadline);
        book.submit_for(ask, Elsewhere { reply, until });
        Ok(())
    }

    fn unpack(&self, message: &[u8]) -> Option<(AppId, u128, Duration, Ask)> {
        let (handed, command): (Handed<'_>, _) = postcard::take_from_bytes(message).ok()?;
        let company = self.company()?;
        let ask = Ask {
            command: Unpack::any(&company.commands, handed.name, command)?,
            actor: handed.actor,
            request_id: handed.request_id.to_owned(),
            key: Some(KeyMark { claim: handed.claim, fingerprint: handed.fingerprint }),
            if_match: handed.if_match,
            dry_run: false,
        };
        Some((handed.book, handed.to, Duration::from_millis(handed.patience.into()), ask))
    }
}
