//! A group is decided while the one before it is on its way: what it was decided on may not come true.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use credit_core::memory::{MemoryDocuments, MemoryJournal};
use credit_core::ports::StoreError;
use credit_core::ports::journal::{Appended, BookId, Group, Journal, Sequence};
use credit_core::testkit::{Between, MeddlesWithJournal};
use credit_core::{Clock, Code, Problem};
use credit_wallet::domain::moves::Deposit;
use credit_wallet::domain::{Category, Note};
use credit_wallet::ledger::{Ask, Book, Outcome};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::support::{
    Give, GiveBack, House, ShakyDocuments, Take, ask, balance, keyed, open, posted, wallet_with,
};

/// What becomes of the next append.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Good,
    /// It never reaches the journal.
    Lost,
    /// Another process fills the slot.
    Beaten,
}

/// A journal that appends nothing before it is told what becomes of it.
struct GatedJournal {
    inner: MemoryJournal,
    fates: tokio::sync::Mutex<mpsc::UnboundedReceiver<Fate>>,
}

impl GatedJournal {
    fn new() -> (Arc<Between<Self>>, mpsc::UnboundedSender<Fate>) {
        let (sender, fates) = mpsc::unbounded_channel();
        let journal = Self { inner: MemoryJournal::shared(), fates: tokio::sync::Mutex::new(fates) };
        (Arc::new(Between(journal)), sender)
    }
}

#[async_trait]
impl MeddlesWithJournal for GatedJournal {
    fn behind(&self) -> &dyn Journal {
        &self.inner
    }

    async fn append(&self, book: BookId, sequence: Sequence, group: Group) -> Result<Appended, StoreError> {
        match self.fates.lock().await.recv().await {
            Some(Fate::Lost) => Err(StoreError::Unavailable("lost on its way".to_owned())),
            Some(Fate::Beaten) => {
                let mut other = group;
                other.id += 1;
                self.inner.append(book, sequence, other).await?;
                Ok(Appended::Taken)
            }
            _ => self.inner.append(book, sequence, group).await,
        }
    }
}

/// Ten credits; one call for all of them is on its way, another for all of them is decided on top of it. Answers what
/// both got when the first append has this fate and all later ones are good.
async fn two_on_ten(fate: Fate) -> (Result<(), Code>, Result<(), Code>, i64) {
    let (journal, fates) = GatedJournal::new();
    let house = House::over(journal, Arc::new(MemoryDocuments::new()));
    let book = house.book().await;
    for _ in 0..2 {
        fates.send(Fate::Good).expect("the journal is there");
    }
    let wallet = wallet_with(&book, 1, 10).await;
    let spend = |key: &'static str| {
        let book = book.clone();
        tokio::spawn(async move {
            book.submit(keyed(Take::new(wallet, 10), key)).await.map(|_| ()).map_err(|problem| problem.code())
        })
    };
    let first = spend("first");
    tokio::time::sleep(Duration::from_millis(30)).await;
    let second = spend("second");
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert!(!first.is_finished() && !second.is_finished(), "nothing is answered before it is durable");
    fates.send(fate).expect("the journal is there");
    for _ in 0..10 {
        fates.send(Fate::Good).expect("the journal is there");
    }
    let (first, second) = (first.await.expect("no panic"), second.await.expect("no panic"));
    let left = balance(&book, wallet).await;
    house.verify(&book).await;
    (first, second, left)
}

#[tokio::test]
async fn what_was_decided_on_a_group_that_lands_stands() {
    assert_eq!(two_on_ten(Fate::Good).await, (Ok(()), Err(Code::InsufficientFunds), 0));
}

#[tokio::test]
async fn what_was_decided_on_a_group_that_is_lost_is_decided_again() {
    assert_eq!(two_on_ten(Fate::Lost).await, (Err(Code::Unavailable), Ok(()), 0));
}

#[tokio::test]
async fn what_was_decided_on_a_group_that_another_beat_is_decided_again() {
    // The group of the other one carries the same spend under the same key: the caller gets that.
    assert_eq!(two_on_ten(Fate::Beaten).await, (Ok(()), Err(Code::InsufficientFunds), 0));
}

#[tokio::test]
async fn a_refund_of_what_left_memory_finds_it_also_behind_a_group_on_its_way() {
    let (journal, fates) = GatedJournal::new();
    let house = House::over(journal, Arc::new(MemoryDocuments::new()));
    let book = house.book().await;
    for _ in 0..3 {
        fates.send(Fate::Good).expect("the journal is there");
    }
    let wallet = wallet_with(&book, 1, 10).await;
    let spent = posted(&book.submit(ask(Take::new(wallet, 10))).await.expect("there are ten"));
    book.flush().await.expect("the views are written");

    let give = Give { wallet, deposit: Deposit::new(5, Category::Paid), note: Note::default() };
    let submit = |asked| {
        let book = book.clone();
        tokio::spawn(async move { book.submit(asked).await })
    };
    let purchase = submit(ask(give));
    tokio::time::sleep(Duration::from_millis(30)).await;
    let refund = submit(ask(GiveBack(spent.clone())));
    let again = submit(ask(GiveBack(spent)));
    tokio::time::sleep(Duration::from_millis(30)).await;
    for _ in 0..10 {
        fates.send(Fate::Good).expect("the journal is there");
    }
    purchase.await.expect("no panic").expect("a purchase is never refused");
    let refunds = [refund.await.expect("no panic"), again.await.expect("no panic")];
    assert_eq!(refunds.iter().filter(|refund| refund.is_ok()).count(), 1, "it is refunded once");
    assert_eq!(balance(&book, wallet).await, 15);
    house.verify(&book).await;
}

#[tokio::test]
async fn a_lot_that_ends_while_a_group_is_on_its_way_is_not_spent_behind_it() {
    let (journal, fates) = GatedJournal::new();
    let house = House::over(journal, Arc::new(MemoryDocuments::new()));
    let book = house.book().await;
    for _ in 0..4 {
        fates.send(Fate::Good).expect("the journal is there");
    }
    let (busy, ending) = (wallet_with(&book, 1, 10).await, wallet_with(&book, 2, 10).await);
    fates.send(Fate::Good).expect("the journal is there");
    let until = house.clock.now().plus_seconds(1);
    book.submit(ask(Give::new(ending, 7).until(until))).await.expect("a grant");
    let submit = |asked| {
        let book = book.clone();
        tokio::spawn(async move { book.submit(asked).await })
    };
    let first = submit(ask(Take::new(busy, 1)));
    tokio::time::sleep(Duration::from_millis(30)).await;
    let second = submit(ask(Take::new(busy, 1)));
    tokio::time::sleep(Duration::from_millis(30)).await;
    house.clock.advance_seconds(2);
    let third = submit(ask(Take::new(ending, 12)));
    tokio::time::sleep(Duration::from_millis(30)).await;
    for _ in 0..10 {
        fates.send(Fate::Good).expect("the journal is there");
    }
    first.await.expect("no panic").expect("ten are there");
    second.await.expect("no panic").expect("nine are there");
    let refused = third.await.expect("no panic").expect_err("seven of the seventeen have ended");
    assert_eq!(refused.code(), Code::InsufficientFunds);
    assert_eq!(balance(&book, ending).await, 10);
    house.verify(&book).await;
}

/// Submits a command and gives it the time to come to where it has to wait.
async fn begin(book: &Arc<Book>, asked: Ask) -> JoinHandle<Result<Outcome, Problem>> {
    let book = book.clone();
    let begun = tokio::spawn(async move { book.submit(asked).await });
    tokio::time::sleep(Duration::from_millis(30)).await;
    begun
}

fn good(fates: &mpsc::UnboundedSender<Fate>, appends: usize) {
    for _ in 0..appends {
        fates.send(Fate::Good).expect("the journal is there");
    }
}

#[tokio::test]
async fn commands_that_are_decided_again_keep_their_order() {
    let (journal, fates) = GatedJournal::new();
    let house = House::over(journal, Arc::new(MemoryDocuments::new()));
    let book = house.book().await;
    good(&fates, 2);
    let wallet = wallet_with(&book, 1, 20).await;
    let first = begin(&book, ask(Take::new(wallet, 10))).await;
    let second = begin(&book, ask(Take::new(wallet, 10))).await;

    // The other process takes ten of the twenty: one of the two has to go without, and it is not the one that came first.
    fates.send(Fate::Beaten).expect("the journal is there");
    good(&fates, 10);
    first.await.expect("no panic").expect("ten are left");
    let refused = second.await.expect("no panic").expect_err("nothing is left");

    assert_eq!(refused.code(), Code::InsufficientFunds);
    house.verify(&book).await;
}

#[tokio::test]
async fn of_two_lots_of_a_wallet_that_end_around_the_begin_of_a_group_neither_is_spent_in_it() {
    let (journal, fates) = GatedJournal::new();
    let house = House::over(journal, Arc::new(MemoryDocuments::new()));
    let book = house.book().await;
    good(&fates, 6);
    let (busy, ending) = (wallet_with(&book, 1, 10).await, wallet_with(&book, 2, 10).await);
    let soon = house.clock.now().plus_seconds(1);
    for until in [soon, soon.plus_millis(10)] {
        book.submit(ask(Give::new(ending, 7).until(until))).await.expect("a grant");
    }
    house.clock.advance_seconds(1);
    let first = begin(&book, ask(Take::new(busy, 1))).await;
    let second = begin(&book, ask(Take::new(busy, 1))).await;
    house.clock.advance_millis(20);
    let third = begin(&book, ask(Take::new(ending, 12))).await;
    good(&fates, 10);

    first.await.expect("no panic").expect("ten are there");
    second.await.expect("no panic").expect("nine are there");
    let refused = third.await.expect("no panic").expect_err("both lots have ended");
    assert_eq!(refused.code(), Code::InsufficientFunds);
    assert_eq!(balance(&book, ending).await, 10);
    house.verify(&book).await;
}

#[tokio::test]
async fn a_lot_that_ends_while_views_are_waited_for_is_not_spent_after_the_wait() {
    let documents = Arc::new(ShakyDocuments::default());
    let mut house = House::over(Arc::new(MemoryJournal::new()), documents.clone());
    house.settings.lag_records = 1;
    let book = house.book().await;
    let wallet = wallet_with(&book, 1, 10).await;
    let until = house.clock.now().plus_seconds(1);
    book.submit(ask(Give::new(wallet, 7).until(until))).await.expect("a grant");
    book.flush().await.expect("the views are written");
    documents.failing.store(true, Ordering::SeqCst);
    for _ in 0..2 {
        book.submit(ask(Take::new(wallet, 1))).await.expect("money does not wait for views yet");
    }
    let spend = begin(&book, ask(Take::new(wallet, 12))).await;
    assert!(!spend.is_finished(), "the views lag too far behind");
    house.clock.advance_seconds(2);
    documents.failing.store(false, Ordering::SeqCst);

    let refused = spend.await.expect("no panic").expect_err("what was left of the seven has ended");
    assert_eq!(refused.code(), Code::InsufficientFunds);
    assert_eq!(balance(&book, wallet).await, 10);
    house.verify(&book).await;
}

#[tokio::test]
async fn a_wallet_that_was_opened_elsewhere_and_has_come_and_gone_from_memory_is_found_by_who_waited() {
    let (journal, fates) = GatedJournal::new();
    let house = House::over(journal, Arc::new(MemoryDocuments::new()));
    let (mut small, mut slow) = (house.clone(), house.clone());
    (small.settings.group_commands, small.settings.cached_wallets) = (1, 0);
    slow.settings.view_pause = Duration::from_secs(60);
    let here = small.book().await;
    good(&fates, 4);
    let busy = wallet_with(&here, 1, 10).await;
    here.flush().await.expect("the views are written");
    let there = slow.book().await;
    let elsewhere = open(&there, 2).await;
    there.submit(ask(Give::new(elsewhere, 5))).await.expect("credits come in");

    let before = [begin(&here, ask(Take::new(busy, 1))).await, begin(&here, ask(Take::new(busy, 1))).await];
    let spend = begin(&here, ask(Take::new(elsewhere, 5))).await;
    assert_eq!(balance(&here, elsewhere).await, 5, "a reader finds it in the journal");
    here.flush().await.expect("the views are written");
    assert_eq!(here.cached_wallets(), 0);
    good(&fates, 10);

    for before in before {
        before.await.expect("no panic").expect("ten are there");
    }
    spend.await.expect("no panic").expect("it is there, with five");
    house.verify(&here).await;
}
