//! Transactions on the wire.

use credit_api::reply::Reply;
use credit_core::Problem;
use credit_wallet::domain::Parties;
use credit_wallet::routes::outcome;
use credit_wallet::routes::response::{TransactionResponse, Viewer};

use crate::service::{Made, Seen};

/// `201` with the transaction; `200` with one that the same payment had made before.
pub(super) async fn made(made: Made) -> Result<Reply, Problem> {
    outcome::transaction_reply(201, &made.book, &made.outcome, &made.viewer, made.dry_run).await
}

/// A transaction as its viewer may see it. Who only got a transfer sees the version of its own wallet.
pub(super) fn seen(seen: &Seen) -> TransactionResponse {
    let transaction = seen.posted.transaction();
    let mut response = TransactionResponse::new(seen.app, transaction, seen.refunded, &seen.viewer);
    if let (Viewer::Of(own), Parties::Between { source, destination }) = (&seen.viewer, transaction.parties)
        && !own.contains(&source)
        && let Some(change) = seen.posted.record.change_of(destination)
    {
        response.wallet_version = change.version;
    }
    response
}
