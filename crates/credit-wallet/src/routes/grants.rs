//! Lots: list them, and take one back.

use std::sync::Arc;

use credit_api::reply::Reply;
use credit_api::request::Request;
use credit_api::route::{Access, Method, Route, Who};
use credit_core::{Code, GrantId, Problem, Scope, WalletId};

use super::outcome::transaction_reply;
use super::response::{GrantResponse, TransactionResponse, Viewer};
use super::{EmptyBody, READERS, at, parameters};
use crate::domain::LotState;
use crate::domain::commands::VoidGrant;
use crate::service::Counter;

pub(super) fn rows(counter: &Arc<Counter>) -> Vec<Route> {
    let voiders = Access::Only(&[Who::Scope(Scope::TransactionsWrite), Who::Admin]);
    vec![
        Route::new(
            Method::Get,
            "/v1/wallets/{id}/grants",
            READERS,
            "List a wallet's lots",
            at(counter, list),
        )
        .parameter("state", "Only those in this state now.", parameters::grant_state)
        .answers_page::<GrantResponse>("Lots, newest first."),
        Route::new(
            Method::Post,
            "/v1/grants/{id}/void",
            voiders,
            "Take back what is free of a lot",
            at(counter, void),
        )
        .optional_form::<EmptyBody>()
        .idempotent()
        .answers::<TransactionResponse>(201, "The transaction; holds on the lot stay good.")
        .refuses(&[
            Code::VersionMismatch,
            Code::GrantNotActive,
            Code::OverdraftInUse,
            Code::WalletFrozen,
            Code::WalletClosed,
        ]),
    ]
}

async fn list(counter: Arc<Counter>, request: Request) -> Result<Reply, Problem> {
    let page = request.page()?;
    let expected = parameters::one_of(&LotState::NAMES);
    let state = request.query_as("state", &expected, LotState::parse)?;
    let id = request.path_id("id", WalletId::parse)?;
    let (book, wallet) = counter.wallet(request.principal()?, id).await?;
    let (lots, next) = counter.list_grants(&book, &wallet, state, &page).await?;
    let now = book.now();
    let rows: Vec<GrantResponse> = lots.iter().map(|lot| GrantResponse::new(&wallet, lot, now)).collect();
    Ok(request.page_reply(&rows, next.as_ref()))
}

async fn void(counter: Arc<Counter>, request: Request) -> Result<Reply, Problem> {
    let EmptyBody {} = request.form()?;
    let intent = request.intent()?;
    let grant = request.path_id("id", GrantId::parse)?;
    let (book, wallet, _) = counter.grant(request.principal()?, grant).await?;
    let command = Arc::new(VoidGrant { wallet: wallet.id, grant });
    let outcome = counter.submit(&book, &request, command).await?;
    transaction_reply(201, &book, &outcome, &Viewer::All, intent.is_dry_run()).await
}
