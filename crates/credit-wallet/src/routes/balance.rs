//! `GET /v1/wallets/{id}/balance`.

use std::sync::Arc;

use credit_api::reply::Reply;
use credit_api::request::Request;
use credit_api::route::{Method, Route};
use credit_core::{Code, Problem, Timestamp, WalletId};

use super::response::BalanceResponse;
use super::{READERS, at, parameters};
use crate::service::Counter;

pub(super) fn rows(counter: &Arc<Counter>) -> Vec<Route> {
    vec![
        Route::new(
            Method::Get,
            "/v1/wallets/{id}/balance",
            READERS,
            "A wallet's balance, now or at an instant",
            at(counter, balance),
        )
        .parameter("at", "When, past or to come; known expiries are applied.", parameters::instant)
        .answers::<BalanceResponse>(200, "The figures.")
        .refuses(&[Code::InvalidParameter]),
    ]
}

async fn balance(counter: Arc<Counter>, request: Request) -> Result<Reply, Problem> {
    let at =
        request.query_as("at", "must be an RFC 3339 instant in UTC", |text| Timestamp::parse(text).ok())?;
    let id = request.path_id("id", WalletId::parse)?;
    let (book, wallet) = counter.wallet(request.principal()?, id).await?;
    let at = at.unwrap_or_else(|| book.now());
    let figures = book.balance_at(id, at).await?.ok_or_else(Problem::not_found)?;
    Ok(Reply::ok(&BalanceResponse::new(&wallet, figures)))
}
