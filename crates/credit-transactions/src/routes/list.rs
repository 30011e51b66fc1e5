//! `GET /v1/transactions`.

use std::sync::Arc;

use credit_api::form::{FormValue, Schema};
use credit_api::reply::Reply;
use credit_api::request::Request;
use credit_api::route::{Method, Route};
use credit_core::{Problem, Timestamp, UserId, WalletId};
use credit_wallet::domain::Kind;
use credit_wallet::routes::response::TransactionResponse;
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};

use super::render;
use super::show::READERS;
use crate::service::{HistoryFilter, Transactions};

pub(super) fn row(transactions: Arc<Transactions>) -> Route {
    Route::new(Method::Get, "/v1/transactions", READERS, "List transactions", move |request| {
        list(transactions.clone(), request)
    })
    .parameter("wallet_id", "Only those of this wallet.", text_schema)
    .parameter("user_id", "Only those of this user's wallets.", text_schema)
    .parameter("type", "Only those of this type.", kind_schema)
    .parameter("reference", "Only those with this reference.", text_schema)
    .parameter("from", "Not before this instant.", Timestamp::schema)
    .parameter("to", "Before this instant.", Timestamp::schema)
    .answers_page::<TransactionResponse>("Transactions, newest first.")
}

async fn list(transactions: Arc<Transactions>, request: Request) -> Result<Reply, Problem> {
    let page = request.page()?;
    let kinds = || Kind::NAMES.map(|(_, name)| name).join(", ");
    let time = |name| {
        request.query_as(name, "must be an RFC 3339 instant, with its + written as %2B", |text| {
            Timestamp::parse(text).ok()
        })
    };
    let (from, to) = (time("from")?, time("to")?);
    let kind = request.query_as("type", &format!("must be one of {}", kinds()), Kind::parse)?;
    let wallet = request.query("wallet_id").map(WalletId::parse).transpose();
    let user = request.query("user_id").map(UserId::parse).transpose();
    let (Ok(wallet), Ok(user)) = (wallet, user) else {
        return Ok(request.page_reply::<TransactionResponse>(&[], None));
    };
    let reference = request.query("reference").map(str::to_owned);
    let filter = HistoryFilter { wallet, user, kind, reference, from, to };
    let (rows, next) = transactions.history(request.principal()?, &filter, &page).await?;
    let rows: Vec<TransactionResponse> = rows.iter().map(render::seen).collect();
    Ok(request.page_reply(&rows, next.as_ref()))
}

fn text_schema() -> Schema {
    ObjectBuilder::new().schema_type(SchemaType::new(Type::String)).into()
}

fn kind_schema() -> Schema {
    ObjectBuilder::new()
        .schema_type(SchemaType::new(Type::String))
        .enum_values(Some(Kind::NAMES.map(|(_, name)| name)))
        .into()
}
