//! What can be asked of this module. Each use case has a file.

mod history;
mod post;
mod refund;
mod show;

use std::sync::Arc;

use credit_core::AppId;
use credit_wallet::ledger::{Book, Outcome, Posted};
use credit_wallet::routes::response::Viewer;
use credit_wallet::service::Counter;

pub(crate) use history::HistoryFilter;

/// The use cases, over the counter of `credit-wallet`.
pub(crate) struct Transactions {
    counter: Arc<Counter>,
}

/// A transaction for a caller's eyes.
pub(crate) struct Seen {
    /// Whose book it stands in.
    pub(crate) app: AppId,
    /// The transaction.
    pub(crate) posted: Posted,
    /// What has been refunded of it.
    pub(crate) refunded: i64,
    /// Whose insides the caller may see.
    pub(crate) viewer: Viewer,
}

/// What the ledger decided of what a caller asked for.
pub(crate) struct Made {
    /// The book.
    pub(crate) book: Arc<Book>,
    /// What the book has of it.
    pub(crate) outcome: Outcome,
    /// Whose insides the caller may see.
    pub(crate) viewer: Viewer,
    /// Decided, and not stored.
    pub(crate) dry_run: bool,
}

impl Transactions {
    pub(crate) fn new(counter: Arc<Counter>) -> Self {
        Self { counter }
    }

    /// An application whose book takes no commands, if there is one.
    pub(crate) fn broken_book(&self) -> Option<AppId> {
        let books = self.counter.ledger().open_books();
        books.into_iter().find(|book| book.fault().is_some()).map(|book| book.id())
    }
}
