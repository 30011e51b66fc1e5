//! One transaction.

use credit_core::{Principal, Problem, TransactionId};
use credit_wallet::domain::{Kind, Transaction};
use credit_wallet::ledger::Book;
use credit_wallet::routes::response::Viewer;
use credit_wallet::service::Sight;

use super::{Seen, Transactions};

impl Transactions {
    /// A transaction that the caller may see, with what has been refunded of it.
    pub(crate) async fn show(&self, principal: &Principal, id: TransactionId) -> Result<Seen, Problem> {
        let (book, posted) = self.counter.transaction(principal, id).await?;
        let sight = Sight::of(principal);
        let mut own = Vec::new();
        if matches!(sight, Sight::Own(..)) {
            for wallet in posted.transaction().parties.wallets() {
                if book.wallet(wallet).await?.is_some_and(|wallet| sight.sees(&wallet)) {
                    own.push(wallet);
                }
            }
        }
        let refunded = refunded(&book, posted.transaction()).await?;
        Ok(Seen { app: book.id(), posted, refunded, viewer: Viewer::new(sight, own) })
    }
}

/// What has been refunded of a transaction. Only some kinds can be.
pub(super) async fn refunded(book: &Book, transaction: &Transaction) -> Result<i64, Problem> {
    match transaction.kind {
        Kind::Purchase | Kind::Spend | Kind::Capture => Ok(book.refunded_amount(transaction).await?),
        _ => Ok(0),
    }
}
