//! Opens wallets, one for each user and asset, and closes those of a user who leaves.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use credit_api::request::Request;
use credit_core::{Actor, AppId, AssetCode, Code, Principal, Problem, UserId};
use credit_users::ports::Wallets;

use super::{Counter, Sight};
use crate::domain::commands::{CloseAll, CreateWallet};
use crate::domain::{Answer, Wallet};
use crate::ledger::{Ask, Book};

/// What the house itself asks for has no request.
const OWN_REQUEST: &str = "user_management";

impl Counter {
    /// Opens a wallet for a user whom the caller may see. `404 not_found` if there is no such user or asset, `409
    /// wallet_exists`.
    pub async fn open_wallet(
        &self,
        request: &Request,
        user: UserId,
        asset: AssetCode,
        metadata: BTreeMap<String, String>,
    ) -> Result<(Arc<Book>, Arc<Wallet>), Problem> {
        let book = self.book_of_user(request.principal()?, user).await?;
        self.known_asset(asset).await?;
        let command = Arc::new(CreateWallet { user, asset, metadata });
        let outcome = self.submit_plain(&book, request, command).await?;
        let Answer::Wallet(id) = *outcome.answer() else { return Err(Problem::new(Code::Internal)) };
        let wallet = book.wallet(id).await?.ok_or_else(|| Problem::new(Code::Internal))?;
        Ok((book, wallet))
    }

    /// The book of the application whose user this is, among those that the caller sees.
    async fn book_of_user(&self, principal: &Principal, user: UserId) -> Result<Arc<Book>, Problem> {
        for app in self.apps(Sight::of(principal)).await? {
            if self.parts.users.exists(app, user).await? {
                return self.book(app).await;
            }
        }
        Err(Problem::not_found())
    }
}

#[async_trait]
impl Wallets for Counter {
    async fn open_default(&self, app: AppId, user: UserId) -> Result<(), Problem> {
        let command = CreateWallet { user, asset: AssetCode::CREDIT, metadata: BTreeMap::new() };
        let ask = Ask::new(Arc::new(command), Actor::System, OWN_REQUEST);
        match self.book(app).await?.ask(ask).await {
            Err(problem) if problem.code() != Code::WalletExists => Err(problem),
            _ => Ok(()),
        }
    }

    async fn close_all(&self, app: AppId, user: UserId) -> Result<(), Problem> {
        let book = self.book(app).await?;
        let wallets = self.wallet_ids_of(&book, user).await?;
        let ask = Ask::new(Arc::new(CloseAll(wallets)), Actor::System, OWN_REQUEST);
        book.ask(ask).await.map(|_| ())
    }
}
