//! A wallet as the journal makes it.

use std::collections::BTreeMap;

use credit_core::ports::StoreError;
use credit_core::ports::documents::{Key, Query};
use credit_core::{GrantId, HoldId, JobRun, Timestamp, TransactionId, WalletId};

use super::{ROUND, Trouble};
use crate::domain::{Figures, Hold, Lot, Place, Record, Refunded, Wallet};
use crate::ledger::audit::read_group;
use crate::ledger::book::Book;
use crate::ledger::views::{self, HistoryView};

/// How many groups of the journal are read at a time; each may be a few mebibytes.
pub(super) const GROUPS: usize = 8;

/// A wallet as its records make it, with every lot and hold it ever had.
pub(super) struct Played {
    pub(super) wallet: Wallet,
    pub(super) lots: BTreeMap<GrantId, Lot>,
    pub(super) holds: BTreeMap<HoldId, Hold>,
    pub(super) refunds: BTreeMap<TransactionId, Refunded>,
    /// What does not hold in the journal itself, or in the history that it was played from.
    pub(super) faults: Vec<String>,
}

/// One record and where it stands.
struct Step<'a> {
    at: Timestamp,
    place: Place,
    record: &'a Record,
}

impl Played {
    /// One record further. The first one opens the wallet.
    fn take(before: Option<Self>, id: WalletId, step: &Step<'_>) -> Option<Self> {
        let change = step.record.change_of(id)?;
        let mut played = match before {
            Some(played) => played,
            None => Self {
                wallet: Wallet::from_opening(change, step.at)?,
                lots: BTreeMap::new(),
                holds: BTreeMap::new(),
                refunds: BTreeMap::new(),
                faults: Vec::new(),
            },
        };
        let wallet = &mut played.wallet;
        wallet.apply(step.record, change, step.place.sequence, step.at);
        let whole = change.lots.iter().map(|lot| lot.id);
        let levels = change.levels.iter().map(|level| level.grant);
        for lot in whole.chain(levels).filter_map(|lot| wallet.lot(lot)) {
            played.lots.insert(lot.id, lot.clone());
        }
        played.holds.extend(change.holds.iter().map(|hold| (hold.id, hold.clone())));
        played.refunds.extend(change.refunds.iter().cloned());
        if Figures::of(wallet, step.at) != change.figures {
            let sequence = step.place.sequence;
            played.faults.push(format!("group {sequence}: the figures of {id} are not what its lots say"));
        }
        wallet.forget_shown(u64::MAX);
        Some(played)
    }
}

/// A wallet as the whole journal makes it, with its history.
pub(super) struct Searched {
    pub(super) played: Played,
    /// The rows of its history, by id: as many as it has records.
    pub(super) history: BTreeMap<String, (u64, HistoryView)>,
}

impl Book {
    /// Plays a wallet up to a group from the records that its history names; `None` if that makes no wallet. Only a store
    /// that does not answer is an error: what cannot be read as it stands there is as good as not there.
    pub(super) async fn play(&self, id: WalletId, until: u64) -> Result<Option<Played>, StoreError> {
        let prefix = format!("{id}/");
        let mut query = Query::new(&views::HISTORY, None, Key::empty().and_text_prefix(&prefix), ROUND);
        let mut played = None;
        loop {
            let rows = self.parts.documents.query(self.id, query.clone()).await?;
            query.after = rows.last().map(|row| row.position.clone());
            for row in &rows {
                let place = row.document.id.get(prefix.len()..).and_then(views::parse_place_key);
                let Some((at, place)) = place.filter(|(_, place)| place.sequence <= until) else { continue };
                let record = match self.record_at(place).await {
                    Ok(record) => record,
                    Err(StoreError::Corrupt(_)) => return Ok(None),
                    Err(error) => return Err(error),
                };
                played = Played::take(played, id, &Step { at, place, record: &record });
                let shown = views::read::<HistoryView>(&row.document).map(|view| view.k).ok();
                if shown != Some(views::kinds_on(&record, id))
                    && let Some(played) = &mut played
                {
                    played.faults.push(format!("the history says something else of {}", row.document.id));
                }
            }
            if rows.len() < ROUND {
                return Ok(played);
            }
        }
    }

    /// Plays a wallet up to a group from the journal, whatever the views say.
    pub(super) async fn search(
        &self,
        id: WalletId,
        until: u64,
        run: &dyn JobRun,
    ) -> Result<Option<Searched>, Trouble> {
        let (mut played, mut history, mut next) = (None, BTreeMap::new(), 1);
        while next <= until {
            run.check()?;
            let groups = self.parts.journal.read(self.id, next, GROUPS).await?;
            let Some((last, _)) = groups.last() else { break };
            next = last + 1;
            for (sequence, group) in groups.iter().filter(|(sequence, _)| *sequence <= until) {
                let (_, group) = read_group(*sequence, &group.bytes)?;
                for (index, record) in (0..).zip(&group.records) {
                    if record.change_of(id).is_some() {
                        let place = Place { sequence: *sequence, index };
                        let view = HistoryView { k: views::kinds_on(record, id) };
                        history.insert(views::history_id(id, group.at, place), (*sequence, view));
                        played = Played::take(played, id, &Step { at: group.at, place, record });
                    }
                }
            }
            // A long journal leaves others their turn.
            tokio::task::yield_now().await;
        }
        Ok(played.map(|played| Searched { played, history }))
    }
}
