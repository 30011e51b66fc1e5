//! `GET /v1/wallets/{id}/entries`.

use std::sync::Arc;

use credit_api::page::cut_page;
use credit_api::reply::Reply;
use credit_api::request::Request;
use credit_api::route::{Method, Route};
use credit_core::{Problem, WalletId};

use super::response::HistoryEntryResponse;
use super::{READERS, at};
use crate::service::Counter;

pub(super) fn rows(counter: &Arc<Counter>) -> Vec<Route> {
    vec![
        Route::new(
            Method::Get,
            "/v1/wallets/{id}/entries",
            READERS,
            "A wallet's ledger entries",
            at(counter, entries),
        )
        .answers_page::<HistoryEntryResponse>("Entries, newest first."),
    ]
}

async fn entries(counter: Arc<Counter>, request: Request) -> Result<Reply, Problem> {
    let page = request.page()?;
    let id = request.path_id("id", WalletId::parse)?;
    let (book, _) = counter.wallet(request.principal()?, id).await?;
    let rows = book.entries(id, page.after.as_ref(), page.limit + 1).await?;
    let (rows, next) = cut_page(rows, page.limit);
    let rows: Vec<HistoryEntryResponse> = rows.iter().map(HistoryEntryResponse::new).collect();
    Ok(request.page_reply(&rows, next.as_ref()))
}
