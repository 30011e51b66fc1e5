//! Two processes on one book, and who writes its views.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use credit_core::AppId;
use credit_core::memory::{MemoryDocuments, MemoryJournal};
use credit_core::ports::documents::{Batch, CommitError, Documents, Write};
use credit_core::testkit::{Between, MeddlesWithDocuments};
use credit_wallet::ledger::{LedgerSettings, views};

use crate::support::{House, Take, ask, balance, wallet_with};

/// Counts the rows of history that one process writes to what both share.
struct Counted {
    inner: Arc<MemoryDocuments>,
    rows: AtomicUsize,
}

impl Counted {
    fn over(inner: &Arc<MemoryDocuments>) -> Arc<Between<Self>> {
        Arc::new(Between(Self { inner: inner.clone(), rows: AtomicUsize::new(0) }))
    }
}

#[async_trait]
impl MeddlesWithDocuments for Counted {
    fn behind(&self) -> &dyn Documents {
        &*self.inner
    }

    async fn commit(&self, app: AppId, batch: Batch) -> Result<(), CommitError> {
        let is_history = |write: &&Write| match write {
            Write::Put { collection, .. } => collection.name == views::HISTORY.name,
            _ => false,
        };
        self.rows.fetch_add(batch.writes.iter().filter(is_history).count(), Ordering::Relaxed);
        self.inner.commit(app, batch).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_processes_under_load_one_writes_the_views_and_both_know_what_is_shown() {
    const SPENDS: usize = 600;
    let (kept, journal) = (Arc::new(MemoryDocuments::new()), Arc::new(MemoryJournal::shared()));
    let written = [Counted::over(&kept), Counted::over(&kept)];
    let houses = written.clone().map(|documents| {
        let house = House::over(journal.clone(), documents);
        House {
            settings: LedgerSettings { view_pause: Duration::from_millis(40), ..house.settings.clone() },
            ..house
        }
    });
    let books = [houses[0].book().await, houses[1].book().await];
    let wallet = wallet_with(&books[0], 1, 1_000).await;

    for call in 0..SPENDS {
        books[call % 2].submit(ask(Take::new(wallet, 1))).await.expect("enough is there");
        tokio::time::sleep(Duration::from_micros(500)).await;
    }

    // Nobody asks for the views, so that only whose turn it is writes them.
    let until = tokio::time::Instant::now() + Duration::from_secs(20);
    while books.iter().any(|book| book.lag() > 0) {
        assert!(
            tokio::time::Instant::now() < until,
            "{:?} are not shown",
            books.each_ref().map(|book| book.lag())
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let rows: usize = written.iter().map(|one| one.rows.load(Ordering::Relaxed)).sum();
    assert!(rows >= SPENDS, "{rows} rows were written of {SPENDS} spends");
    assert!(rows < SPENDS * 3 / 2, "{rows} rows were written of {SPENDS} spends: some of them twice");
    for (book, house) in books.iter().zip(&houses) {
        assert_eq!(balance(book, wallet).await, 400);
        house.verify(book).await;
    }
}
