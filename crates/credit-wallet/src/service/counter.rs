//! The counter: where callers and their wallets, holds, lots and transactions are brought together. What a caller may
//! not see is `404 not_found`, like what does not exist.

use std::future::Future;
use std::sync::Arc;

use credit_api::Apps;
use credit_api::request::Request;
use credit_core::ports::StoreError;
use credit_core::ports::documents::Documents;
use credit_core::{AppId, Clock, GrantId, HoldId, Principal, Problem, TransactionId, UserId, WalletId};

use crate::domain::{Command, Hold, Lot, Wallet};
use crate::ledger::{Ask, Book, Ledger, Outcome, Posted};
use crate::ports::UserLookup;

/// What the counter needs.
pub struct CounterParts {
    /// The books.
    pub ledger: Arc<Ledger>,
    /// The applications.
    pub apps: Arc<Apps>,
    /// The users.
    pub users: Arc<dyn UserLookup>,
    /// Assets.
    pub documents: Arc<dyn Documents>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// The counter. `credit-transactions` works at it too.
pub struct Counter {
    pub(crate) parts: CounterParts,
}

/// What a caller sees of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// Its own wallets only.
    Own(AppId, UserId),
    /// Everything of one application.
    App(AppId),
    /// Everything.
    All,
}

impl Sight {
    /// What this caller sees.
    pub fn of(principal: &Principal) -> Self {
        match principal {
            Principal::User { .. } if principal.is_operator() => Self::All,
            Principal::User { app, user, .. } => Self::Own(*app, *user),
            Principal::Application { app, .. } => Self::App(*app),
        }
    }

    /// Whether it sees this wallet of an application it sees.
    pub fn sees(self, wallet: &Wallet) -> bool {
        match self {
            Self::Own(_, user) => wallet.user == user,
            Self::App(_) | Self::All => true,
        }
    }
}

impl Counter {
    /// A counter over its parts.
    pub fn new(parts: CounterParts) -> Arc<Self> {
        Arc::new(Self { parts })
    }

    /// The ledger.
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.parts.ledger
    }

    /// The time.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.parts.clock
    }

    /// The users.
    pub fn users(&self) -> &Arc<dyn UserLookup> {
        &self.parts.users
    }

    /// The applications that a caller sees.
    pub async fn apps(&self, sight: Sight) -> Result<Vec<AppId>, Problem> {
        match sight {
            Sight::Own(app, _) | Sight::App(app) => Ok(vec![app]),
            Sight::All => Ok(self.parts.apps.all().await?.to_vec()),
        }
    }

    /// The book of an application.
    pub async fn book(&self, app: AppId) -> Result<Arc<Book>, Problem> {
        Ok(self.parts.ledger.book(app).await?)
    }

    /// A wallet that the caller may see, as it is now, with its book.
    pub async fn wallet(
        &self,
        principal: &Principal,
        id: WalletId,
    ) -> Result<(Arc<Book>, Arc<Wallet>), Problem> {
        let sight = Sight::of(principal);
        let (book, wallet) = self.look(sight, |book| async move { book.wallet(id).await }).await?;
        if sight.sees(&wallet) { Ok((book, wallet)) } else { Err(Problem::not_found()) }
    }

    /// The same for a command, which is decided at the head: until then it only matters whose the wallet is.
    pub async fn known_wallet(
        &self,
        principal: &Principal,
        id: WalletId,
    ) -> Result<(Arc<Book>, Arc<Wallet>), Problem> {
        let sight = Sight::of(principal);
        let (book, wallet) = self.look(sight, |book| async move { book.known_wallet(id).await }).await?;
        if sight.sees(&wallet) { Ok((book, wallet)) } else { Err(Problem::not_found()) }
    }

    /// A wallet of which the caller may move credits: an application's, or the caller's own. `403 forbidden` for an
    /// operator who sees it and does not own it.
    pub async fn wallet_to_move(
        &self,
        principal: &Principal,
        id: WalletId,
    ) -> Result<(Arc<Book>, Arc<Wallet>), Problem> {
        let (book, wallet) = self.known_wallet(principal, id).await?;
        Self::may_move(principal, &wallet)?;
        Ok((book, wallet))
    }

    /// Whether the caller, who sees this wallet, may move its credits: its owner, or its application.
    pub fn may_move(principal: &Principal, wallet: &Wallet) -> Result<(), Problem> {
        match principal {
            Principal::User { user, .. } if *user != wallet.user => Err(Problem::forbidden()),
            Principal::User { .. } | Principal::Application { .. } => Ok(()),
        }
    }

    /// A hold that the caller may see, as it is now.
    pub async fn hold(
        &self,
        principal: &Principal,
        id: HoldId,
    ) -> Result<(Arc<Book>, Arc<Wallet>, Hold), Problem> {
        let sight = Sight::of(principal);
        let (book, hold) = self.look(sight, |book| async move { book.hold(id).await }).await?;
        let wallet = book.wallet(hold.wallet).await?.filter(|wallet| sight.sees(wallet));
        Ok((book, wallet.ok_or_else(Problem::not_found)?, hold))
    }

    /// A lot that the caller may see, as it is now.
    pub async fn grant(
        &self,
        principal: &Principal,
        id: GrantId,
    ) -> Result<(Arc<Book>, Arc<Wallet>, Lot), Problem> {
        let sight = Sight::of(principal);
        let (book, (wallet, lot)) = self.look(sight, |book| async move { book.grant(id).await }).await?;
        if sight.sees(&wallet) { Ok((book, wallet, lot)) } else { Err(Problem::not_found()) }
    }

    /// A transaction that the caller may see: one that moved a wallet it sees.
    pub async fn transaction(
        &self,
        principal: &Principal,
        id: TransactionId,
    ) -> Result<(Arc<Book>, Posted), Problem> {
        let sight = Sight::of(principal);
        let (book, posted) = self.look(sight, |book| async move { book.transaction(id).await }).await?;
        for wallet in posted.transaction().parties.wallets() {
            if book.wallet(wallet).await?.is_some_and(|wallet| sight.sees(&wallet)) {
                return Ok((book, posted));
            }
        }
        Err(Problem::not_found())
    }

    /// Asks the ledger for a command as the request wants it: once under its key or dry, guarded by its `If-Match`.
    pub async fn submit(
        &self,
        book: &Book,
        request: &Request,
        command: Arc<dyn Command>,
    ) -> Result<Outcome, Problem> {
        let intent = request.intent()?;
        let ask = Ask::new(command, request.principal()?.actor(), request.request_id())
            .intending(&intent)
            .guarded_by(request.if_match());
        book.ask(ask).await
    }

    /// Asks the ledger for a command that has no idempotency key, guarded by the request's `If-Match`.
    pub async fn submit_plain(
        &self,
        book: &Book,
        request: &Request,
        command: Arc<dyn Command>,
    ) -> Result<Outcome, Problem> {
        let ask = Ask::new(command, request.principal()?.actor(), request.request_id())
            .guarded_by(request.if_match());
        book.ask(ask).await
    }

    /// Looks in every book that the caller sees.
    async fn look<T, F>(&self, sight: Sight, find: impl Fn(Arc<Book>) -> F) -> Result<(Arc<Book>, T), Problem>
    where
        F: Future<Output = Result<Option<T>, StoreError>>,
    {
        for app in self.apps(sight).await? {
            let book = self.book(app).await?;
            if let Some(found) = find(book.clone()).await? {
                return Ok((book, found));
            }
        }
        Err(Problem::not_found())
    }
}
