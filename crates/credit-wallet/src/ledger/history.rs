//! Lists over the journal, newest first: the views tell the places, the journal tells what stands there.

use std::collections::BTreeSet;
use std::sync::Arc;

use credit_core::ports::StoreError;
use credit_core::ports::documents::{Collection, Direction, Key, Position, Query};
use credit_core::{Problem, Timestamp, WalletId};

use super::book::Book;
use super::read::Posted;
use super::views::{self, GroupView, HistoryView};
use crate::domain::{Account, Entry, Kind, Place, Record, Transaction, Wallet};

/// Which transactions are wanted.
#[derive(Debug, Clone, Default)]
pub struct TransactionFilter {
    /// Of any of these wallets; `None` is all.
    pub wallets: Option<Vec<WalletId>>,
    /// Of this kind.
    pub kind: Option<Kind>,
    /// With this reference.
    pub reference: Option<String>,
    /// Not before.
    pub from: Option<Timestamp>,
    /// Before.
    pub to: Option<Timestamp>,
}

/// One entry of a wallet with its transaction.
#[derive(Debug, Clone)]
pub struct HistoryEntry {
    /// The transaction.
    pub posted: Posted,
    /// The entry's index in it.
    pub entry: usize,
}

impl HistoryEntry {
    /// The entry.
    pub fn entry(&self) -> &Entry {
        &self.posted.transaction().entries[self.entry]
    }
}

/// How many places are looked up at a time.
const ROUND: usize = 256;

impl Book {
    /// Transactions, newest first, at most `limit`, behind `after`.
    pub async fn transactions(
        &self,
        filter: &TransactionFilter,
        after: Option<&Position>,
        limit: usize,
    ) -> Result<Vec<(Position, Posted)>, Problem> {
        self.refresh().await?;
        self.flush().await?;
        let after = after.map(|position| String::from_utf8_lossy(&position.0).into_owned());
        let mut bound = after.as_ref().map(|after| after.get(..30).unwrap_or_default().to_owned());
        let mut rows = Vec::new();
        loop {
            let places = self.places(filter, bound.as_deref()).await?;
            let Some(last) = places.last().cloned() else { return Ok(rows) };
            for key in &places {
                let Some((_, place)) = views::parse_place_key(key) else { continue };
                let record = self.record(place).await?;
                for index in (0..record.posted.len()).rev() {
                    let position = format!("{key}{index:04x}");
                    let behind = after.as_ref().is_none_or(|after| position < *after);
                    if !behind || !filter.takes(&record.posted[index]) {
                        continue;
                    }
                    rows.push((Position(position.into_bytes()), Posted { record: record.clone(), index }));
                    if rows.len() == limit {
                        return Ok(rows);
                    }
                }
            }
            bound = Some(just_before(&last));
        }
    }

    /// A wallet's entries, newest first, at most `limit`, behind `after`.
    pub async fn entries(
        &self,
        wallet: WalletId,
        after: Option<&Position>,
        limit: usize,
    ) -> Result<Vec<(Position, HistoryEntry)>, Problem> {
        self.refresh().await?;
        self.flush().await?;
        let filter = TransactionFilter { wallets: Some(vec![wallet]), ..TransactionFilter::default() };
        let after = after.map(|position| String::from_utf8_lossy(&position.0).into_owned());
        let mut bound = after.as_ref().map(|after| after.get(..30).unwrap_or_default().to_owned());
        let mut rows = Vec::new();
        loop {
            let places = self.places(&filter, bound.as_deref()).await?;
            let Some(last) = places.last().cloned() else { return Ok(rows) };
            for key in &places {
                let Some((_, place)) = views::parse_place_key(key) else { continue };
                let record = self.record(place).await?;
                for (index, entry, sequence) in entries_of(&record, wallet) {
                    let position = format!("{key}{sequence:016x}");
                    if after.as_ref().is_some_and(|after| position >= *after) {
                        continue;
                    }
                    let posted = Posted { record: record.clone(), index };
                    rows.push((Position(position.into_bytes()), HistoryEntry { posted, entry }));
                    if rows.len() == limit {
                        return Ok(rows);
                    }
                }
            }
            bound = Some(just_before(&last));
        }
    }

    /// Place keys of records that may match, newest first, at or before `bound`; at most a round.
    async fn places(
        &self,
        filter: &TransactionFilter,
        bound: Option<&str>,
    ) -> Result<Vec<String>, StoreError> {
        let Some(wallets) = &filter.wallets else {
            return match &filter.reference {
                Some(reference) => {
                    self.rows(&views::REFERENCES, &views::reference_prefix(reference), filter, bound).await
                }
                None => self.group_places(filter, bound).await,
            };
        };
        let mut places = BTreeSet::new();
        let mut floor: Option<String> = None;
        for wallet in wallets {
            let rows = self.rows(&views::HISTORY, &format!("{wallet}/"), filter, bound).await?;
            if rows.len() == ROUND {
                // Older places of this wallet are not looked at yet, so nothing older of another may be taken either.
                floor = floor.max(rows.last().cloned());
            }
            places.extend(rows);
        }
        let floor = floor.unwrap_or_default();
        Ok(places.into_iter().rev().filter(|place| *place >= floor).collect())
    }

    async fn rows(
        &self,
        collection: &'static Collection,
        prefix: &str,
        filter: &TransactionFilter,
        bound: Option<&str>,
    ) -> Result<Vec<String>, StoreError> {
        let mut query = Query::new(collection, None, Key::empty().and_text_prefix(prefix), ROUND);
        query.direction = Direction::Descending;
        query.from = filter.from.map(|from| text_key(prefix, &views::time_key(from), ""));
        query.until = upper_bound(prefix, filter.to, bound);
        let rows = self.parts.documents.query(self.id, query).await?;
        let key = |id: &str| id.get(prefix.len()..).map(str::to_owned);
        Ok(rows.into_iter().filter_map(|row| key(&row.document.id)).collect())
    }

    async fn group_places(
        &self,
        filter: &TransactionFilter,
        bound: Option<&str>,
    ) -> Result<Vec<String>, StoreError> {
        let mut from_bound = bound.map(str::to_owned);
        loop {
            let mut query = Query::new(&views::GROUPS, None, Key::empty(), 16);
            query.direction = Direction::Descending;
            query.from = filter.from.map(|from| text_key("", &views::time_key(from), ""));
            query.until = upper_bound("", filter.to, from_bound.as_deref());
            let rows = self.parts.documents.query(self.id, query).await?;
            let Some(last) = rows.last().map(|row| row.document.id.clone()) else { return Ok(Vec::new()) };
            let mut places = Vec::new();
            for row in rows {
                let view: GroupView = views::read(&row.document)?;
                if filter.kind.is_some_and(|kind| view.kinds & views::kind_bit(kind) == 0) || view.kinds == 0
                {
                    continue;
                }
                let Some((at, _)) = views::parse_place_key(&row.document.id) else { continue };
                let Some(group) = self.group(view.sequence).await? else { continue };
                for index in (0..group.header.records).rev() {
                    let key = views::place_key(at, Place { sequence: view.sequence, index });
                    if bound.is_none_or(|bound| key.as_str() <= bound) {
                        places.push(key);
                    }
                }
            }
            if !places.is_empty() {
                return Ok(places);
            }
            from_bound = Some(just_before(&last));
        }
    }

    /// The record that changed a wallet last, at or before an instant.
    pub(crate) async fn last_change_before(
        &self,
        wallet: WalletId,
        at: Timestamp,
    ) -> Result<Option<Arc<Record>>, StoreError> {
        let places = self.changes_up_to(wallet, at, Direction::Descending, 1, None).await?;
        match places.first() {
            Some((place, _)) => self.record(*place).await.map(Some),
            None => Ok(None),
        }
    }

    /// A wallet as it was at an instant, played from its records.
    pub(crate) async fn wallet_at(&self, id: WalletId, at: Timestamp) -> Result<Option<Wallet>, StoreError> {
        let mut wallet: Option<Wallet> = None;
        let mut after = None;
        loop {
            let places = self.changes_up_to(id, at, Direction::Ascending, ROUND, after.take()).await?;
            let Some((_, last)) = places.last().cloned() else { return Ok(wallet) };
            for (place, key) in places {
                let Some((time, _)) = views::parse_place_key(&key) else { continue };
                let record = self.record(place).await?;
                let Some(change) = record.change_of(id) else { continue };
                let opened = wallet.take().or_else(|| Wallet::from_opening(change, time));
                wallet = opened.map(|mut wallet| {
                    wallet.apply(&record, change, place.sequence, time);
                    wallet
                });
            }
            after = Some(last);
        }
    }

    async fn changes_up_to(
        &self,
        wallet: WalletId,
        at: Timestamp,
        direction: Direction,
        limit: usize,
        after: Option<String>,
    ) -> Result<Vec<(Place, String)>, StoreError> {
        // What the views do not show yet is newer than the last flush; a caller that looks back flushes first.
        let prefix = format!("{wallet}/");
        let mut query = Query::new(&views::HISTORY, None, Key::empty().and_text_prefix(&prefix), limit);
        query.direction = direction;
        query.from = after.map(|after| text_key(&prefix, &after, "~"));
        query.until = Some(text_key(&prefix, &views::time_key(at), "~"));
        let rows = self.parts.documents.query(self.id, query).await?;
        Ok(rows
            .into_iter()
            .filter_map(|row| {
                let key = row.document.id.get(prefix.len()..)?.to_owned();
                let _: HistoryView = views::read(&row.document).ok()?;
                views::parse_place_key(&key).map(|(_, place)| (place, key))
            })
            .collect())
    }
}

impl TransactionFilter {
    fn takes(&self, transaction: &Transaction) -> bool {
        self.wallets.as_ref().is_none_or(|wallets| wallets.iter().any(|wallet| transaction.touches(*wallet)))
            && self.kind.is_none_or(|kind| transaction.kind == kind)
            && self
                .reference
                .as_ref()
                .is_none_or(|wanted| transaction.note.reference.as_ref() == Some(wanted))
            && self.from.is_none_or(|from| transaction.created_at >= from)
            && self.to.is_none_or(|to| transaction.created_at < to)
    }
}

/// The entries of a wallet in a record, newest first: transaction, entry, sequence.
fn entries_of(record: &Record, wallet: WalletId) -> Vec<(usize, usize, u64)> {
    let mut found = Vec::new();
    for (index, transaction) in record.posted.iter().enumerate() {
        for (place, entry) in transaction.entries.iter().enumerate() {
            if entry.account == Account::Wallet(wallet) {
                found.push((index, place, entry.sequence.unwrap_or_default()));
            }
        }
    }
    found.reverse();
    found
}

fn text_key(prefix: &str, key: &str, end: &str) -> Key {
    Key::empty().and_text_prefix(&format!("{prefix}{key}{end}"))
}

/// Before `to`, and at or before `bound`, whichever is less. `~` sorts after every hex digit.
fn upper_bound(prefix: &str, to: Option<Timestamp>, bound: Option<&str>) -> Option<Key> {
    let to = to.map(|to| text_key(prefix, &views::time_key(to), ""));
    let bound = bound.map(|bound| text_key(prefix, bound, "~"));
    match (to, bound) {
        (Some(to), Some(bound)) => Some(to.min(bound)),
        (to, bound) => to.or(bound),
    }
}

/// The greatest text below a place key of the same length.
fn just_before(key: &str) -> String {
    match u128::from_str_radix(key, 16) {
        Ok(number) => format!("{:030x}", number.saturating_sub(1)),
        Err(_) => String::new(),
    }
}
