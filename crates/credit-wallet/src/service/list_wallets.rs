//! Lists wallets.

use std::sync::Arc;

use credit_api::page::PageRequest;
use credit_core::ports::documents::Position;
use credit_core::{AssetCode, Principal, Problem, UserId, WalletId};

use super::shelves::{self, Shelf, fresh};
use super::{Counter, Sight};
use crate::domain::{Wallet, WalletStatus, settled_view};
use crate::ledger::{Book, views};

/// Which wallets are wanted.
#[derive(Debug, Clone, Copy, Default)]
pub struct WalletFilter {
    /// Of this user.
    pub user: Option<UserId>,
    /// In this asset.
    pub asset: Option<AssetCode>,
    /// With this status.
    pub status: Option<WalletStatus>,
}

impl WalletFilter {
    fn takes(&self, wallet: &Wallet) -> bool {
        self.asset.is_none_or(|asset| wallet.asset == asset)
            && self.status.is_none_or(|status| wallet.status == status)
    }
}

const BY_USER: &str = "by_user";

impl Counter {
    /// A page of wallets that the caller sees, newest first, each with its book.
    pub async fn list_wallets(
        &self,
        principal: &Principal,
        filter: WalletFilter,
        page: &PageRequest,
    ) -> Result<(Vec<(Arc<Book>, Arc<Wallet>)>, Option<Position>), Problem> {
        let sight = Sight::of(principal);
        let user = match sight {
            Sight::Own(_, own) if filter.user.is_some_and(|user| user != own) => {
                return Ok((Vec::new(), None));
            }
            Sight::Own(_, own) => Some(own),
            Sight::App(_) | Sight::All => filter.user,
        };
        let mut all = Vec::new();
        for app in self.apps(sight).await? {
            let book = self.book(app).await?;
            fresh(&book).await?;
            all.push(match user {
                Some(user) => Shelf::of(&book, &views::WALLETS, BY_USER, &user),
                None => Shelf::whole(&book, &views::WALLETS),
            });
        }
        shelves::page(&all, page, async |book, row| {
            let wallet: Wallet = views::read(&row)?;
            if !filter.takes(&wallet) {
                return Ok(None);
            }
            Ok(Some((book.clone(), settled_view(&Arc::new(wallet), book.now()))))
        })
        .await
    }

    /// All wallets of a user.
    pub async fn wallet_ids_of(&self, book: &Arc<Book>, user: UserId) -> Result<Vec<WalletId>, Problem> {
        fresh(book).await?;
        let stack = Shelf::of(book, &views::WALLETS, BY_USER, &user);
        let mut ids = Vec::new();
        let mut below = None;
        loop {
            let rows = stack.rows(below.as_deref(), 200).await?;
            let Some(last) = rows.last() else { return Ok(ids) };
            below = Some(last.id.clone());
            ids.extend(rows.iter().filter_map(|row| WalletId::parse(&row.id).ok()));
        }
    }
}
