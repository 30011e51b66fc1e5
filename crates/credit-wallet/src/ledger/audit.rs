//! Verification: plays a book from its first group and compares every view.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use credit_core::ports::StoreError;
use credit_core::ports::documents::{Collection, Document, Documents, Key, Query, Write};
use credit_core::ports::journal::{BookId, Journal};
use credit_core::{GrantId, HoldId, Timestamp, TransactionId, WalletId};

use super::codec::{self, Decoded, GroupHeader};
use super::load::load_filters;
use super::state::{TailGroup, TotalsByAsset, add_totals};
use super::views::{self, BookView, GrantView};
use crate::domain::{
    ChainHash, Figures, Hold, Lot, Refunded, Wallet, WalletChange, check_posted, check_wallet,
};

/// At most so many differences are told.
const TOLD: usize = 100;
const ROUND: usize = 500;

/// A book played from its first group.
#[derive(Default)]
pub struct Replayed {
    /// Wallets as they are at the end, with their live lots and active holds.
    pub wallets: HashMap<WalletId, Wallet>,
    /// Every lot that ever was, with its wallet.
    pub lots: HashMap<GrantId, (WalletId, Lot)>,
    /// Every hold that ever was.
    pub holds: HashMap<HoldId, Hold>,
    /// What has been refunded, of which transaction.
    pub refunds: HashMap<TransactionId, Refunded>,
    /// What was claimed, and where first.
    pub claims: BTreeMap<u128, (u64, u32)>,
    /// Sums over all entries.
    pub totals: TotalsByAsset,
    /// The last group.
    pub head: u64,
    /// Its hash.
    pub hash: ChainHash,
    /// Its time.
    pub clock: Timestamp,
    /// Where its ids stand.
    pub mint: u64,
    /// How many transactions there are.
    pub transactions: u64,
    /// How many records there are.
    pub records: u64,
    /// What does not hold.
    pub differences: Vec<String>,
}

impl Replayed {
    /// Plays a book up to `until` and checks it on the way: the chain of groups, what each record says of its wallets,
    /// that entries sum to zero and that nothing is claimed twice.
    pub async fn play(journal: &Arc<dyn Journal>, book: BookId, until: u64) -> Result<Self, StoreError> {
        let mut replayed = Self::default();
        while replayed.head < until {
            let groups = journal.read(book, replayed.head + 1, 64).await?;
            if groups.is_empty() {
                replayed
                    .differ(format!("the journal ends at group {} and should reach {until}", replayed.head));
                break;
            }
            for (sequence, group) in groups.into_iter().filter(|(sequence, _)| *sequence <= until) {
                // What follows a break in the chain proves nothing, so the play ends there.
                let tail = match read_group(sequence, &group.bytes) {
                    Ok((previous, tail)) if sequence == replayed.head + 1 && previous == replayed.hash => {
                        tail
                    }
                    Ok(_) => {
                        replayed.differ(format!("group {sequence} does not follow group {}", replayed.head));
                        return Ok(replayed);
                    }
                    Err(error) => {
                        replayed.differ(format!("group {sequence}: {error}"));
                        return Ok(replayed);
                    }
                };
                replayed.apply(&tail);
            }
        }
        Ok(replayed)
    }

    fn apply(&mut self, group: &TailGroup) {
        if group.claims_before != self.claims_made() {
            self.differ(format!("group {} does not count the claims before it", group.sequence));
        }
        if group.at < self.clock {
            self.differ(format!("group {} is older than the one before", group.sequence));
        }
        for (index, record) in (0_u32..).zip(&group.records) {
            let mut touched = Vec::new();
            for change in &record.changes {
                if let Some(opened) = Wallet::from_opening(change, group.at) {
                    self.wallets.entry(change.wallet).or_insert(opened);
                }
                let Some(wallet) = self.wallets.get_mut(&change.wallet) else {
                    self.differ(format!("{} moved before it was opened", change.wallet));
                    continue;
                };
                wallet.apply(record, change, group.sequence, group.at);
                archive(&mut self.lots, &mut self.holds, &mut self.refunds, wallet, change);
                if Figures::of(wallet, group.at) == change.figures {
                    touched.push(wallet.clone());
                } else {
                    let id = wallet.id;
                    self.differ(format!(
                        "group {}: the figures of {id} are not what its lots say",
                        group.sequence
                    ));
                }
            }
            if let Err(broken) = check_posted(record, &touched, group.at) {
                self.differ(format!("group {}: {broken}", group.sequence));
            }
            for change in &record.changes {
                if let Some(wallet) = self.wallets.get_mut(&change.wallet) {
                    wallet.forget_shown(u64::MAX);
                }
            }
            for claim in record.all_claims() {
                if self.claims.insert(claim, (group.sequence, index)).is_some() {
                    self.differ(format!("group {}: something is claimed twice", group.sequence));
                }
            }
            add_totals(&mut self.totals, record);
            self.transactions += u64::try_from(record.posted.len()).unwrap_or(u64::MAX);
            self.records += 1;
        }
        self.head = group.sequence;
        self.hash = group.hash;
        self.clock = group.at;
        self.mint = group.mint;
    }

    /// How many claims were made.
    pub fn claims_made(&self) -> u64 {
        u64::try_from(self.claims.len()).unwrap_or(u64::MAX)
    }

    fn differ(&mut self, what: String) {
        if self.differences.len() < TOLD {
            self.differences.push(what);
        }
    }
}

/// Reads a group: the hash that it says is before it, and what is in it.
pub(crate) fn read_group(sequence: u64, bytes: &Bytes) -> Result<(ChainHash, TailGroup), StoreError> {
    let decoded = Decoded::parse(bytes)?;
    let GroupHeader { previous, at, mint, claims_before, .. } = decoded.header;
    let records = decoded.records()?;
    Ok((previous, TailGroup { sequence, at, hash: codec::hash(bytes), mint, claims_before, records }))
}

/// Puts what a change touched aside, so that the wallet can forget it: the replay of a long history stays quick.
fn archive(
    lots: &mut HashMap<GrantId, (WalletId, Lot)>,
    holds: &mut HashMap<HoldId, Hold>,
    refunds: &mut HashMap<TransactionId, Refunded>,
    wallet: &Wallet,
    change: &WalletChange,
) {
    let whole = change.lots.iter().map(|lot| lot.id);
    let levels = change.levels.iter().map(|level| level.grant);
    for lot in whole.chain(levels).filter_map(|id| wallet.lot(id)) {
        lots.insert(lot.id, (wallet.id, lot.clone()));
    }
    holds.extend(change.holds.iter().map(|hold| (hold.id, hold.clone())));
    refunds.extend(change.refunds.iter().cloned());
}

/// Plays a book up to where its views are and compares them. Call it when the views have caught up. Rows that move on
/// meanwhile are another verification's business.
pub async fn verify_book(
    journal: &Arc<dyn Journal>,
    documents: &Arc<dyn Documents>,
    book: BookId,
) -> Result<Replayed, StoreError> {
    let view: Option<BookView> = documents
        .get(book, &views::BOOKS, views::BOOK)
        .await?
        .map(|document| views::read(&document))
        .transpose()?;
    let head = journal.head(book).await?;
    let until = view.as_ref().map_or(head, |view| view.sequence);
    let mut replayed = Replayed::play(journal, book, until).await?;
    if view.is_none() && head > 0 {
        if is_bare(documents, book).await? {
            // Of a new book nothing is shown yet; dropped views are made again when it is opened.
            return Ok(replayed);
        }
        replayed.differ("the watermark of the views is missing".to_owned());
    }
    if replayed.head < until {
        return Ok(replayed); // the journal itself is broken, so there is nothing to compare the views with
    }
    if let Some(view) = view
        && (view.hash != replayed.hash || view.totals != replayed.totals)
    {
        replayed.differ("the watermark does not agree with the journal".to_owned());
    }
    compare_wallets(documents, book, until, &mut replayed).await?;
    compare_parts(documents, book, until, &mut replayed).await?;
    compare_claims(documents, book, until, &mut replayed).await?;
    compare_rows(journal, documents, book, &mut replayed).await?;
    Ok(replayed)
}

/// Whether the views of a book have no row at all.
async fn is_bare(documents: &Arc<dyn Documents>, book: BookId) -> Result<bool, StoreError> {
    // Beside the watermark is who works on the book, which is there before anything is shown.
    for collection in views::ALL.into_iter().filter(|collection| **collection != views::BOOKS) {
        let first = Query::new(collection, None, Key::empty(), 1);
        if !documents.query(book, first).await?.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn compare_wallets(
    documents: &Arc<dyn Documents>,
    book: BookId,
    until: u64,
    replayed: &mut Replayed,
) -> Result<(), StoreError> {
    let mut seen = 0;
    let rows = all(documents, book, &views::WALLETS).await?;
    for document in rows {
        let shown: Wallet = views::read(&document)?;
        if let Err(broken) = check_wallet(&shown) {
            replayed.differ(format!("the view of {}: {broken}", shown.id));
        }
        if document.version > until {
            seen += usize::from(replayed.wallets.contains_key(&shown.id));
            continue;
        }
        seen += 1;
        if replayed.wallets.get(&shown.id) != Some(&shown) {
            replayed.differ(format!("the view of {} is not what the journal says", shown.id));
        }
    }
    if seen != replayed.wallets.len() {
        replayed.differ(format!("{seen} wallets in the views, {} in the journal", replayed.wallets.len()));
    }
    Ok(())
}

async fn compare_parts(
    documents: &Arc<dyn Documents>,
    book: BookId,
    until: u64,
    replayed: &mut Replayed,
) -> Result<(), StoreError> {
    let mut lots = 0;
    for document in all(documents, book, &views::GRANTS).await? {
        let view: GrantView = views::read(&document)?;
        let expected = replayed.lots.get(&view.lot.id);
        if document.version > until {
            lots += usize::from(expected.is_some());
            continue;
        }
        lots += 1;
        if expected != Some(&(view.wallet, view.lot)) {
            replayed.differ(format!("the view of {} is not what the journal says", document.id));
        }
    }
    let mut holds = 0;
    for document in all(documents, book, &views::HOLDS).await? {
        let hold: Hold = views::read(&document)?;
        let expected = replayed.holds.get(&hold.id);
        if document.version > until {
            holds += usize::from(expected.is_some());
            continue;
        }
        holds += 1;
        if expected != Some(&hold) {
            replayed.differ(format!("the view of {} is not what the journal says", document.id));
        }
    }
    let mut refunds: HashMap<String, Refunded> =
        replayed.refunds.iter().map(|(id, refunded)| (id.to_string(), refunded.clone())).collect();
    for document in all(documents, book, &views::REFUNDS).await? {
        let shown: Refunded = views::read(&document)?;
        let expected = refunds.remove(&document.id);
        if document.version <= until && expected != Some(shown) {
            replayed.differ(format!("the refunds of {} are not what the journal says", document.id));
        }
    }
    let (expected_lots, expected_holds) = (replayed.lots.len(), replayed.holds.len());
    if (lots, holds, 0) != (expected_lots, expected_holds, refunds.len()) {
        replayed.differ(format!(
            "{lots} lots and {holds} holds in the views, {expected_lots} and {expected_holds} in the journal; {} refunds missing",
            refunds.len()
        ));
    }
    Ok(())
}

async fn compare_claims(
    documents: &Arc<dyn Documents>,
    book: BookId,
    until: u64,
    replayed: &mut Replayed,
) -> Result<(), StoreError> {
    let filters = load_filters(documents, book).await?;
    let mut missing = replayed.claims.clone();
    for document in all(documents, book, &views::CLAIMS).await? {
        let shown: (u64, u32) = views::read(&document)?;
        let (generation, claim) = views::parse_claim_id(&document.id).unwrap_or_default();
        if filters.get(&generation).is_some_and(|filter| !filter.may_hold(claim)) {
            replayed.differ(format!(
                "the filter over generation {generation} does not know the claim {}",
                document.id
            ));
        }
        let expected = missing.remove(&claim);
        if document.version <= until && expected != Some(shown) {
            replayed.differ(format!("the claim {} is not where the journal says", document.id));
        }
    }
    if !missing.is_empty() {
        replayed.differ(format!("{} claims are missing from the views", missing.len()));
    }
    Ok(())
}

/// The rows that each group adds whatever comes after it.
static BY_GROUP: [&Collection; 3] = [&views::GROUPS, &views::HISTORY, &views::REFERENCES];

/// Compares the rows by group, and counts them.
async fn compare_rows(
    journal: &Arc<dyn Journal>,
    documents: &Arc<dyn Documents>,
    book: BookId,
    replayed: &mut Replayed,
) -> Result<(), StoreError> {
    let mut wanted: BTreeMap<&str, usize> = BTreeMap::new();
    let mut next = 1;
    while next <= replayed.head {
        for (sequence, group) in journal.read(book, next, 64).await? {
            next = sequence + 1;
            if sequence > replayed.head {
                break;
            }
            let mut writes = Vec::new();
            // Of a claim the generation is not compared here: `compare_claims` looks at all of them.
            views::group_writes(&read_group(sequence, &group.bytes)?.1, u64::MAX, &mut writes);
            for collection in BY_GROUP {
                let rows: BTreeMap<&String, &Bytes> = writes
                    .iter()
                    .filter_map(|write| match write {
                        Write::Put { collection: of, id, body, .. } if *of == collection => Some((id, body)),
                        _ => None,
                    })
                    .collect();
                *wanted.entry(collection.name).or_default() += rows.len();
                let ids: Vec<String> = rows.keys().map(|id| (*id).clone()).collect();
                let found = documents.get_many(book, collection, &ids).await?;
                for ((id, body), found) in rows.into_iter().zip(found) {
                    if found.is_none_or(|found| !is_same_json(&found.body, body)) {
                        replayed.differ(format!("{}: {id} is not what the journal says", collection.name));
                    }
                }
            }
        }
    }
    for collection in BY_GROUP {
        let rows = all(documents, book, collection).await?;
        let found = rows.iter().filter(|document| document.version <= replayed.head).count();
        let wanted = wanted.get(collection.name).copied().unwrap_or_default();
        if found != wanted {
            replayed.differ(format!("{}: {found} rows, {wanted} by the journal", collection.name));
        }
    }
    Ok(())
}

/// A store may write JSON its own way.
pub(crate) fn is_same_json(one: &[u8], other: &[u8]) -> bool {
    let read = |bytes| serde_json::from_slice::<serde_json::Value>(bytes).ok();
    one == other || (read(one).is_some() && read(one) == read(other))
}

/// Every document of a collection.
pub(crate) async fn all(
    documents: &Arc<dyn Documents>,
    book: BookId,
    collection: &'static Collection,
) -> Result<Vec<Document>, StoreError> {
    let mut found = Vec::new();
    let mut query = Query::new(collection, None, Key::empty(), ROUND);
    loop {
        let rows = documents.query(book, query.clone()).await?;
        query.after = rows.last().map(|row| row.position.clone());
        let done = rows.len() < ROUND;
        found.extend(rows.into_iter().map(|row| row.document));
        if done {
            return Ok(found);
        }
    }
}
