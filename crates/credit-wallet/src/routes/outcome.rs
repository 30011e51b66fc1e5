//! What the ledger decided, as a reply: the same bytes every time the same outcome is asked for.

use credit_api::reply::Reply;
use credit_core::{Code, Problem};

use super::response::{HoldResponse, TransactionResponse, Viewer, WalletResponse};
use crate::domain::{Answer, Wallet};
use crate::ledger::{Book, Outcome};

/// A posted transaction as it was when it was posted, so that a replay has the very same body. A purchase that was made
/// before with the same `external_id` is answered `200` with what had been refunded of it by then.
pub async fn transaction_reply(
    status: u16,
    book: &Book,
    outcome: &Outcome,
    viewer: &Viewer,
    dry_run: bool,
) -> Result<Reply, Problem> {
    let broken = || Problem::new(Code::Internal);
    let earlier;
    let (status, answer, posted, refunded) = match outcome.answer() {
        Answer::Earlier { place, refunded } => {
            earlier = book.record_at(*place).await?;
            (200, &earlier.answer, &earlier.posted[..], *refunded)
        }
        answer => (status, answer, outcome.posted(), 0),
    };
    let Answer::Posted(index) = answer else { return Err(broken()) };
    let index = usize::try_from(*index).map_err(|_| broken())?;
    let transaction = posted.get(index).ok_or_else(broken)?;
    let body = TransactionResponse::new(book.id(), transaction, refunded, viewer).dry(dry_run);
    Ok(marked(Reply::json(status, &body), outcome))
}

/// A hold as it was after the command.
pub fn hold_reply(status: u16, book: &Book, outcome: &Outcome, dry_run: bool) -> Result<Reply, Problem> {
    let Answer::Hold(hold) = outcome.answer() else { return Err(Problem::new(Code::Internal)) };
    let body = HoldResponse::new(book.id(), hold).dry(dry_run);
    Ok(marked(Reply::json(status, &body).with_version(hold.version), outcome))
}

/// A wallet as it is.
pub fn wallet_reply(status: u16, book: &Book, wallet: &Wallet) -> Reply {
    let body = WalletResponse::new(book.id(), wallet, book.now());
    Reply::json(status, &body).with_version(wallet.version)
}

fn marked(reply: Reply, outcome: &Outcome) -> Reply {
    if outcome.replayed { reply.replayed() } else { reply }
}
