//! Holds and lots that are looked for while the views of their last changes are written.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use credit_core::AppId;
use credit_core::memory::{MemoryDocuments, MemoryJournal};
use credit_core::ports::documents::{Batch, CommitError, Documents};
use credit_core::testkit::{Between, MeddlesWithDocuments};
use credit_wallet::domain::HoldState;
use credit_wallet::domain::commands::ReleaseHold;
use credit_wallet::ledger::{Book, LedgerSettings};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::reads::{at, hold};
use crate::support::{Give, House, ask, open, posted, wallet_with};

/// Documents that take as many batches as they may, and let a book show everything between the next answer and whoever
/// asked for it.
struct Slow {
    inner: MemoryDocuments,
    batches: Semaphore,
    meanwhile: Mutex<Option<Arc<Book>>>,
}

impl Slow {
    /// A house over them in which nobody writes views unasked.
    fn house() -> (House, Arc<Between<Self>>) {
        let batches = Semaphore::new(Semaphore::MAX_PERMITS / 2);
        let slow = Self { inner: MemoryDocuments::new(), batches, meanwhile: Mutex::new(None) };
        let slow = Arc::new(Between(slow));
        let house = House::over(Arc::new(MemoryJournal::new()), slow.clone());
        let settings = LedgerSettings {
            view_pause: Duration::from_secs(600),
            claims_per_generation: 1_000,
            ..house.settings.clone()
        };
        (House { settings, ..house }, slow)
    }
}

#[async_trait]
impl MeddlesWithDocuments for Slow {
    fn behind(&self) -> &dyn Documents {
        &self.inner
    }

    async fn after(&self) {
        let book = self.meanwhile.lock().take();
        if let Some(book) = book {
            self.batches.add_permits(100);
            book.sweep().await.expect("a sweep");
            book.flush().await.expect("the views catch up");
        }
    }

    async fn commit(&self, app: AppId, batch: Batch) -> Result<(), CommitError> {
        self.batches.acquire().await.expect("it stays open").forget();
        self.inner.commit(app, batch).await
    }
}

#[tokio::test]
async fn what_falls_due_and_is_shown_while_it_is_looked_for_is_seen_settled() {
    for sought in ["the hold", "the lot"] {
        let (house, documents) = Slow::house();
        let book = house.book().await;
        let wallet = open(&book, 1).await;
        let given = ask(Give::new(wallet, 10).until(at(5)));
        let given = posted(&book.submit(given).await.expect("credits come in")).credited[0].grant;
        let hold = hold(&book, wallet, 4, 5).await;
        // Until nothing of them is among the last groups any more.
        for _ in 0..3 {
            book.flush().await.expect("the views catch up");
            book.submit(ask(Give::new(wallet, 1))).await.expect("credits come in");
        }

        house.clock.set(at(5));
        *documents.0.meanwhile.lock() = Some(book.clone());
        if sought == "the hold" {
            let hold = book.hold(hold).await.expect("it can be read").expect("it exists");
            assert_eq!(hold.state, HoldState::Expired);
        } else {
            let (_, lot) = book.grant(given).await.expect("it can be read").expect("it exists");
            assert_eq!((lot.remaining, lot.held, lot.expired), (0, 0, true));
        }
        assert!(documents.0.meanwhile.lock().is_none(), "{sought} was looked for in the views");
        house.verify(&book).await;
    }
}

#[tokio::test]
async fn a_hold_that_changes_while_its_last_change_becomes_shown_is_seen_as_it_is() {
    let (house, documents) = Slow::house();
    let book = house.book().await;
    let wallet = wallet_with(&book, 1, 100).await;
    let hold = hold(&book, wallet, 30, 100).await;
    book.flush().await.expect("the views catch up");
    // The views of one group are on their way when the next one settles the hold, and nothing is shown after them.
    documents.0.batches.forget_permits(Semaphore::MAX_PERMITS);
    book.submit(ask(Give::new(wallet, 1))).await.expect("credits come in");
    let shows = tokio::spawn({
        let book = book.clone();
        async move { book.flush().await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    book.submit(ask(ReleaseHold { wallet, hold })).await.expect("it is active");
    documents.0.batches.add_permits(1);
    shows.await.expect("it ends").expect("the views catch up");

    *documents.0.meanwhile.lock() = Some(book.clone());
    let seen = book.hold(hold).await.expect("it can be read").expect("it exists");

    assert_eq!(seen.state, HoldState::Released);
    assert!(documents.0.meanwhile.lock().take().is_some(), "it is known which wallet has it");
    documents.0.batches.add_permits(100);
    house.verify(&book).await;
}
