//! Lists the lots of a wallet.

use std::sync::Arc;

use credit_api::page::PageRequest;
use credit_core::Problem;
use credit_core::ports::documents::Position;

use super::Counter;
use super::shelves::{self, Shelf, fresh};
use crate::domain::{Lot, LotState, Wallet};
use crate::ledger::{Book, views};

impl Counter {
    /// A page of the lots of a wallet as they are now, newest first. `wallet` is as it is now.
    pub async fn list_grants(
        &self,
        book: &Arc<Book>,
        wallet: &Wallet,
        state: Option<LotState>,
        page: &PageRequest,
    ) -> Result<(Vec<Lot>, Option<Position>), Problem> {
        fresh(book).await?;
        let stack = Shelf::of(book, &views::GRANTS, "by_wallet", &wallet.id);
        let now = book.now();
        shelves::page(&[stack], page, async |_, row| {
            let view: views::GrantView = views::read(&row)?;
            // What is due is done in the wallet and may not be in the view yet.
            let lot = wallet.lot(view.lot.id).cloned().unwrap_or(view.lot);
            Ok(Some(lot).filter(|lot| state.is_none_or(|state| lot.state(now) == state)))
        })
        .await
    }
}
