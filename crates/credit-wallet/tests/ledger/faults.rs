//! Stores that fail: what was answered is true.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use credit_core::memory::{MemoryDocuments, MemoryJournal};
use credit_core::{Code, Problem, WalletId};
use credit_wallet::domain::{Answer, Command, Desk, Needs};
use credit_wallet::ledger::{Ask, Book, Outcome};
use futures_util::future::join_all;

use crate::support::{
    APP, House, ShakyDocuments, ShakyJournal, Take, ask, balance, key, keyed, told, wallet_with,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_answer_is_true_whatever_the_journal_does() {
    let runs = (0..8).map(|seed| tokio::spawn(answers_are_true(seed, false)));
    for run in join_all(runs).await {
        run.expect("no panic");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_answer_is_true_whatever_a_shared_journal_does_to_two_processes() {
    let runs = (0..8).map(|seed| tokio::spawn(answers_are_true(seed, true)));
    for run in join_all(runs).await {
        run.expect("no panic");
    }
}

async fn answers_are_true(seed: u64, shared: bool) {
    let journal = if shared { MemoryJournal::shared() } else { MemoryJournal::new() };
    let journal = ShakyJournal::new(journal, seed, 0, Duration::ZERO);
    let mut house = House::over(journal.clone(), Arc::new(MemoryDocuments::new()));
    let patient = house.ledger_on(tokio::runtime::Handle::current());
    let wallet = wallet_with(&patient.book(APP).await.expect("the book opens"), 1, 60).await;
    patient.shut_down().await;
    house.settings.deadline = Duration::from_millis(40);
    house.settings.group_commands = 4;
    let mut books = vec![house.book().await];
    if shared {
        books.push(house.book().await);
    }
    journal.faults.store(40, Ordering::Relaxed);

    let calls = (0..100).map(|call: usize| {
        let book = books[call % books.len()].clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_micros(u64::try_from(call).expect("small") * 300)).await;
            (call, book.submit(keyed(Take::new(wallet, 1), &format!("call {call}"))).await)
        })
    });
    let mut answers = HashMap::new();
    for answered in join_all(calls).await {
        let (call, answer) = answered.expect("no panic");
        answers.insert(call, answer);
    }
    journal.faults.store(0, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    let settled = house.replay().await;

    let mut accepted = 0;
    for (call, answer) in answers {
        let claimed = settled.claims.contains_key(&key(&format!("call {call}")).claim);
        match &answer {
            Ok(_) => assert!(claimed, "seed {seed}: call {call} was answered and is not in the journal"),
            Err(problem) if problem.code() == Code::InsufficientFunds => assert!(claimed),
            Err(problem) if problem.code() == Code::Unavailable => {
                assert!(!claimed, "seed {seed}: call {call} was said not to have happened: {problem}");
            }
            Err(problem) => assert_eq!(problem.code(), Code::OutcomeUnknown, "seed {seed}"),
        }
        let book = &books[call % books.len()];
        let again = insist(book, keyed(Take::new(wallet, 1), &format!("call {call}"))).await;
        match (&answer, &again) {
            (Ok(first), Ok(again)) => {
                assert!(again.replayed);
                assert_eq!(told(first), told(again));
            }
            (Err(first), Err(again)) if first.code() == Code::InsufficientFunds => {
                assert_eq!(again.code(), Code::InsufficientFunds);
            }
            (Err(first), Ok(again)) => {
                assert!(matches!(first.code(), Code::OutcomeUnknown | Code::Unavailable));
                assert!(again.replayed || !claimed, "seed {seed}: call {call}");
            }
            (Err(_), Err(again)) => assert_eq!(again.code(), Code::InsufficientFunds),
            (Ok(_), Err(again)) => panic!("seed {seed}: call {call} was accepted and is now {again}"),
        }
        accepted += i64::from(again.is_ok());
    }
    assert_eq!(balance(&books[0], wallet).await, 60 - accepted);
    house.verify(&books[0]).await;
}

/// Asks until the outcome is known.
async fn insist(book: &Book, asked: Ask) -> Result<Outcome, Problem> {
    for _ in 0..100 {
        match book.submit(asked.clone()).await {
            Err(problem) if matches!(problem.code(), Code::OutcomeUnknown | Code::Unavailable) => {}
            known => return known,
        }
    }
    panic!("the outcome of a call was not to be learnt");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn money_goes_on_while_views_cannot_be_written_and_they_catch_up_later() {
    let documents = Arc::new(ShakyDocuments::default());
    let house = House::over(Arc::new(MemoryJournal::new()), documents.clone());
    let book = house.book().await;
    let wallet = wallet_with(&book, 1, 1_000).await;
    documents.failing.store(true, Ordering::SeqCst);

    for spend in 0..50 {
        book.submit(keyed(Take::new(wallet, 1), &format!("{spend}")))
            .await
            .expect("money does not wait for views");
    }
    assert_eq!(balance(&book, wallet).await, 950);
    assert!(book.lag() >= 50);
    let again = book.submit(keyed(Take::new(wallet, 1), "7")).await.expect("known from the tail");
    assert!(again.replayed);
    documents.failing.store(false, Ordering::SeqCst);

    house.verify(&book).await;
    assert_eq!(book.lag(), 0);
    assert_eq!(balance(&book, wallet).await, 950);
}

/// A command with a fault of ours in it.
#[derive(Debug)]
struct Panics;

impl Command for Panics {
    fn needs(&self) -> Needs {
        Needs::default()
    }
    fn guarded(&self) -> Option<WalletId> {
        None
    }
    fn decide(&self, _: &mut Desk<'_>) -> Result<Answer, Problem> {
        panic!("a fault of ours")
    }
}

#[tokio::test]
async fn a_lane_that_breaks_off_breaks_its_book_and_does_not_hold_up_the_shutdown() {
    let house = House::new();
    let ledger = house.ledger_on(tokio::runtime::Handle::current());
    let book = ledger.book(APP).await.expect("the book opens");
    let wallet = wallet_with(&book, 1, 10).await;

    let broken = book.submit(ask(Panics)).await.expect_err("nobody answers");
    let after = book.submit(ask(Take::new(wallet, 1))).await.expect_err("nobody decides");

    assert_eq!((broken.code(), after.code()), (Code::OutcomeUnknown, Code::Unavailable));
    assert!(book.fault().is_some());
    tokio::time::timeout(Duration::from_secs(5), ledger.shut_down()).await.expect("it ends");
    let reopened = house.book().await;
    assert_eq!(balance(&reopened, wallet).await, 10);
    house.verify(&reopened).await;
}

#[tokio::test]
async fn a_journal_that_is_away_refuses_and_nothing_has_moved_when_it_is_back() {
    let journal = ShakyJournal::new(MemoryJournal::new(), 3, 0, Duration::ZERO);
    let mut house = House::over(journal.clone(), Arc::new(MemoryDocuments::new()));
    house.settings.deadline = Duration::from_millis(50);
    let book = house.book().await;
    let wallet = wallet_with(&book, 1, 10).await;
    journal.faults.store(100, Ordering::Relaxed);
    let refused = book.submit(ask(Take::new(wallet, 1))).await.expect_err("no append succeeds");
    assert!(matches!(refused.code(), Code::Unavailable | Code::OutcomeUnknown));
    journal.faults.store(0, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(1_200)).await;

    let taken = if refused.code() == Code::Unavailable { 0 } else { house.replay().await.transactions - 1 };

    assert_eq!(balance(&book, wallet).await, 10 - i64::try_from(taken).expect("small"));
    house.verify(&book).await;
}
