//! Verification: plays a book from its first group and compares every view.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use credit_core::ports::StoreError;
use credit_core::ports::documents::{Collection, Document, Documents, Key, Query};
use credit_core::ports::journal::{BookId, Journal};
use credit_core::{Timestamp, WalletId};

use super::codec::{self, Decoded};
use super::state::{TailGroup, TotalsByAsset, add_totals};
use super::views::{self, BookView, GrantView};
use crate::domain::{ChainHash, Figures, Hold, Refunded, Wallet, check_posted, check_wallet};

/// At most so many differences are told.
const TOLD: usize = 100;
const ROUND: usize = 500;

/// A book played from its first group.
#[derive(Default)]
pub struct Replayed {
    /// Wallets as they are at the end, with everything that ever belonged to them.
    pub wallets: HashMap<WalletId, Wallet>,
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
    /// that entries sum to zero, that ids grow and that nothing is claimed twice.
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
                let decoded = Decoded::parse(&group.bytes)?;
                if sequence != replayed.head + 1 || decoded.header.previous != replayed.hash {
                    replayed.differ(format!("group {sequence} does not follow group {}", replayed.head));
                }
                let tail = TailGroup {
                    sequence,
                    at: decoded.header.at,
                    hash: codec::hash(&group.bytes),
                    mint: decoded.header.mint,
                    records: decoded.records()?,
                };
                replayed.apply(&tail);
            }
        }
        Ok(replayed)
    }

    fn apply(&mut self, group: &TailGroup) {
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

    fn differ(&mut self, what: String) {
        if self.differences.len() < TOLD {
            self.differences.push(what);
        }
    }
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
    let until = view.as_ref().map_or(0, |view| view.sequence);
    let mut replayed = Replayed::play(journal, book, until).await?;
    if let Some(view) = view
        && (view.hash != replayed.hash || view.totals != replayed.totals)
    {
        replayed.differ("the watermark does not agree with the journal".to_owned());
    }
    compare_wallets(documents, book, until, &mut replayed).await?;
    compare_parts(documents, book, until, &mut replayed).await?;
    compare_claims(documents, book, until, &mut replayed).await?;
    Ok(replayed)
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
        let mut expected = replayed.wallets.get(&shown.id).cloned();
        if let Some(wallet) = &mut expected {
            wallet.forget_shown(u64::MAX);
        }
        if expected.as_ref() != Some(&shown) {
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
        let expected = replayed.wallets.get(&view.wallet).and_then(|wallet| wallet.lot(view.lot.id));
        if document.version > until {
            lots += usize::from(expected.is_some());
            continue;
        }
        lots += 1;
        if expected != Some(&view.lot) {
            replayed.differ(format!("the view of {} is not what the journal says", document.id));
        }
    }
    let mut holds = 0;
    for document in all(documents, book, &views::HOLDS).await? {
        let hold: Hold = views::read(&document)?;
        let expected = replayed.wallets.get(&hold.wallet).and_then(|wallet| wallet.holds.get(&hold.id));
        if document.version > until {
            holds += usize::from(expected.is_some());
            continue;
        }
        holds += 1;
        if expected != Some(&hold) {
            replayed.differ(format!("the view of {} is not what the journal says", document.id));
        }
    }
    let mut refunds: HashMap<String, Refunded> = HashMap::new();
    for wallet in replayed.wallets.values() {
        refunds.extend(wallet.refunds.iter().map(|(id, refunded)| (id.to_string(), refunded.clone())));
    }
    for document in all(documents, book, &views::REFUNDS).await? {
        let shown: Refunded = views::read(&document)?;
        let expected = refunds.remove(&document.id);
        if document.version <= until && expected != Some(shown) {
            replayed.differ(format!("the refunds of {} are not what the journal says", document.id));
        }
    }
    let expected_lots: usize =
        replayed.wallets.values().map(|wallet| wallet.lots.len() + wallet.spent_lots.len()).sum();
    let expected_holds: usize = replayed.wallets.values().map(|wallet| wallet.holds.len()).sum();
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
    let mut missing = replayed.claims.clone();
    for document in all(documents, book, &views::CLAIMS).await? {
        let shown: (u64, u32) = views::read(&document)?;
        let claim = u128::from_str_radix(&document.id, 16).unwrap_or_default();
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
