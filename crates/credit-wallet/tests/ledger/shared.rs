//! Two processes on one book.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use credit_core::memory::{MemoryDocuments, MemoryJournal};
use credit_core::ports::StoreError;
use credit_core::ports::documents::{Batch, CommitError, Documents, Write};
use credit_core::ports::journal::{BookId, Group, Journal, Sequence};
use credit_core::testkit::{Between, MeddlesWithDocuments, MeddlesWithJournal};
use credit_core::{AppId, Code};
use credit_wallet::ledger::{LedgerSettings, rebuild_views, views};
use futures_util::future::join_all;
use tokio::sync::watch;

use crate::races::walk;
use crate::support::{
    APP, GiveBack, House, ShakyDocuments, ShakyJournal, Take, ask, balance, keyed, open, posted, wallet_with,
};

fn shared_house() -> House {
    let journal = ShakyJournal::new(MemoryJournal::shared(), 1, 0, Duration::from_micros(200));
    House::over(journal, Arc::new(ShakyDocuments::default()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_processes_on_one_wallet_overspend_nothing_and_both_get_their_share() {
    let house = shared_house();
    let books = [house.book().await, house.book().await];
    let wallet = wallet_with(&books[0], 1, 300).await;

    let calls = (0..400).map(|call| {
        let book = books[call % 2].clone();
        tokio::spawn(async move { (call % 2, book.submit(ask(Take::new(wallet, 1))).await) })
    });
    let mut accepted = [0, 0];
    for outcome in join_all(calls).await {
        match outcome.expect("no panic") {
            (process, Ok(_)) => accepted[process] += 1,
            (_, Err(problem)) => assert_eq!(problem.code(), Code::InsufficientFunds),
        }
    }

    assert_eq!(accepted[0] + accepted[1], 300);
    assert!(accepted.iter().all(|accepted| *accepted >= 50), "{accepted:?}");
    for book in &books {
        assert_eq!(balance(book, wallet).await, 0);
        let verified = house.verify(book).await;
        assert_eq!(verified.totals, book.totals());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_key_at_two_processes_has_one_effect() {
    let house = shared_house();
    let books = [house.book().await, house.book().await];
    let wallet = wallet_with(&books[0], 1, 1_000).await;

    let calls = (0..400).map(|call| {
        let book = books[call % 2].clone();
        tokio::spawn(async move {
            book.submit(keyed(Take::new(wallet, 1), &format!("{}", call / 8))).await.expect("enough is there")
        })
    });
    let outcomes = join_all(calls).await;

    let first = outcomes.iter().filter(|outcome| !outcome.as_ref().expect("no panic").replayed).count();
    assert_eq!(first, 50);
    assert_eq!(balance(&books[1], wallet).await, 950);
    house.verify(&books[0]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_read_at_one_process_sees_what_the_other_has_answered() {
    let house = shared_house();
    let books = [house.book().await, house.book().await];
    let wallet = wallet_with(&books[0], 1, 1_000).await;

    for call in 0..100 {
        let outcome = books[call % 2].submit(ask(Take::new(wallet, 1))).await.expect("enough is there");
        let other = &books[(call + 1) % 2];
        let version = outcome.record().expect("decided here").change_of(wallet).expect("it changed").version;
        let seen = other.wallet(wallet).await.expect("it can be read").expect("it exists");
        assert!(seen.version >= version, "{} after {version} was answered", seen.version);
        let posted = other.transaction(outcome.posted()[0].id).await.expect("it can be read");
        assert_eq!(posted.map(|posted| posted.transaction().clone()).as_ref(), outcome.posted().first());
    }
    house.verify(&books[0]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_processes_with_hardly_any_memory_stay_right_under_load_and_readers() {
    let mut house = shared_house();
    house.settings =
        LedgerSettings { cached_wallets: 3, view_pause: Duration::from_micros(100), ..house.settings };
    let books = [house.book().await, house.book().await];
    let wallets = join_all((0..20).map(|user| open(&books[0], user))).await;

    let walks = (0_usize..12).map(|walker| {
        let seed = u64::try_from(walker).expect("small");
        tokio::spawn(walk(books[walker % 2].clone(), wallets.clone(), seed, 60))
    });
    let sums = join_all(walks).await;

    let expected: i64 = sums.into_iter().map(|sum| sum.expect("no panic")).sum();
    for book in &books {
        let mut found = 0;
        for wallet in &wallets {
            found += balance(book, *wallet).await;
        }
        assert_eq!(found, expected);
        let verified = house.verify(book).await;
        assert_eq!(verified.totals, book.totals());
    }
}

/// Documents whose batches of views become visible in parts, as they may: wallets first, all else when it is let go.
#[derive(Default)]
struct InParts {
    inner: MemoryDocuments,
    held: watch::Sender<bool>,
}

#[async_trait]
impl MeddlesWithDocuments for InParts {
    fn behind(&self) -> &dyn Documents {
        &self.inner
    }

    async fn commit(&self, app: AppId, batch: Batch) -> Result<(), CommitError> {
        let is_wallet =
            |write: &Write| matches!(write, Write::Put { collection, .. } if **collection == views::WALLETS);
        let (first, rest): (Vec<Write>, Vec<Write>) = batch.writes.into_iter().partition(is_wallet);
        if !first.is_empty() {
            self.inner.commit(app, Batch { writes: first }).await?;
            let mut held = self.held.subscribe();
            held.wait_for(|held| !held).await.expect("the sender is in here");
        }
        self.inner.commit(app, Batch { writes: rest }).await
    }
}

#[tokio::test]
async fn a_refund_is_not_made_again_elsewhere_while_its_views_become_visible() {
    let documents = Arc::new(<Between<InParts>>::default());
    let house = House::over(Arc::new(MemoryJournal::shared()), documents.clone());
    let book = house.book().await;
    let wallet = wallet_with(&book, 1, 10).await;
    let spent = posted(&book.submit(ask(Take::new(wallet, 10))).await.expect("ten are there"));
    book.flush().await.expect("the views are written");
    let elsewhere = house.book().await;
    documents.held.send_replace(true);
    let version = async || {
        let shown = documents.get(APP, &views::WALLETS, &wallet.to_string()).await.expect("it can be read");
        shown.expect("it is shown").version
    };
    let before = version().await;

    book.submit(ask(GiveBack(spent.clone()))).await.expect("it was not refunded yet");
    while version().await == before {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let again = elsewhere.submit(ask(GiveBack(spent))).await.expect_err("it was refunded");

    assert_eq!(again.code(), Code::RefundExceedsOriginal);
    documents.held.send_replace(false);
    for book in [&book, &elsewhere] {
        assert_eq!(balance(book, wallet).await, 10);
        house.verify(book).await;
    }
}

#[tokio::test]
async fn a_refund_is_not_made_again_after_a_rebuild_that_broke_off() {
    let documents = Arc::new(<Between<InParts>>::default());
    let house = House::over(Arc::new(MemoryJournal::shared()), documents.clone());
    let book = house.book().await;
    let wallet = wallet_with(&book, 1, 10).await;
    let spent = posted(&book.submit(ask(Take::new(wallet, 10))).await.expect("ten are there"));
    book.submit(ask(GiveBack(spent.clone()))).await.expect("it was not refunded yet");
    book.flush().await.expect("the views are written");
    documents.held.send_replace(true);
    let rebuilding = tokio::spawn({
        let house = house.clone();
        async move { rebuild_views(&house.journal, &house.documents, APP, &house.settings, |_, _| {}).await }
    });
    let is_shown = async |of, id: &str| documents.get(APP, of, id).await.expect("it can be read").is_some();
    while is_shown(&views::BOOKS, views::BOOK).await || !is_shown(&views::WALLETS, &wallet.to_string()).await
    {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    rebuilding.abort();
    documents.held.send_replace(false);

    let after = house.book().await;
    let again = after.submit(ask(GiveBack(spent))).await.expect_err("it was refunded");

    assert_eq!(again.code(), Code::RefundExceedsOriginal);
    assert_eq!(balance(&after, wallet).await, 10);
    house.verify(&after).await;
}

/// A journal of which one process counts the groups that it reads.
pub(crate) struct Read {
    pub(crate) inner: Arc<dyn Journal>,
    pub(crate) groups: AtomicUsize,
}

#[async_trait]
impl MeddlesWithJournal for Read {
    fn behind(&self) -> &dyn Journal {
        &*self.inner
    }

    async fn read(
        &self,
        book: BookId,
        from: Sequence,
        limit: usize,
    ) -> Result<Vec<(Sequence, Group)>, StoreError> {
        let groups = self.inner.read(book, from, limit).await?;
        self.groups.fetch_add(groups.len(), Ordering::Relaxed);
        Ok(groups)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_was_not_asked_for_long_goes_on_from_the_watermark() {
    const SPENDS: usize = 2_500;
    let (journal, documents) = (Arc::new(MemoryJournal::shared()), Arc::new(MemoryDocuments::new()));
    let read = Arc::new(Between(Read { inner: journal.clone(), groups: AtomicUsize::new(0) }));
    let house = House::over(journal, documents.clone());
    let idle =
        House { journal: read.clone(), clock: house.clock.clone(), ..House::over(read.clone(), documents) };
    let (busy, idle) = (house.book().await, idle.book().await);
    let wallet = wallet_with(&busy, 1, 10_000).await;
    assert_eq!(balance(&idle, wallet).await, 10_000);
    for call in 0..SPENDS {
        busy.submit(keyed(Take::new(wallet, 1), &format!("call-{call}"))).await.expect("enough is there");
    }
    busy.flush().await.expect("the views catch up");

    let before = read.0.groups.load(Ordering::Relaxed);
    assert_eq!(balance(&idle, wallet).await, 10_000 - i64::try_from(SPENDS).expect("small"));
    let groups = read.0.groups.load(Ordering::Relaxed) - before;
    assert!(groups < 200, "{groups} groups of {SPENDS} were read");
    assert_eq!(idle.totals(), busy.totals());
    // It knows every key, and goes on.
    for call in [0, 7, SPENDS - 1] {
        let again = idle.submit(keyed(Take::new(wallet, 1), &format!("call-{call}"))).await;
        assert!(again.expect("its answer").replayed, "{call}");
    }
    idle.submit(keyed(Take::new(wallet, 1), "one more")).await.expect("enough is there");
    house.verify(&idle).await;
}
