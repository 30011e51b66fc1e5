//! `POST /v1/transactions/{id}/refund`.

use std::sync::Arc;

use credit_api::form::Text;
use credit_api::reply::Reply;
use credit_api::request::Request;
use credit_api::route::{Access, Method, Route, Who};
use credit_core::{Amount, Code, Problem, Scope};
use credit_wallet::domain::Note;
use credit_wallet::routes::response::TransactionResponse;

use super::render;
use crate::service::Transactions;

credit_api::form! {
    /// How much to refund, and why. Without an amount, all that can still be refunded.
    pub(super) struct RefundBody {
        amount: opt Amount,
        reason: opt Text<0, 500>,
    }
}

pub(super) fn row(transactions: Arc<Transactions>) -> Route {
    let access = Access::Only(&[Who::Scope(Scope::TransactionsWrite), Who::Admin]);
    Route::new(
        Method::Post,
        "/v1/transactions/{id}/refund",
        access,
        "Refund a purchase, spend or capture",
        move |request| refund(transactions.clone(), request),
    )
    .optional_form::<RefundBody>()
    .idempotent()
    .answers::<TransactionResponse>(201, "The refund, posted.")
    .refuses(&[
        Code::WalletFrozen,
        Code::WalletClosed,
        Code::NotRefundable,
        Code::RefundExceedsOriginal,
        Code::RefundExceedsRemaining,
        Code::BalanceOverflow,
    ])
}

async fn refund(transactions: Arc<Transactions>, request: Request) -> Result<Reply, Problem> {
    let body: RefundBody = request.form()?;
    let note = Note { reason: body.reason.map(Text::into_string), ..Note::default() };
    render::made(transactions.refund(&request, body.amount, note).await?).await
}
