//! How the web asks. Each call has a file, and so has each type of transaction.

mod adjustment;
mod grant;
mod list;
mod post;
mod purchase;
mod refund;
mod render;
mod show;
mod spend;
mod transfer;

use std::sync::Arc;

use credit_api::route::Route;

use crate::service::Transactions;

/// The rows of this module.
pub(crate) fn table(transactions: &Arc<Transactions>) -> Vec<Arc<Route>> {
    [post::row, refund::row, list::row, show::row].map(|row| Arc::new(row(transactions.clone()))).to_vec()
}
