//! The views: documents written behind the journal, which can be dropped and built again from it.

use bytes::{BufMut, Bytes, BytesMut};
use credit_core::ports::StoreError;
use credit_core::ports::documents::{Collection, Document, Index, Key, Write};
use credit_core::{GrantId, HoldId, Timestamp, TransactionId, WalletId, push_hex};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::filter::Filter;
use super::state::{TailGroup, TotalsByAsset};
use crate::domain::{ChainHash, Hold, Kind, Lot, Place, Record, Refunded, Wallet, claim, next_due};

/// How far the views of a book are.
pub static BOOKS: Collection = Collection { name: "ledger_books", indexes: &[] };
/// Wallets with their live lots and active holds.
pub static WALLETS: Collection = Collection {
    name: "ledger_wallets",
    indexes: &[Index { name: "by_user", unique: false }, Index { name: "by_due", unique: false }],
};
/// Every lot.
pub static GRANTS: Collection =
    Collection { name: "ledger_grants", indexes: &[Index { name: "by_wallet", unique: false }] };
/// Every hold.
pub static HOLDS: Collection =
    Collection { name: "ledger_holds", indexes: &[Index { name: "by_wallet", unique: false }] };
/// Groups, by time and by their first transaction.
pub static GROUPS: Collection =
    Collection { name: "ledger_groups", indexes: &[Index { name: "by_first", unique: false }] };
/// Which records changed a wallet, by time.
pub static HISTORY: Collection = Collection { name: "ledger_history", indexes: &[] };
/// Which records bear a reference, by time.
pub static REFERENCES: Collection = Collection { name: "ledger_references", indexes: &[] };
/// What was claimed, for ever.
pub static CLAIMS: Collection = Collection { name: "ledger_claims", indexes: &[] };
/// Filters over complete generations of claims.
pub static FILTERS: Collection = Collection { name: "ledger_filters", indexes: &[] };
/// Refund progress.
pub static REFUNDS: Collection = Collection { name: "ledger_refunds", indexes: &[] };

/// All of them, for rebuilding.
pub static ALL: [&Collection; 10] =
    [&BOOKS, &WALLETS, &GRANTS, &HOLDS, &GROUPS, &HISTORY, &REFERENCES, &CLAIMS, &FILTERS, &REFUNDS];

/// The id of the only document in [`BOOKS`] of an application.
pub const BOOK: &str = "book";

/// The id of another one: who writes the views, where several processes could.
pub const PROJECTOR: &str = "projector";

/// The same for who usually writes the book itself, where the processes hand each other commands.
pub const WRITER: &str = "writer";

/// A sign that somebody is at it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// Who; 0 if nobody has anything to write.
    pub owner: u128,
    /// Grows with every beat.
    pub count: u64,
    /// Where the others reach it, if they may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

/// How far the views of a book are, and what a restart needs to go on from there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BookView {
    /// The last group shown.
    pub sequence: u64,
    /// Its hash.
    pub hash: ChainHash,
    /// The book's clock.
    pub clock: Timestamp,
    /// Where its ids stand.
    pub mint: u64,
    /// How many claims were made so far.
    pub claims_made: u64,
    /// Sums over all entries so far.
    pub totals: TotalsByAsset,
}

/// What is kept of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupView {
    /// Its sequence.
    pub sequence: u64,
    /// Which kinds of transactions it has, a bit each.
    pub kinds: u16,
}

/// What is kept of a record in the history of a wallet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryView {
    /// Which kinds of transactions it posted on the wallet, a bit each.
    pub k: u16,
}

/// The bit of a kind.
pub fn kind_bit(kind: Kind) -> u16 {
    1 << Kind::NAMES.iter().position(|(other, _)| *other == kind).unwrap_or(15)
}

/// A place with its time, as text that sorts by it: 12 hex digits of time, 12 of sequence, 6 of index.
pub fn place_key(at: Timestamp, place: Place) -> String {
    let mut key = String::with_capacity(30);
    push_place_key(&mut key, at, place);
    key
}

fn push_place_key(key: &mut String, at: Timestamp, place: Place) {
    push_hex(key, at.sortable().into(), 12);
    push_hex(key, place.sequence.into(), 12);
    push_hex(key, place.index.into(), 6);
}

/// The prefix of all place keys from an instant on.
pub fn time_key(at: Timestamp) -> String {
    format!("{:012x}", at.sortable())
}

/// Reads a place key.
pub fn parse_place_key(text: &str) -> Option<(Timestamp, Place)> {
    let at = i64::from_str_radix(text.get(..12)?, 16).ok()?;
    let sequence = u64::from_str_radix(text.get(12..24)?, 16).ok()?;
    let index = u32::from_str_radix(text.get(24..30)?, 16).ok()?;
    Some((Timestamp::from_millis(at), Place { sequence, index }))
}

/// The id of a claim in a generation.
pub fn claim_id(generation: u64, claim: u128) -> String {
    let mut id = String::with_capacity(8 + 1 + 32);
    push_hex(&mut id, generation.into(), 8);
    id.push('/');
    push_hex(&mut id, claim, 32);
    id
}

/// The prefix of the claims of a generation, and the id of its filter.
pub fn generation_prefix(generation: u64) -> String {
    format!("{generation:08x}/")
}

/// Reads the id of a claim.
pub fn parse_claim_id(id: &str) -> Option<(u64, u128)> {
    let (generation, claim) = id.split_once('/')?;
    Some((u64::from_str_radix(generation, 16).ok()?, u128::from_str_radix(claim, 16).ok()?))
}

/// The prefix of the rows of a reference.
pub fn reference_prefix(reference: &str) -> String {
    format!("{:032x}/", claim("reference", &[reference]))
}

fn json<T: Serialize>(value: &T) -> Bytes {
    serde_json::to_vec(value).expect("views always have a JSON form").into()
}

/// Reads the body of a view.
pub fn read<T: DeserializeOwned>(document: &Document) -> Result<T, StoreError> {
    serde_json::from_slice(&document.body)
        .map_err(|_| StoreError::Corrupt(format!("the view {} cannot be read", document.id)))
}

fn put(
    collection: &'static Collection,
    id: String,
    sequence: u64,
    body: Bytes,
    keys: Vec<(&'static str, Key)>,
) -> Write {
    Write::Put { collection, id, sequence, body, keys }
}

/// How far the views are.
pub fn book_write(view: &BookView) -> Write {
    put(&BOOKS, BOOK.to_owned(), view.sequence, json(view), Vec::new())
}

/// That somebody has a seat.
pub(crate) fn beat_write(seat: &str, beat: &Beat) -> Write {
    put(&BOOKS, seat.to_owned(), beat.count, json(beat), Vec::new())
}

/// A filter over a complete generation of claims.
pub(crate) fn filter_write(generation: u64, filter: &Filter, sequence: u64) -> Write {
    put(&FILTERS, generation_prefix(generation), sequence, json(&filter.to_text()), Vec::new())
}

/// A wallet.
pub fn wallet_write(wallet: &Wallet, sequence: u64) -> Write {
    let mut keys = vec![("by_user", Key::text(&wallet.user.to_string()).and_text(&wallet.id.to_string()))];
    if let Some(due) = next_due(wallet) {
        keys.push(("by_due", Key::number(due.sortable())));
    }
    let mut shown = wallet.clone();
    shown.forget_shown(u64::MAX);
    put(&WALLETS, wallet.id.to_string(), sequence, json(&shown), keys)
}

/// A lot.
pub fn grant_write(wallet: WalletId, lot: &Lot, sequence: u64) -> Write {
    let keys = vec![("by_wallet", Key::text(&wallet.to_string()).and_text(&lot.id.to_string()))];
    put(&GRANTS, lot.id.to_string(), sequence, json(&GrantView { wallet, lot: lot.clone() }), keys)
}

/// A lot with its wallet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantView {
    /// The wallet.
    pub wallet: WalletId,
    /// The lot.
    pub lot: Lot,
}

/// A hold.
pub fn hold_write(hold: &Hold, sequence: u64) -> Write {
    let keys = vec![("by_wallet", Key::text(&hold.wallet.to_string()).and_text(&hold.id.to_string()))];
    put(&HOLDS, hold.id.to_string(), sequence, json(hold), keys)
}

/// Refund progress of a transaction.
pub fn refund_write(transaction: TransactionId, refunded: &Refunded, sequence: u64) -> Write {
    put(&REFUNDS, transaction.to_string(), sequence, json(refunded), Vec::new())
}

/// Bodies of many small rows, cut from one piece of memory.
#[derive(Default)]
struct Bodies(BytesMut);

impl Bodies {
    fn json<T: Serialize>(&mut self, value: &T) -> Bytes {
        serde_json::to_writer((&mut self.0).writer(), value).expect("views always have a JSON form");
        self.0.split().freeze()
    }
}

/// The rows that a group adds whatever comes after it: itself, history, references and claims.
pub(crate) fn group_writes(group: &TailGroup, claims_per_generation: u64, writes: &mut Vec<Write>) {
    let mut bodies = Bodies(BytesMut::with_capacity(group.records.len() * 32));
    let mut kinds = 0;
    let mut number = group.claims_before;
    for (index, record) in (0_u32..).zip(&group.records) {
        let place = Place { sequence: group.sequence, index };
        kinds |= record_writes(group, place, record, &mut bodies, writes);
        for claim in record.all_claims() {
            let id = claim_id(number / claims_per_generation, claim);
            let body = bodies.json(&(place.sequence, place.index));
            writes.push(put(&CLAIMS, id, group.sequence, body, Vec::new()));
            number += 1;
        }
    }
    let keys = group.first_transaction().map(|first| ("by_first", Key::text(&format!("{first:032x}"))));
    let id = place_key(group.at, Place { sequence: group.sequence, index: 0 });
    let view = GroupView { sequence: group.sequence, kinds };
    writes.push(put(&GROUPS, id, group.sequence, json(&view), keys.into_iter().collect()));
}

/// Which kinds of transactions a record posted on a wallet, a bit each.
pub(crate) fn kinds_on(record: &Record, wallet: WalletId) -> u16 {
    let posted = record.posted.iter().filter(|posted| posted.touches(wallet));
    posted.fold(0, |kinds, posted| kinds | kind_bit(posted.kind))
}

/// The id of a record in the history of a wallet.
pub(crate) fn history_id(wallet: WalletId, at: Timestamp, place: Place) -> String {
    let mut id = String::with_capacity(WalletId::PREFIX.len() + 32 + 1 + 30);
    id.push_str(WalletId::PREFIX);
    push_hex(&mut id, wallet.as_u128(), 32);
    id.push('/');
    push_place_key(&mut id, at, place);
    id
}

/// A record in the history of a wallet.
pub(crate) fn history_write(id: String, view: HistoryView, sequence: u64) -> Write {
    put(&HISTORY, id, sequence, json(&view), Vec::new())
}

fn record_writes(
    group: &TailGroup,
    place: Place,
    record: &Record,
    bodies: &mut Bodies,
    writes: &mut Vec<Write>,
) -> u16 {
    for change in &record.changes {
        let view = HistoryView { k: kinds_on(record, change.wallet) };
        let id = history_id(change.wallet, group.at, place);
        writes.push(put(&HISTORY, id, group.sequence, bodies.json(&view), Vec::new()));
    }
    for reference in record.posted.iter().filter_map(|posted| posted.note.reference.as_deref()) {
        let id = format!("{}{}", reference_prefix(reference), place_key(group.at, place));
        writes.push(put(&REFERENCES, id, group.sequence, Bytes::from_static(b"{}"), Vec::new()));
    }
    record.posted.iter().fold(0, |kinds, posted| kinds | kind_bit(posted.kind))
}

/// What of a wallet a record changed, so that its latest form is written once for a whole batch.
#[derive(Debug, Default, Clone)]
pub(crate) struct Touched {
    pub(crate) grants: std::collections::BTreeSet<GrantId>,
    pub(crate) holds: std::collections::BTreeSet<HoldId>,
    pub(crate) refunds: std::collections::BTreeSet<TransactionId>,
}

impl Touched {
    pub(crate) fn add(&mut self, change: &crate::domain::WalletChange) {
        self.grants.extend(change.lots.iter().map(|lot| lot.id));
        self.grants.extend(change.levels.iter().map(|level| level.grant));
        self.holds.extend(change.holds.iter().map(|hold| hold.id));
        self.refunds.extend(change.refunds.iter().map(|(transaction, _)| *transaction));
    }

    /// The rows of what belongs to a wallet, as it is.
    pub(crate) fn writes(&self, wallet: &Wallet, sequence: u64, writes: &mut Vec<Write>) {
        let lots = self.grants.iter().filter_map(|id| wallet.lot(*id));
        writes.extend(lots.map(|lot| grant_write(wallet.id, lot, sequence)));
        let holds = self.holds.iter().filter_map(|id| wallet.holds.get(id));
        writes.extend(holds.map(|hold| hold_write(hold, sequence)));
        let refunds =
            self.refunds.iter().filter_map(|id| wallet.refunds.get(id).map(|refunded| (*id, refunded)));
        writes.extend(refunds.map(|(id, refunded)| refund_write(id, refunded, sequence)));
    }
}
