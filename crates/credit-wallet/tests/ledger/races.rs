//! Many at once on one book.

use std::sync::Arc;
use std::time::Duration;

use credit_core::memory::{MemoryDocuments, MemoryJournal};
use credit_core::testkit::Dice;
use credit_core::{Code, WalletId};
use credit_wallet::domain::commands::{CaptureHold, CreateHold, ReleaseHold};
use credit_wallet::domain::{Answer, Transaction};
use credit_wallet::ledger::{Book, LedgerSettings};
use futures_util::future::join_all;

use crate::support::{
    Give, GiveBack, House, ShakyDocuments, ShakyJournal, Take, ask, balance, open, posted, wallet_with,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_hundred_spends_on_a_hundred_credits_exactly_a_hundred_succeed() {
    let house = House::new();
    let book = house.book().await;
    let wallet = wallet_with(&book, 1, 100).await;

    let spends = (0..200).map(|_| {
        let book = book.clone();
        tokio::spawn(async move { book.submit(ask(Take::new(wallet, 1))).await })
    });
    let outcomes = join_all(spends).await;

    let accepted = outcomes.iter().filter(|outcome| outcome.as_ref().expect("no panic").is_ok()).count();
    assert_eq!(accepted, 100);
    for outcome in outcomes.into_iter().filter_map(|outcome| outcome.expect("no panic").err()) {
        assert_eq!(outcome.code(), Code::InsufficientFunds);
    }
    assert_eq!(balance(&book, wallet).await, 0);
    house.verify(&book).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn commands_that_wait_share_a_group() {
    let journal = ShakyJournal::new(MemoryJournal::new(), 1, 0, Duration::from_millis(5));
    let house = House::over(journal, Arc::new(MemoryDocuments::new()));
    let book = house.book().await;
    let wallet = wallet_with(&book, 1, 1_000).await;
    let before = house.journal.head(crate::support::APP).await.expect("a head");

    let outcomes = join_all((0..500).map(|_| book.submit(ask(Take::new(wallet, 1))))).await;

    assert!(outcomes.iter().all(Result::is_ok));
    let groups = house.journal.head(crate::support::APP).await.expect("a head") - before;
    assert!(groups <= 5, "500 spends took {groups} groups");
    house.verify(&book).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_book_with_hardly_any_memory_stays_right_under_load() {
    let house = tiny_house();
    let book = house.book().await;
    let wallets = join_all((0..40).map(|user| open(&book, user))).await;

    let walks = (0..16).map(|seed| tokio::spawn(walk(book.clone(), wallets.clone(), seed, 60)));
    let sums = join_all(walks).await;

    let expected: i64 = sums.into_iter().map(|sum| sum.expect("no panic")).sum();
    let mut found = 0;
    for wallet in &wallets {
        found += balance(&book, *wallet).await;
    }
    assert_eq!(found, expected);
    house.verify(&book).await;
    assert!(book.cached_wallets() <= 40);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_views_never_lag_behind_further_than_allowed_for_long() {
    let documents = Arc::new(ShakyDocuments::default());
    let mut house = House::over(Arc::new(MemoryJournal::new()), documents.clone());
    house.settings = LedgerSettings { lag_records: 50, group_commands: 10, ..house.settings };
    let book = house.book().await;
    let wallet = wallet_with(&book, 1, 100_000).await;
    documents.failing.store(true, std::sync::atomic::Ordering::SeqCst);

    let spends: Vec<_> = (0..200)
        .map(|_| {
            let book = book.clone();
            tokio::spawn(async move { book.submit(ask(Take::new(wallet, 1))).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let lag = book.lag();
    documents.failing.store(false, std::sync::atomic::Ordering::SeqCst);
    let outcomes = join_all(spends).await;

    assert!((50..=62).contains(&lag), "the views lag {lag} records behind");
    assert!(outcomes.into_iter().all(|outcome| outcome.expect("no panic").is_ok()));
    assert_eq!(balance(&book, wallet).await, 99_800);
    house.verify(&book).await;
}

/// A house whose books keep three wallets in memory, over stores that give way to others all the time.
pub(crate) fn tiny_house() -> House {
    let mut house = House::over(Arc::new(MemoryJournal::new()), Arc::new(ShakyDocuments::default()));
    house.settings =
        LedgerSettings { cached_wallets: 3, view_pause: Duration::from_micros(100), ..house.settings };
    house
}

/// A caller's walk over wallets: credits, spends, refunds, holds, captures and releases. Answers by how much it changed
/// the sum of all balances.
pub(crate) async fn walk(book: Arc<Book>, wallets: Vec<WalletId>, seed: u64, steps: usize) -> i64 {
    let mut dice = Dice::new(seed);
    let mut sum = 0;
    let mut spent: Vec<Arc<Transaction>> = Vec::new();
    let mut holds = Vec::new();
    for _ in 0..steps {
        let wallet = *dice.pick(&wallets);
        let amount = i64::try_from(dice.below(20) + 1).expect("small");
        match dice.below(10) {
            0..=2 => {
                book.submit(ask(Give::new(wallet, amount))).await.expect("credits come in");
                sum += amount;
            }
            3..=5 => match book.submit(ask(Take::new(wallet, amount))).await {
                Ok(outcome) => {
                    sum -= amount;
                    spent.push(posted(&outcome));
                }
                Err(problem) => assert_eq!(problem.code(), Code::InsufficientFunds),
            },
            6 if !spent.is_empty() => {
                let original = dice.pick(&spent).clone();
                match book.submit(ask(GiveBack(original.clone()))).await {
                    Ok(_) => sum += original.amount,
                    Err(problem) => assert_eq!(problem.code(), Code::RefundExceedsOriginal),
                }
            }
            7 => {
                let command = CreateHold {
                    wallet,
                    amount: credit_core::Amount::try_new(amount).expect("within bounds"),
                    expires_in_seconds: 1_000,
                    reference: None,
                    metadata: std::collections::BTreeMap::new(),
                };
                if let Ok(outcome) = book.submit(ask(command)).await
                    && let Answer::Hold(hold) = outcome.answer()
                {
                    holds.push((wallet, hold.id));
                }
            }
            8 if !holds.is_empty() => {
                let (wallet, hold) = holds[dice.place(holds.len())];
                match book.submit(ask(CaptureHold { wallet, hold, amount: None, last: true })).await {
                    Ok(outcome) => sum -= posted(&outcome).amount,
                    Err(problem) => assert_eq!(problem.code(), Code::HoldNotActive),
                }
            }
            9 if !holds.is_empty() => {
                let (wallet, hold) = holds[dice.place(holds.len())];
                if let Err(problem) = book.submit(ask(ReleaseHold { wallet, hold })).await {
                    assert_eq!(problem.code(), Code::HoldNotActive);
                }
            }
            _ => {
                let kept = book.wallet(wallet).await.expect("it can be read").expect("it exists");
                assert!(kept.balance() >= 0 && kept.held() <= kept.balance());
            }
        }
    }
    sum
}
