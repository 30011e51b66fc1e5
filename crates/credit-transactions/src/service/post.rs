//! Posts what a caller wants: finds the wallets that it may move, asks the ledger, and brings back the transaction.

use std::sync::Arc;

use credit_api::form::NamedId;
use credit_api::request::{Intent, Request};
use credit_core::{Principal, Problem, Timestamp, WalletId};
use credit_wallet::domain::moves::Deposit;
use credit_wallet::domain::{Command, Note, Wallet};
use credit_wallet::ledger::{Ask, Book};
use credit_wallet::routes::response::Viewer;
use credit_wallet::service::Sight;

use super::{Made, Transactions};
use crate::domain::{Adjust, GiveGrant, Purchase, Spend, Transfer, past_expiry};

impl Transactions {
    /// The time.
    pub(crate) fn now(&self) -> Timestamp {
        self.counter.clock().now()
    }

    /// Credits bought. `409 external_id_reused`.
    pub(crate) async fn purchase(
        &self,
        request: &Request,
        wallet: NamedId<WalletId>,
        deposit: Deposit,
        note: Note,
    ) -> Result<Made, Problem> {
        let (intent, book, id) = self.place_for(request, wallet, &deposit).await?;
        let mut command = Purchase { wallet: id, deposit, note, earlier: None };
        if let Some(claim) = command.claim()
            && let Some(record) = book.claimed(claim).await?
        {
            command.earlier = record.posted.first().map(|first| first.id);
        }
        self.ask(request, &intent, book, Arc::new(command), id).await
    }

    /// Credits given.
    pub(crate) async fn grant(
        &self,
        request: &Request,
        wallet: NamedId<WalletId>,
        deposit: Deposit,
        note: Note,
    ) -> Result<Made, Problem> {
        let (intent, book, id) = self.place_for(request, wallet, &deposit).await?;
        self.ask(request, &intent, book, Arc::new(GiveGrant { wallet: id, deposit, note }), id).await
    }

    /// Credits used.
    pub(crate) async fn spend(
        &self,
        request: &Request,
        wallet: NamedId<WalletId>,
        command: impl FnOnce(WalletId) -> Spend,
    ) -> Result<Made, Problem> {
        let intent = request.intent()?;
        let (book, wallet) = self.own_wallet(request.principal()?, wallet.known()?).await?;
        self.ask(request, &intent, book, Arc::new(command(wallet.id)), wallet.id).await
    }

    /// Credits passed on. Who pays need not see who gets: the destination only has to be of the same application.
    pub(crate) async fn transfer(
        &self,
        request: &Request,
        source: NamedId<WalletId>,
        destination: NamedId<WalletId>,
        command: impl FnOnce(WalletId, WalletId) -> Transfer,
    ) -> Result<Made, Problem> {
        let intent = request.intent()?;
        let (book, source) = self.own_wallet(request.principal()?, source.known()?).await?;
        let destination = book.known_wallet(destination.known()?).await?.ok_or_else(Problem::not_found)?;
        // A user has one wallet of an asset, so who pays never owns the other side too.
        self.ask(request, &intent, book, Arc::new(command(source.id, destination.id)), source.id).await
    }

    /// Credits put right.
    pub(crate) async fn adjust(
        &self,
        request: &Request,
        wallet: NamedId<WalletId>,
        command: impl FnOnce(WalletId) -> Adjust,
    ) -> Result<Made, Problem> {
        let intent = request.intent()?;
        let (book, wallet) = self.counter.known_wallet(request.principal()?, wallet.known()?).await?;
        self.ask(request, &intent, book, Arc::new(command(wallet.id)), wallet.id).await
    }

    /// Asks the ledger as the request wants it: once under its key or dry, guarded by its `If-Match`. The caller sees
    /// the insides of the wallet `own`, if it does not see all.
    pub(super) async fn ask(
        &self,
        request: &Request,
        intent: &Intent,
        book: Arc<Book>,
        command: Arc<dyn Command>,
        own: WalletId,
    ) -> Result<Made, Problem> {
        let principal = request.principal()?;
        let ask = Ask::new(command, principal.actor(), request.request_id())
            .intending(intent)
            .guarded_by(request.if_match());
        let dry_run = intent.is_dry_run();
        let outcome = book.ask(ask).await?;
        Ok(Made { book, outcome, viewer: Viewer::new(Sight::of(principal), [own]), dry_run })
    }

    /// The wallet that a lot goes into, with what the caller wants.
    ///
    /// An expiry that has passed is `422 validation_failed`, which comes before the key and the wallet; but the call may
    /// be the repetition of one that was made in time, and then its first answer stands. So a call without fault but
    /// that goes on to the ledger, which looks at the key first and then refuses with the same words.
    async fn place_for(
        &self,
        request: &Request,
        wallet: NamedId<WalletId>,
        deposit: &Deposit,
    ) -> Result<(Intent, Arc<Book>, WalletId), Problem> {
        let placed = async {
            let intent = request.intent()?;
            let (book, wallet) = self.counter.known_wallet(request.principal()?, wallet.known()?).await?;
            Ok((intent, book, wallet.id))
        };
        let placed: Result<_, Problem> = placed.await;
        match (placed, past_expiry(deposit.expires_at, self.now())) {
            (Err(problem), Some(past)) if problem.code().status() < 500 => Err(past),
            (placed, _) => placed,
        }
    }

    /// A wallet that the caller may debit: its own, or one of its application. An operator sees the others too, and may
    /// not: `403 forbidden`.
    async fn own_wallet(
        &self,
        principal: &Principal,
        id: WalletId,
    ) -> Result<(Arc<Book>, Arc<Wallet>), Problem> {
        let (book, wallet) = self.counter.known_wallet(principal, id).await?;
        match principal {
            Principal::User { app, user, .. } if wallet.user != *user || book.id() != *app => {
                Err(Problem::forbidden())
            }
            _ => Ok((book, wallet)),
        }
    }
}
