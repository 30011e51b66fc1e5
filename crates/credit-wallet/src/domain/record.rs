//! What the journal keeps of one command: its outcome and its effects, so that replay applies and never decides again.

use std::collections::BTreeMap;
use std::ops::Range;

use credit_core::{AssetCode, Code, Fault, GrantId, Problem, Timestamp, TransactionId, UserId, WalletId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::chain::chain_entry;
use super::hold::Hold;
use super::lot::Lot;
use super::settle::next_due;
use super::transaction::{Account, Transaction};
use super::wallet::{OpenWallet, Refunded, Wallet, WalletStatus};

/// Where a record stands: the group, and its index in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The group's sequence in the book.
    pub sequence: u64,
    /// The record's index in the group.
    pub index: u32,
}

/// The hash under which something can be claimed once in a book, for ever: an idempotency key, a payment's id, a user's
/// wallet in an asset. 128 bits of SHA-256 over the parts, each with its length.
pub fn claim(kind: &str, parts: &[&str]) -> u128 {
    let mut hasher = Sha256::new();
    for part in std::iter::once(&kind).chain(parts) {
        hasher.update(part.len().to_be_bytes());
        hasher.update(part.as_bytes());
    }
    let mut half = [0; 16];
    half.copy_from_slice(&hasher.finalize()[..16]);
    u128::from_be_bytes(half)
}

/// A hash on disk is a number; for people it is 32 hex digits, since JSON has no number of 128 bits.
mod hash_form {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(hash: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(&format_args!("{hash:032x}"))
        } else {
            serializer.serialize_u128(*hash)
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
        if deserializer.is_human_readable() {
            let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
            u128::from_str_radix(&text, 16).map_err(serde::de::Error::custom)
        } else {
            u128::deserialize(deserializer)
        }
    }
}

/// The same of several.
mod hash_forms {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(transparent)]
    struct Hash(#[serde(with = "super::hash_form")] u128);

    pub(super) fn serialize<S: Serializer>(hashes: &[u128], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(hashes.iter().map(|hash| Hash(*hash)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u128>, D::Error> {
        Ok(Vec::<Hash>::deserialize(deserializer)?.into_iter().map(|hash| hash.0).collect())
    }
}

/// The idempotency key of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyMark {
    /// The claim of the key in its book.
    #[serde(with = "hash_form")]
    pub claim: u128,
    /// What was asked with it.
    #[serde(with = "hash_form")]
    pub fingerprint: u128,
}

/// What the caller got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// Nothing to tell.
    Done,
    /// The transaction at this index of `posted`.
    Posted(u32),
    /// A hold as it was then.
    Hold(Box<Hold>),
    /// The wallet as its change says.
    Wallet(WalletId),
    /// A purchase that was made before with the same `external_id`, as it was then.
    Earlier { place: Place, refunded: i64 },
    /// A business refusal, which sticks to its key.
    Refused(StoredRefusal),
}

/// A refusal as it was first answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredRefusal {
    code: String,
    detail: String,
    members: String,
    faults: Vec<(String, String)>,
    request_id: String,
}

impl StoredRefusal {
    /// Keeps a refusal for replays.
    pub fn of(problem: &Problem, request_id: &str) -> Self {
        Self {
            code: problem.code().as_str().to_owned(),
            detail: problem.detail().to_owned(),
            members: Value::Object(problem.members().clone()).to_string(),
            faults: problem
                .faults()
                .iter()
                .map(|fault| (fault.pointer.clone(), fault.detail.clone()))
                .collect(),
            request_id: request_id.to_owned(),
        }
    }

    /// The refusal again, marked as a replay.
    pub fn replay(&self) -> Problem {
        let code = Code::parse(&self.code).unwrap_or(Code::Internal);
        let members: Map<String, Value> = serde_json::from_str(&self.members).unwrap_or_default();
        let mut problem = Problem::because(code, self.detail.clone());
        if !self.faults.is_empty() {
            let faults = self
                .faults
                .iter()
                .map(|(pointer, detail)| Fault::new(pointer.clone(), "refused", detail.clone()));
            problem = Problem::with_faults(code, faults.collect());
        }
        for (name, value) in members {
            problem = problem.with(&name, value);
        }
        problem.first_answered_to(self.request_id.clone())
    }
}

/// What may change of a wallet beside its credits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    pub status: WalletStatus,
    pub overdraft_limit: i64,
    pub low_balance_threshold: Option<i64>,
    pub metadata: BTreeMap<String, String>,
}

/// What is left of a lot after a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Level {
    pub grant: GrantId,
    pub remaining: i64,
    pub held: i64,
    pub expired: bool,
    pub voided: bool,
}

/// The figures of a wallet right after a change, for time travel and as a check on replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    pub balance: i64,
    pub held: i64,
    pub available: i64,
    /// Until when they stay so if nobody does anything: the next expiry or effective date.
    pub steady_until: Option<Timestamp>,
}

impl Figures {
    /// The figures of a wallet at an instant at which nothing of it is due.
    pub fn of(wallet: &Wallet, now: Timestamp) -> Self {
        let due = next_due(wallet);
        let effective = wallet.next_effective_at(now);
        Self {
            balance: wallet.balance(),
            held: wallet.held(),
            available: wallet.available(now),
            steady_until: due.into_iter().chain(effective).min(),
        }
    }
}

/// The effect of a command on one wallet, in absolute figures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalletChange {
    /// Which wallet.
    pub wallet: WalletId,
    /// Whose and of what, if the command opened it.
    pub opened: Option<(UserId, AssetCode)>,
    /// Its header, if that changed.
    pub header: Option<Header>,
    /// Its version afterwards.
    pub version: u64,
    /// What is overdrawn afterwards.
    pub overdrawn: i64,
    /// Lots that came in, or came back from having nothing left.
    pub lots: Vec<Lot>,
    /// Lots that changed.
    pub levels: Vec<Level>,
    /// Holds that came in or changed.
    pub holds: Vec<Hold>,
    /// Refund progress that changed.
    pub refunds: Vec<(TransactionId, Refunded)>,
    /// Its figures afterwards.
    pub figures: Figures,
}

/// One command's outcome in the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its idempotency key.
    pub key: Option<KeyMark>,
    /// What else it claims.
    #[serde(with = "hash_forms")]
    pub claims: Vec<u128>,
    /// What the caller got.
    pub answer: Answer,
    /// What was posted, in order.
    pub posted: Vec<Transaction>,
    /// What changed.
    pub changes: Vec<WalletChange>,
}

/// The part of a record that its caller is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// What the caller got.
    pub answer: Answer,
    /// What was posted, in order.
    pub posted: Vec<Transaction>,
}

/// What stands before it.
#[derive(Serialize)]
struct Claimed<'a> {
    key: Option<KeyMark>,
    #[serde(with = "hash_forms")]
    claims: &'a [u128],
}

impl Record {
    /// A refusal that sticks to its key and changes nothing.
    pub fn refused(key: KeyMark, refusal: StoredRefusal) -> Self {
        Self {
            key: Some(key),
            claims: Vec::new(),
            answer: Answer::Refused(refusal),
            posted: Vec::new(),
            changes: Vec::new(),
        }
    }

    /// Appends the record as the journal keeps it, and tells where in it stands what its caller is told: that can be read
    /// without the rest.
    pub(crate) fn write(&self, bytes: Vec<u8>) -> Result<(Vec<u8>, Range<usize>), postcard::Error> {
        let bytes = postcard::to_extend(&Claimed { key: self.key, claims: &self.claims }, bytes)?;
        let from = bytes.len();
        let bytes = self.write_answered(bytes)?;
        let answered = from..bytes.len();
        Ok((postcard::to_extend(&self.changes, bytes)?, answered))
    }

    /// Appends what its caller is told.
    pub(crate) fn write_answered(&self, bytes: Vec<u8>) -> Result<Vec<u8>, postcard::Error> {
        postcard::to_extend(&self.posted, postcard::to_extend(&self.answer, bytes)?)
    }

    /// All that the record claims.
    pub fn all_claims(&self) -> impl Iterator<Item = u128> {
        self.key.iter().map(|key| key.claim).chain(self.claims.iter().copied())
    }

    /// The change of one wallet.
    pub fn change_of(&self, wallet: WalletId) -> Option<&WalletChange> {
        self.changes.iter().find(|change| change.wallet == wallet)
    }
}

impl Wallet {
    /// A wallet from the change that opened it.
    pub fn from_opening(change: &WalletChange, at: Timestamp) -> Option<Self> {
        let (user, asset) = change.opened?;
        Some(Self::new(OpenWallet { id: change.wallet, user, asset, metadata: BTreeMap::new() }, at))
    }

    /// Applies the effect of a record, as replay does. `sequence` is the record's group and `at` its time.
    pub fn apply(&mut self, record: &Record, change: &WalletChange, sequence: u64, at: Timestamp) {
        self.version = change.version;
        self.overdrawn = change.overdrawn;
        self.updated_at = at;
        self.changed_in = sequence;
        if let Some(header) = &change.header {
            self.status = header.status;
            self.overdraft_limit = header.overdraft_limit;
            self.low_balance_threshold = header.low_balance_threshold;
            self.metadata = header.metadata.clone().into();
        }
        for lot in &change.lots {
            self.put_lot(lot.clone());
        }
        for level in &change.levels {
            let Some(mut lot) = self.lot(level.grant).cloned() else { continue };
            lot.remaining = level.remaining;
            lot.held = level.held;
            lot.expired = level.expired;
            lot.voided = level.voided;
            lot.changed_in = sequence;
            self.put_lot(lot);
        }
        for hold in &change.holds {
            self.holds.insert(hold.id, hold.clone());
        }
        for (transaction, refunded) in &change.refunds {
            self.refunds.insert(*transaction, refunded.clone());
        }
        for transaction in &record.posted {
            for entry in &transaction.entries {
                if entry.account == Account::Wallet(self.id) {
                    self.entries += 1;
                    self.chain = chain_entry(self.chain, transaction.id, transaction.created_at, entry);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use credit_core::{Actor, EntryId};

    use super::super::lot::Category;
    use super::super::transaction::{Direction, Entry, Kind, Note, Parties, Taken};
    use super::*;

    fn spent() -> Record {
        let wallet = WalletId::from_u128(7);
        let at = Timestamp::from_millis(1_700_000_000_000);
        let entry = |id, account, direction| Entry {
            id: EntryId::from_u128(id),
            account,
            direction,
            amount: 30,
            balance_after: Some(70),
            sequence: Some(2),
        };
        let transaction = Transaction {
            id: TransactionId::from_u128(1 << 100),
            kind: Kind::Spend,
            amount: 30,
            asset: AssetCode::CREDIT,
            parties: Parties::One(wallet),
            wallet_version: 3,
            refund_of: None,
            hold: None,
            note: Note { reference: Some("r".to_owned()), ..Note::default() },
            taken: vec![Taken {
                grant: GrantId::from_u128(9),
                amount: 30,
                expires_at: Some(at),
                category: Category::Paid,
            }],
            credited: Vec::new(),
            overdrawn: 0,
            created_by: Actor::System,
            created_at: at,
            entries: vec![
                entry(11, Account::Wallet(wallet), Direction::Debit),
                entry(12, Account::Revenue, Direction::Credit),
            ],
        };
        let figures = Figures { balance: 70, held: 0, available: 70, steady_until: Some(at) };
        let change = WalletChange {
            wallet,
            opened: None,
            header: None,
            version: 3,
            overdrawn: 0,
            lots: Vec::new(),
            levels: vec![Level {
                grant: GrantId::from_u128(9),
                remaining: 70,
                held: 0,
                expired: false,
                voided: false,
            }],
            holds: Vec::new(),
            refunds: Vec::new(),
            figures,
        };
        Record {
            key: Some(KeyMark { claim: u128::MAX, fingerprint: 1 }),
            claims: vec![0, 1 << 127],
            answer: Answer::Posted(0),
            posted: vec![transaction],
            changes: vec![change],
        }
    }

    #[test]
    fn what_the_caller_is_told_is_read_without_the_rest_of_the_record() {
        let refused = Record::refused(
            KeyMark { claim: 1, fingerprint: 2 },
            StoredRefusal::of(&Problem::new(Code::NotFound), "r"),
        );
        for record in [spent(), refused] {
            let (bytes, told) = record.write(vec![1, 2, 3]).expect("it can be written");
            assert_eq!(bytes[3..], postcard::to_stdvec(&record).expect("it can be written"));
            let answered: Answered = postcard::from_bytes(&bytes[told]).expect("it is there");
            assert_eq!(answered, Answered { answer: record.answer, posted: record.posted });
        }
    }
}
