//! Two processes on one book, and who writes its views.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use credit_core::AppId;
use credit_core::memory::{MemoryDocuments, MemoryJournal};
use credit_core::ports::StoreError;
use credit_core::ports::documents::{Batch, Collection, CommitError, Documents, Key, Query, Row, Write};
use credit_core::testkit::{Between, MeddlesWithDocuments};
use credit_wallet::ledger::{Book, LedgerSettings, views};

use crate::support::{APP, House, Take, ask, balance, keyed, wallet_with};

/// Counts the rows of history that one process writes to what both share.
struct Counted {
    inner: Arc<MemoryDocuments>,
    rows: AtomicUsize,
    /// Filters over generations that it writes, and how often it reads claims, other than by their ids.
    filters: AtomicUsize,
    scans: AtomicUsize,
    /// How long the way to the store is.
    way: Duration,
    /// It does not answer this process any more.
    is_away: AtomicBool,
}

impl Counted {
    fn rows(&self) -> usize {
        self.rows.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl MeddlesWithDocuments for Counted {
    fn behind(&self) -> &dyn Documents {
        &*self.inner
    }

    async fn before(&self) -> Result<(), StoreError> {
        if self.is_away.load(Ordering::Relaxed) {
            return Err(StoreError::Unavailable("away".to_owned()));
        }
        if !self.way.is_zero() {
            tokio::time::sleep(self.way).await;
        }
        Ok(())
    }

    async fn commit(&self, app: AppId, batch: Batch) -> Result<(), CommitError> {
        let puts = |wanted: &'static Collection| {
            let is_one = |write: &&Write| matches!(write, Write::Put { collection, .. } if collection.name == wanted.name);
            batch.writes.iter().filter(is_one).count()
        };
        self.rows.fetch_add(puts(&views::HISTORY), Ordering::Relaxed);
        self.filters.fetch_add(puts(&views::FILTERS), Ordering::Relaxed);
        self.inner.commit(app, batch).await
    }

    async fn query(&self, app: AppId, query: Query) -> Result<Vec<Row>, StoreError> {
        if query.collection.name == views::CLAIMS.name {
            self.scans.fetch_add(1, Ordering::Relaxed);
        }
        self.inner.query(app, query).await
    }
}

/// Two processes on one book.
struct Two {
    houses: [House; 2],
    books: [Arc<Book>; 2],
    written: [Arc<Between<Counted>>; 2],
}

impl Two {
    async fn open(view_pause: Duration, way: Duration) -> Self {
        let (inner, journal) = (Arc::new(MemoryDocuments::new()), Arc::new(MemoryJournal::shared()));
        let counted = || {
            let [rows, filters, scans] = [0; 3].map(AtomicUsize::new);
            let is_away = AtomicBool::new(false);
            Arc::new(Between(Counted { inner: inner.clone(), rows, filters, scans, way, is_away }))
        };
        let written = [counted(), counted()];
        let houses = written.clone().map(|documents| {
            let house = House::over(journal.clone(), documents);
            House { settings: LedgerSettings { view_pause, ..house.settings.clone() }, ..house }
        });
        let books = [houses[0].book().await, houses[1].book().await];
        Self { houses, books, written }
    }

    /// Waits until both know that the views show everything, without asking for it.
    async fn wait_until_shown(&self) {
        let until = tokio::time::Instant::now() + Duration::from_secs(20);
        while self.books.iter().any(|book| book.lag() > 0) {
            let lags = self.books.each_ref().map(|book| book.lag());
            assert!(tokio::time::Instant::now() < until, "{lags:?} are not shown");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn rows(&self) -> usize {
        self.written.iter().map(|one| one.rows()).sum()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_processes_under_load_one_writes_the_views_and_both_know_what_is_shown() {
    const SPENDS: usize = 600;
    let two = Two::open(Duration::from_millis(40), Duration::ZERO).await;
    let books = &two.books;
    let wallet = wallet_with(&books[0], 1, 1_000).await;

    for call in 0..SPENDS {
        books[call % 2].submit(ask(Take::new(wallet, 1))).await.expect("enough is there");
        tokio::time::sleep(Duration::from_micros(500)).await;
    }

    // Nobody asks for the views, so that only whose turn it is writes them.
    two.wait_until_shown().await;
    let rows = two.rows();
    assert!(rows >= SPENDS, "{rows} rows were written of {SPENDS} spends");
    assert!(rows < SPENDS * 3 / 2, "{rows} rows were written of {SPENDS} spends: some of them twice");
    for (book, house) in books.iter().zip(&two.houses) {
        assert_eq!(balance(book, wallet).await, 400);
        house.verify(book).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_that_take_over_in_the_same_moment_one_writes() {
    const ROUNDS: usize = 25;
    // Both have looked before one of them has shown that it writes.
    let two = Two::open(Duration::from_millis(1), Duration::from_millis(10)).await;
    let wallet = wallet_with(&two.books[0], 1, 1_000).await;
    two.wait_until_shown().await;
    let before = two.rows();
    for round in 0..ROUNDS {
        two.books[round % 2].submit(ask(Take::new(wallet, 1))).await.expect("enough is there");
        let [first, second] = &two.books;
        tokio::join!(balance(first, wallet), balance(second, wallet));
        two.wait_until_shown().await;
    }
    assert_eq!(two.rows() - before, ROUNDS, "each spend has one row, and it is written once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_waits_for_much_leaves_it_to_whose_turn_it_is_and_writes_it_when_that_one_is_gone() {
    const SPENDS: usize = 2_500;
    let two = Two::open(Duration::from_secs(3), Duration::ZERO).await;
    let [first, second] = &two.books;
    let wallet = wallet_with(first, 1, 10_000).await;
    first.flush().await.expect("the views catch up");
    let spend = async || {
        let spends = (0..SPENDS).map(|_| first.submit(ask(Take::new(wallet, 1))));
        for outcome in futures_util::future::join_all(spends).await {
            outcome.expect("enough is there");
        }
    };

    spend().await;
    assert_eq!(balance(second, wallet).await, 7_500);
    assert!(second.lag() > 2_000, "{} records: the first one was too fast for this test", second.lag());
    second.flush().await.expect("the first one writes within its pause");
    assert_eq!((second.lag(), two.written[1].rows()), (0, 0));
    assert!(two.written[0].rows() > SPENDS);

    // It rests again, with the turn its own, and then comes no more.
    spend().await;
    assert_eq!(balance(second, wallet).await, 5_000);
    let behind = second.lag();
    assert!(behind > 2_000, "{behind} records");
    two.written[0].is_away.store(true, Ordering::Relaxed);
    second.flush().await.expect("it does not wait for ever");
    assert_eq!(second.lag(), 0);
    assert!(two.written[1].rows() >= behind, "{} rows of {behind}", two.written[1].rows());
    two.houses[1].verify(second).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_sweep_without_anything_due_writes_no_views() {
    let two = Two::open(Duration::from_secs(3), Duration::ZERO).await;
    let [first, second] = &two.books;
    let wallet = wallet_with(first, 1, 10).await;
    first.submit(ask(Take::new(wallet, 1))).await.expect("enough is there");
    assert_eq!(balance(second, wallet).await, 9);
    let (behind, rows) = (second.lag(), two.written[1].rows());
    assert_eq!(second.sweep().await.expect("a sweep"), 0);
    assert!(behind > 0, "there was nothing to write");
    assert_eq!((second.lag(), two.written[1].rows()), (behind, rows));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_generation_that_has_become_complete_is_not_read_again_and_one_process_writes_its_filter() {
    const SPENDS: usize = 203;
    let two = Two::open(Duration::from_millis(5), Duration::from_millis(1)).await;
    let wallet = wallet_with(&two.books[0], 1, 1_000).await;
    // What a process finds in the newest generation when it opens the book, it reads.
    let opened = two.written.each_ref().map(|one| one.scans.load(Ordering::Relaxed));
    for call in 0..SPENDS {
        let ask = keyed(Take::new(wallet, 1), &call.to_string());
        two.books[call % 2].submit(ask).await.expect("enough is there");
    }
    two.wait_until_shown().await;
    let head = two.houses[0].replay().await;
    let complete = usize::try_from(head.claims_made() / 8).expect("small");
    assert!(complete >= SPENDS / 8, "{complete} generations are complete");
    let kept = || async {
        let all = Query::new(&views::FILTERS, None, Key::empty(), 1_000);
        two.houses[0].documents.query(APP, all).await.expect("readable").len()
    };
    let until = tokio::time::Instant::now() + Duration::from_secs(10);
    while kept().await < complete {
        assert!(tokio::time::Instant::now() < until, "{} of {complete} filters", kept().await);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let written: usize = two.written.iter().map(|one| one.filters.load(Ordering::Relaxed)).sum();
    // Who takes over may write once more what the one before it has just written.
    assert!(written >= complete && written < complete + complete / 2, "{written} were written of {complete}");
    assert_eq!(two.written.each_ref().map(|one| one.scans.load(Ordering::Relaxed)), opened);

    // Each of them, and one that opens the book now, knows what was done with a key.
    let third = two.houses[0].book().await;
    for call in 0..SPENDS {
        let book = [&two.books[0], &two.books[1], &third][call % 3];
        let again = book.submit(keyed(Take::new(wallet, 1), &call.to_string())).await.expect("as before");
        assert!(again.replayed, "{call}");
    }
    assert_eq!(balance(&third, wallet).await, 797);
    two.houses[0].verify(&third).await;
}
