//! Whether what is shown of a wallet is what its records say.

use credit_core::WalletId;
use credit_core::ports::StoreError;
use credit_core::ports::documents::{Collection, Document, Key, Query};

use super::played::Played;
use super::{ROUND, TRIES, Trouble};
use crate::domain::{Hold, Refunded, Wallet};
use crate::ledger::book::Book;
use crate::ledger::views::{self, GrantView};

impl Book {
    /// Whether what is shown of a wallet is not what its records say, and still is not when the views have caught up.
    pub(super) async fn differs(&self, id: WalletId) -> Result<bool, Trouble> {
        for _ in 0..TRIES {
            let Some(shown) = self.shown_wallet(id).await? else {
                self.show_all().await?;
                return Ok(self.shown_wallet(id).await?.is_none());
            };
            let played = self.play(id, shown.version).await?;
            let agrees = self.agrees(id, &shown, played.as_ref()).await?;
            let still = self.shown_wallet(id).await?.map(|still| still.version);
            if agrees {
                return Ok(false);
            }
            if still == Some(shown.version) {
                self.show_all().await?;
                let caught_up = self.shown_wallet(id).await?.map(|document| document.version);
                if caught_up == still {
                    return Ok(true);
                }
            }
        }
        // It moves all the time; the next round finds it at rest.
        Ok(false)
    }

    async fn shown_wallet(&self, id: WalletId) -> Result<Option<Document>, StoreError> {
        self.parts.documents.get(self.id, &views::WALLETS, &id.to_string()).await
    }

    async fn agrees(
        &self,
        id: WalletId,
        shown: &Document,
        played: Option<&Played>,
    ) -> Result<bool, StoreError> {
        let (Some(played), Ok(wallet)) = (played, views::read::<Wallet>(shown)) else { return Ok(false) };
        if wallet != played.wallet || !played.faults.is_empty() {
            return Ok(false);
        }
        let lots = self.rows_of(id, &views::GRANTS).await?;
        let holds = self.rows_of(id, &views::HOLDS).await?;
        let lot_agrees = |row: &Document| {
            views::read::<GrantView>(row).is_ok_and(|view| played.lots.get(&view.lot.id) == Some(&view.lot))
        };
        let hold_agrees = |row: &Document| {
            views::read::<Hold>(row).is_ok_and(|hold| played.holds.get(&hold.id) == Some(&hold))
        };
        Ok(lots.len() == played.lots.len()
            && holds.len() == played.holds.len()
            && lots.iter().all(lot_agrees)
            && holds.iter().all(hold_agrees)
            && self.refunds_agree(played).await?)
    }

    async fn refunds_agree(&self, played: &Played) -> Result<bool, StoreError> {
        let ids: Vec<String> = played.refunds.keys().map(ToString::to_string).collect();
        let rows = self.parts.documents.get_many(self.id, &views::REFUNDS, &ids).await?;
        Ok(rows.iter().zip(played.refunds.values()).all(|(row, refunded)| {
            row.as_ref().is_some_and(|row| views::read::<Refunded>(row).is_ok_and(|shown| shown == *refunded))
        }))
    }

    /// Every row of a wallet in a collection that is kept by wallet.
    pub(super) async fn rows_of(
        &self,
        id: WalletId,
        collection: &'static Collection,
    ) -> Result<Vec<Document>, StoreError> {
        let mut query = Query::new(collection, Some("by_wallet"), Key::text(&id.to_string()), ROUND);
        let mut found = Vec::new();
        loop {
            let rows = self.parts.documents.query(self.id, query.clone()).await?;
            query.after = rows.last().map(|row| row.position.clone());
            let is_last = rows.len() < ROUND;
            found.extend(rows.into_iter().map(|row| row.document));
            if is_last {
                return Ok(found);
            }
        }
    }
}
