//! Wallets: open, list, look, change, freeze, unfreeze, close.

use std::sync::Arc;

use credit_api::form::{Metadata, NamedId, Whole};
use credit_api::reply::Reply;
use credit_api::request::Request;
use credit_api::route::{Access, Method, Route, Who};
use credit_core::{AssetCode, Code, MAX_AMOUNT, Problem, Scope, UserId, WalletId};

use super::outcome::wallet_reply;
use super::response::WalletResponse;
use super::{EmptyBody, READERS, at, parameters};
use crate::domain::commands::{ChangeStatus, PatchWallet};
use crate::domain::{Command, WalletStatus};
use crate::service::{Counter, WalletFilter};

credit_api::form! {
    /// A wallet to open.
    pub(super) struct CreateWalletBody {
        user_id: req NamedId<UserId>,
        /// `CREDIT` if it is not said.
        asset: opt AssetCode,
        metadata: opt Metadata,
    }
}

credit_api::form! {
    /// What to change of a wallet.
    pub(super) struct PatchWalletBody {
        /// In place of all pairs there are.
        metadata: opt Metadata,
        overdraft_limit: opt Whole<0, MAX_AMOUNT>,
        /// Null: never.
        low_balance_threshold: patch Whole<0, MAX_AMOUNT>,
    }
}

const WRITERS: Access = Access::Only(&[Who::Scope(Scope::WalletsWrite), Who::Admin]);
const GUARDS: Access = Access::Only(&[Who::Scope(Scope::WalletsWrite), Who::Support]);

pub(super) fn rows(counter: &Arc<Counter>) -> Vec<Route> {
    vec![
        Route::new(Method::Post, "/v1/wallets", WRITERS, "Open a wallet", at(counter, create))
            .form::<CreateWalletBody>()
            .answers::<WalletResponse>(201, "The wallet.")
            .refuses(&[Code::NotFound, Code::WalletExists]),
        Route::new(Method::Get, "/v1/wallets", READERS, "List wallets", at(counter, list))
            .parameter("user_id", "Only those of this user.", parameters::id)
            .parameter("asset", "Only those in this asset.", parameters::asset)
            .parameter("status", "Only those with this status.", parameters::wallet_status)
            .answers_page::<WalletResponse>("Wallets, newest first."),
        Route::new(Method::Get, "/v1/wallets/{id}", READERS, "Look at a wallet", at(counter, look))
            .answers::<WalletResponse>(200, "The wallet."),
        Route::new(Method::Patch, "/v1/wallets/{id}", WRITERS, "Change a wallet", at(counter, patch))
            .form::<PatchWalletBody>()
            .answers::<WalletResponse>(200, "The wallet as it is now.")
            .refuses(&[Code::VersionMismatch, Code::WalletClosed, Code::OverdraftInUse]),
        Route::new(
            Method::Post,
            "/v1/wallets/{id}/freeze",
            GUARDS,
            "Freeze a wallet",
            at(counter, |counter, request| change_status(counter, request, WalletStatus::Frozen)),
        )
        .optional_form::<EmptyBody>()
        .answers::<WalletResponse>(200, "Nothing but expiry moves in it now.")
        .refuses(&[Code::VersionMismatch, Code::WalletClosed]),
        Route::new(
            Method::Post,
            "/v1/wallets/{id}/unfreeze",
            GUARDS,
            "Unfreeze a wallet",
            at(counter, |counter, request| change_status(counter, request, WalletStatus::Active)),
        )
        .optional_form::<EmptyBody>()
        .answers::<WalletResponse>(200, "Credits move in it again.")
        .refuses(&[Code::VersionMismatch, Code::WalletClosed]),
        Route::new(
            Method::Post,
            "/v1/wallets/{id}/close",
            GUARDS,
            "Close an empty wallet",
            at(counter, |counter, request| change_status(counter, request, WalletStatus::Closed)),
        )
        .optional_form::<EmptyBody>()
        .answers::<WalletResponse>(200, "It stays closed.")
        .refuses(&[Code::VersionMismatch, Code::WalletNotEmpty]),
    ]
}

async fn create(counter: Arc<Counter>, request: Request) -> Result<Reply, Problem> {
    let body: CreateWalletBody = request.form()?;
    let user = body.user_id.known()?;
    let asset = body.asset.unwrap_or(AssetCode::CREDIT);
    let metadata = body.metadata.unwrap_or_default().0;
    let (book, wallet) = counter.open_wallet(&request, user, asset, metadata).await?;
    Ok(wallet_reply(201, &book, &wallet))
}

async fn list(counter: Arc<Counter>, request: Request) -> Result<Reply, Problem> {
    let page = request.page()?;
    let expected = parameters::one_of(&WalletStatus::NAMES);
    let status = request.query_as("status", &expected, WalletStatus::parse)?;
    let expected = "must be a code of 2 to 16 of A-Z, 0-9, _";
    let asset = request.query_as("asset", expected, |text| AssetCode::parse(text).ok())?;
    let user = match request.query("user_id").map(UserId::parse) {
        None => None,
        Some(Ok(user)) => Some(user),
        Some(Err(_)) => return Ok(request.page_reply::<WalletResponse>(&[], None)),
    };
    let filter = WalletFilter { user, asset, status };
    let (wallets, next) = counter.list_wallets(request.principal()?, filter, &page).await?;
    let rows: Vec<WalletResponse> =
        wallets.iter().map(|(book, wallet)| WalletResponse::new(book.id(), wallet, book.now())).collect();
    Ok(request.page_reply(&rows, next.as_ref()))
}

async fn look(counter: Arc<Counter>, request: Request) -> Result<Reply, Problem> {
    let id = request.path_id("id", WalletId::parse)?;
    let (book, wallet) = counter.wallet(request.principal()?, id).await?;
    Ok(wallet_reply(200, &book, &wallet))
}

async fn patch(counter: Arc<Counter>, request: Request) -> Result<Reply, Problem> {
    let body: PatchWalletBody = request.form()?;
    let command = |wallet| PatchWallet {
        wallet: Some(wallet),
        metadata: body.metadata.map(|metadata| metadata.0),
        overdraft_limit: body.overdraft_limit.map(Whole::get),
        low_balance_threshold: body.low_balance_threshold.map(|threshold| threshold.map(Whole::get)),
    };
    change(&counter, &request, command).await
}

async fn change_status(
    counter: Arc<Counter>,
    request: Request,
    status: WalletStatus,
) -> Result<Reply, Problem> {
    let EmptyBody {} = request.form()?;
    change(&counter, &request, |wallet| ChangeStatus { wallet, status }).await
}

async fn change<C: Command + 'static>(
    counter: &Counter,
    request: &Request,
    command: impl FnOnce(WalletId) -> C,
) -> Result<Reply, Problem> {
    let id = request.path_id("id", WalletId::parse)?;
    let (book, _) = counter.wallet(request.principal()?, id).await?;
    counter.submit_plain(&book, request, Arc::new(command(id))).await?;
    let wallet = book.wallet(id).await?.ok_or_else(Problem::not_found)?;
    Ok(wallet_reply(200, &book, &wallet))
}
