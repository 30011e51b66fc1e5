//! Idempotency keys: one effect and the first answer, for ever.

use std::sync::Arc;
use std::time::Duration;

use credit_core::Code;
use credit_core::memory::MemoryJournal;
use credit_wallet::ledger::{Ask, LedgerSettings};
use futures_util::future::join_all;

use crate::support::{
    Give, House, ShakyDocuments, ShakyJournal, Take, ask, balance, key, keyed, told, wallet_with,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_key_from_two_hundred_callers_has_one_effect_and_one_answer() {
    let house = House::new();
    let book = house.book().await;
    let wallet = wallet_with(&book, 1, 100).await;

    let calls = (0..200).map(|_| {
        let book = book.clone();
        tokio::spawn(async move { book.submit(keyed(Take::new(wallet, 7), "once")).await })
    });
    let outcomes: Vec<_> = join_all(calls)
        .await
        .into_iter()
        .map(|outcome| outcome.expect("no panic").expect("one key, one answer"))
        .collect();

    assert_eq!(outcomes.iter().filter(|outcome| !outcome.replayed).count(), 1);
    assert!(outcomes.iter().all(|outcome| told(outcome) == told(&outcomes[0])));
    assert_eq!(balance(&book, wallet).await, 93);
    house.verify(&book).await;
}

#[tokio::test]
async fn a_key_answers_only_the_body_that_it_came_with() {
    let house = House::new();
    let book = house.book().await;
    let wallet = wallet_with(&book, 1, 100).await;
    book.submit(keyed(Take::new(wallet, 7), "once")).await.expect("enough is there");

    let mut other = key("once");
    other.fingerprint += 1;
    let problem =
        book.submit(Ask { key: Some(other), ..ask(Take::new(wallet, 8)) }).await.expect_err("reused");

    assert_eq!(problem.code(), Code::IdempotencyKeyReused);
    assert_eq!(balance(&book, wallet).await, 93);
}

#[tokio::test]
async fn a_refusal_stays_with_its_key_after_credits_have_come_in_and_after_a_restart() {
    let house = House::new();
    let book = house.book().await;
    let wallet = wallet_with(&book, 1, 5).await;
    let first = book.submit(keyed(Take::new(wallet, 7), "once")).await.expect_err("too little is there");
    book.submit(ask(Give::new(wallet, 100))).await.expect("credits come in");

    let mut again = keyed(Take::new(wallet, 7), "once");
    again.request_id = "request-2".to_owned();
    let second = book.submit(again.clone()).await.expect_err("the first answer again");
    let third = house.book().await.submit(again).await.expect_err("the first answer again");

    assert_eq!(first.code(), Code::InsufficientFunds);
    for replay in [second, third] {
        assert_eq!((replay.code(), replay.members()), (first.code(), first.members()));
        assert_eq!(replay.first_request_id(), Some("request-1"));
    }
    assert_eq!(balance(&book, wallet).await, 105);
}

#[tokio::test]
async fn a_key_is_known_in_the_tail_in_the_views_and_in_a_cold_process() {
    let house = House::new();
    let book = house.book().await;
    let wallet = wallet_with(&book, 1, 100).await;
    let first = book.submit(keyed(Take::new(wallet, 7), "once")).await.expect("enough is there");

    let mut again = vec![book.submit(keyed(Take::new(wallet, 7), "once")).await];
    for _ in 0..3 {
        book.submit(ask(Give::new(wallet, 1))).await.expect("credits come in");
        book.flush().await.expect("the views catch up");
        again.push(book.submit(keyed(Take::new(wallet, 7), "once")).await);
    }
    again.push(house.book().await.submit(keyed(Take::new(wallet, 7), "once")).await);

    for outcome in again {
        let outcome = outcome.expect("the first answer again");
        assert!(outcome.replayed);
        assert_eq!(told(&outcome), told(&first));
    }
    assert_eq!(balance(&book, wallet).await, 96);
}

/// Retries overtake view writes here: a key may be in the tail when its retry is prepared and gone from there when it is
/// decided.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn retries_that_race_with_the_views_move_nothing_twice() {
    let journal = ShakyJournal::new(MemoryJournal::new(), 1, 0, Duration::from_millis(2));
    let mut house = House::over(journal, Arc::new(ShakyDocuments::default()));
    house.settings =
        LedgerSettings { view_pause: Duration::ZERO, group_commands: 4, cached_wallets: 3, ..house.settings };
    let book = house.book().await;
    let wallet = wallet_with(&book, 1, 10_000).await;

    let callers = (0..40).map(|caller| {
        let book = book.clone();
        tokio::spawn(async move {
            let mut first = 0;
            for round in 0..5 {
                let name = format!("{caller}-{round}");
                for _ in 0..5 {
                    let outcome =
                        book.submit(keyed(Take::new(wallet, 1), &name)).await.expect("enough is there");
                    first += i64::from(!outcome.replayed);
                }
            }
            first
        })
    });
    let first: i64 = join_all(callers).await.into_iter().map(|first| first.expect("no panic")).sum();

    assert_eq!(first, 200);
    assert_eq!(balance(&book, wallet).await, 9_800);
    house.verify(&book).await;
}
