//! How the web asks. Each row says who may call; what the caller sees is the counter's business.

mod assets;
mod balance;
mod entries;
mod grants;
mod holds;
mod parameters;
mod settle_holds;
mod wallets;

pub mod outcome;
pub mod response;

use std::sync::Arc;

use credit_api::reply::Reply;
use credit_api::request::Request;
use credit_api::route::{Access, Route, Who};
use credit_core::{Problem, Scope};

use crate::service::Counter;

/// Who reads wallets and what is in them. Users who are not operators see their own.
const READERS: Access = Access::Only(&[Who::User, Who::Scope(Scope::WalletsRead)]);

credit_api::form! {
    /// Nothing needs to be said.
    pub(crate) struct EmptyBody {}
}

/// The rows of `wallet_module`.
pub(crate) fn rows(counter: &Arc<Counter>) -> Vec<Route> {
    let mut rows = assets::rows(counter);
    rows.extend(wallets::rows(counter));
    rows.extend(balance::rows(counter));
    rows.extend(entries::rows(counter));
    rows.extend(grants::rows(counter));
    rows.extend(holds::rows(counter));
    rows.extend(settle_holds::rows(counter));
    rows
}

/// A handler that works at the counter.
fn at<F, Fut>(counter: &Arc<Counter>, handler: F) -> impl Fn(Request) -> Fut + Send + Sync + 'static
where
    F: Fn(Arc<Counter>, Request) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Reply, Problem>> + 'static,
{
    let counter = counter.clone();
    move |request| handler(counter.clone(), request)
}
