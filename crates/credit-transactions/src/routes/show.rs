//! `GET /v1/transactions/{id}`.

use std::sync::Arc;

use credit_api::reply::Reply;
use credit_api::request::Request;
use credit_api::route::{Access, Method, Route, Who};
use credit_core::{Problem, Scope, TransactionId};
use credit_wallet::routes::response::TransactionResponse;

use super::render;
use crate::service::Transactions;

/// Who reads transactions: owners their own, the application's back end, operators all.
pub(super) const READERS: Access =
    Access::Only(&[Who::User, Who::Scope(Scope::TransactionsRead), Who::Support]);

pub(super) fn row(transactions: Arc<Transactions>) -> Route {
    Route::new(Method::Get, "/v1/transactions/{id}", READERS, "Read a transaction", move |request| {
        show(transactions.clone(), request)
    })
    .answers::<TransactionResponse>(200, "The transaction, with what has been refunded of it.")
}

async fn show(transactions: Arc<Transactions>, request: Request) -> Result<Reply, Problem> {
    let id = request.path_id("id", TransactionId::parse)?;
    let seen = transactions.show(request.principal()?, id).await?;
    Ok(Reply::ok(&render::seen(&seen)))
}
