//! A usual writer that lives and does not get on: cut off from the store, with a broken book, or stuck.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use credit_core::ports::StoreError;
use credit_core::ports::documents::{Batch, CommitError, Documents};
use credit_core::ports::journal::{Appended, BookId, Group, Journal, Sequence};
use credit_core::testkit::{Between, MeddlesWithDocuments, MeddlesWithJournal};
use credit_core::{AppId, Code, WalletId};
use credit_wallet::ledger::{Book, LedgerSettings, views};
use futures_util::future::join_all;
use tokio::sync::Semaphore;

use crate::support::{APP, House, Take, balance, keyed, wallet_with};
use crate::switchboard::{Line, Switchboard};
use crate::usual::house;

/// Documents that one process does not reach any more, once it is told so.
struct Cut {
    inner: Arc<dyn Documents>,
    is_cut: AtomicBool,
}

#[async_trait]
impl MeddlesWithDocuments for Cut {
    fn behind(&self) -> &dyn Documents {
        &*self.inner
    }

    async fn before(&self) -> Result<(), StoreError> {
        if self.is_cut.load(Ordering::Relaxed) {
            return Err(StoreError::Unavailable("cut off".to_owned()));
        }
        Ok(())
    }

    async fn commit(&self, app: AppId, batch: Batch) -> Result<(), CommitError> {
        self.before().await?;
        self.inner.commit(app, batch).await
    }
}

/// Spends at these until something is handed over.
pub(crate) async fn until_handed_over(
    board: &Switchboard,
    books: &[Arc<Book>],
    wallet: WalletId,
    what: &str,
) {
    for round in 0..400 {
        let before = board.answered();
        for (number, book) in books.iter().enumerate() {
            let ask = keyed(Take::new(wallet, 1), &format!("{what}-{round}-{number}"));
            book.submit(ask).await.expect("enough is there");
        }
        if board.answered() > before {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what}: nothing is handed over");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_writer_that_does_not_get_on_what_it_was_asked_is_decided_by_others_in_time() {
    let (house, board) = house();
    let cut = Cut { inner: house.documents.clone(), is_cut: AtomicBool::new(false) };
    let documents = Arc::new(Between(cut));
    let writer = House { documents: documents.clone(), ..house.clone() }.book().await;
    let other = house.book().await;
    let wallet = wallet_with(&writer, 1, 100_000).await;
    // It has the seat before anybody else asks for it, and keeps it as long as it is asked.
    while house.documents.get(APP, &views::BOOKS, views::WRITER).await.expect("it can be read").is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for round in 0..400 {
        let ask = keyed(Take::new(wallet, 1), &format!("kept-{round}"));
        writer.submit(ask).await.expect("enough is there");
        let answered = board.answered();
        let ask = keyed(Take::new(wallet, 1), &format!("handed-{round}"));
        other.submit(ask).await.expect("enough is there");
        if board.answered() > answered {
            break;
        }
        assert!(round < 399, "nothing is handed over");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let before = balance(&other, wallet).await;

    documents.0.is_cut.store(true, Ordering::Relaxed);
    board.set(Line::Silent);
    let asked = tokio::time::Instant::now();
    let calls = (0..20).map(|call| keyed(Take::new(wallet, 1), &format!("call-{call}")));
    for outcome in join_all(calls.map(|ask| other.submit(ask))).await {
        outcome.expect("it is decided here once nobody sees the other one any more");
    }
    println!("after {:?}", asked.elapsed());
    assert_eq!(balance(&other, wallet).await, before - 20);
}

/// A journal that one process finds damaged, once it is told to.
struct Damaged {
    inner: Arc<dyn Journal>,
    is_damaged: AtomicBool,
}

#[async_trait]
impl MeddlesWithJournal for Damaged {
    fn behind(&self) -> &dyn Journal {
        &*self.inner
    }

    async fn append(&self, book: BookId, sequence: Sequence, group: Group) -> Result<Appended, StoreError> {
        if self.is_damaged.load(Ordering::Relaxed) {
            return Err(StoreError::Corrupt("told to be".to_owned()));
        }
        self.inner.append(book, sequence, group).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_writer_whose_book_is_broken_leaves_its_seat() {
    let (house, board) = house();
    let inner = house.journal.clone();
    let journal = Arc::new(Between(Damaged { inner, is_damaged: AtomicBool::new(false) }));
    let broken = House { journal: journal.clone(), ..house.clone() }.book().await;
    let others = [house.book().await, house.book().await];
    let wallet = wallet_with(&broken, 1, 100_000).await;
    let all = [broken.clone(), others[0].clone(), others[1].clone()];
    until_handed_over(&board, &all, wallet, "before").await;
    journal.0.is_damaged.store(true, Ordering::Relaxed);
    let in_vain = keyed(Take::new(wallet, 1), "in vain");
    broken.submit(in_vain).await.expect_err("its journal is damaged");
    assert!(broken.fault().is_some());
    tokio::time::sleep(Duration::from_secs(4)).await; // it looks, and leaves
    until_handed_over(&board, &others, wallet, "after").await;
    let found = house.documents.get(APP, &views::BOOKS, views::WRITER).await;
    let beat: views::Beat =
        views::read(&found.expect("it can be read").expect("somebody writes")).expect("a beat");
    assert_ne!(beat.at.as_deref(), Some("process-0"));
    house.verify(&others[0]).await;
}

/// A journal whose appends wait at a gate, once it is shut.
struct Gate {
    inner: Arc<dyn Journal>,
    open: Semaphore,
}

#[async_trait]
impl MeddlesWithJournal for Gate {
    fn behind(&self) -> &dyn Journal {
        &*self.inner
    }

    async fn append(&self, book: BookId, sequence: Sequence, group: Group) -> Result<Appended, StoreError> {
        let _through = self.open.acquire().await.expect("never closed");
        self.inner.append(book, sequence, group).await
    }
}

/// Who is gone before the writer has begun with its command was told that nobody knows what becomes of it. Nothing does.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_a_stuck_writer_has_not_begun_in_time_never_happens() {
    let (house, board) = house();
    let settings = LedgerSettings {
        group_commands: 1,
        deadline: Duration::from_millis(1_500),
        ..house.settings.clone()
    };
    let house = House { settings, ..house };
    let gates =
        [(); 2].map(|()| Arc::new(Between(Gate { inner: house.journal.clone(), open: Semaphore::new(1) })));
    let (mut ledgers, mut books) = (Vec::new(), Vec::new());
    for gate in &gates {
        let ledger =
            House { journal: gate.clone(), ..house.clone() }.ledger_on(tokio::runtime::Handle::current());
        books.push(ledger.book(APP).await.expect("the book opens"));
        ledgers.push(ledger); // without it nothing is answered
    }
    let wallet = wallet_with(&books[0], 1, 100_000).await;
    until_handed_over(&board, &books, wallet, "before").await;
    let answered = board.answered();
    books[0].submit(keyed(Take::new(wallet, 1), "who has the seat?")).await.expect("enough is there");
    let seated = usize::from(board.answered() > answered);
    let (gate, writer, other) = (&gates[seated], &books[seated], &books[1 - seated]);
    let before = balance(other, wallet).await;

    let shut = gate.0.open.acquire().await.expect("never closed");
    let calls = || (0..10).map(|call| other.submit(keyed(Take::new(wallet, 1), &format!("call-{call}"))));
    for outcome in join_all(calls()).await {
        assert_eq!(outcome.expect_err("the writer is stuck").code(), Code::OutcomeUnknown);
    }
    drop(shut);
    writer.submit(keyed(Take::new(wallet, 1), "behind them")).await.expect("it gets on again");

    // One was on its way and one was decided on top of it. The others were still waiting.
    let spent = before - balance(other, wallet).await - 1;
    assert!((1..=2).contains(&spent), "{spent} of them happened");
    for outcome in join_all(calls()).await {
        outcome.expect("the same keys once more");
    }
    assert_eq!(balance(other, wallet).await, before - 11, "each of them counts once");
    house.verify(other).await;
}
