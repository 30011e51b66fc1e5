//! Lists holds.

use std::sync::Arc;

use credit_api::page::PageRequest;
use credit_core::ports::documents::Position;
use credit_core::{Code, Principal, Problem, WalletId};

use super::shelves::{self, Shelf, fresh};
use super::{Counter, Sight};
use crate::domain::{Hold, HoldState};
use crate::ledger::{Book, views};

const BY_WALLET: &str = "by_wallet";

impl Counter {
    /// A page of holds that the caller sees, as they are now, newest first, each with its book.
    pub async fn list_holds(
        &self,
        principal: &Principal,
        wallet: Option<WalletId>,
        state: Option<HoldState>,
        page: &PageRequest,
    ) -> Result<(Vec<(Arc<Book>, Hold)>, Option<Position>), Problem> {
        let shelves = self.shelves_of_holds(principal, wallet).await?;
        shelves::page(&shelves, page, async |book, row| {
            let shown: Hold = views::read(&row)?;
            let is_due = shown.is_active() && shown.expires_at <= book.now();
            let hold = if is_due { book.hold(shown.id).await?.unwrap_or(shown) } else { shown };
            Ok(state.is_none_or(|state| hold.state == state).then(|| (book.clone(), hold)))
        })
        .await
    }

    async fn shelves_of_holds(
        &self,
        principal: &Principal,
        wallet: Option<WalletId>,
    ) -> Result<Vec<Shelf>, Problem> {
        if let Some(wallet) = wallet {
            return match self.wallet(principal, wallet).await {
                Ok((book, wallet)) => {
                    fresh(&book).await?;
                    Ok(vec![Shelf::of(&book, &views::HOLDS, BY_WALLET, &wallet.id)])
                }
                Err(problem) if problem.code() == Code::NotFound => Ok(Vec::new()),
                Err(problem) => Err(problem),
            };
        }
        let sight = Sight::of(principal);
        let mut shelves = Vec::new();
        for app in self.apps(sight).await? {
            let book = self.book(app).await?;
            fresh(&book).await?;
            match sight {
                Sight::Own(_, user) => {
                    let own = self.wallet_ids_of(&book, user).await?;
                    shelves.extend(own.iter().map(|id| Shelf::of(&book, &views::HOLDS, BY_WALLET, id)));
                }
                Sight::App(_) | Sight::All => shelves.push(Shelf::whole(&book, &views::HOLDS)),
            }
        }
        Ok(shelves)
    }
}
