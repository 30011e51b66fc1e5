//! A process that ends without a word, and the one after it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use credit_core::memory::{MemoryDocuments, MemoryJournal};
use credit_core::{Amount, Code, Timestamp};
use credit_wallet::domain::commands::{CaptureHold, CreateHold, ReleaseHold};
use credit_wallet::domain::{Answer, HoldState};
use futures_util::future::join_all;
use parking_lot::Mutex;

use crate::support::{
    APP, Give, GiveBack, House, ShakyJournal, Take, ask, balance, keyed, open, posted, wallet_with,
};

#[test]
fn after_a_crash_at_any_moment_every_answered_call_is_there_once() {
    let journal = ShakyJournal::new(MemoryJournal::new(), 1, 0, Duration::from_micros(300));
    let house = House::over(journal, Arc::new(MemoryDocuments::new()));
    let answered: Arc<Mutex<Vec<String>>> = Arc::default();
    let mut wallet = None;
    for life in 0..12_u64 {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let ledger = house.ledger_on(runtime.handle().clone());
        let book = runtime.block_on(ledger.book(APP)).expect("the book opens");
        let target = *wallet.get_or_insert_with(|| runtime.block_on(wallet_with(&book, 1, 1_000_000)));
        let before = answered.lock().clone();
        runtime.block_on(async {
            for name in before.iter().rev().take(20) {
                let again =
                    book.submit(keyed(Take::new(target, 1), name)).await.expect("the first answer again");
                assert!(again.replayed, "life {life}: {name} was answered before");
            }
        });
        for caller in 0..20 {
            let (book, answered) = (book.clone(), answered.clone());
            runtime.spawn(async move {
                for call in 0.. {
                    let name = format!("{life}-{caller}-{call}");
                    book.submit(keyed(Take::new(target, 1), &name)).await.expect("enough is there");
                    answered.lock().push(name);
                }
            });
        }
        std::thread::sleep(Duration::from_millis(3 + life * 7));
        runtime.shutdown_background();
        std::thread::sleep(Duration::from_millis(5));
    }

    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let book = house.book().await;
        let target = wallet.expect("opened in the first life");
        let all = answered.lock().clone();
        assert!(all.len() > 200, "only {} calls were answered", all.len());
        let replays = join_all(all.iter().map(|name| book.submit(keyed(Take::new(target, 1), name)))).await;
        assert!(replays.into_iter().all(|again| again.is_ok_and(|again| again.replayed)));
        let spends = i64::try_from(house.replay().await.transactions).expect("few") - 1;
        assert!(spends >= i64::try_from(all.len()).expect("few"));
        assert_eq!(balance(&book, target).await, 1_000_000 - spends);
        house.verify(&book).await;
    });
}

#[tokio::test]
async fn a_cold_process_refunds_captures_and_releases_what_an_earlier_one_made() {
    let house = House::new();
    let first = house.book().await;
    let wallet = open(&first, 1).await;
    let soon = house.clock_after(10);
    first.submit(ask(Give::new(wallet, 40).until(soon))).await.expect("credits come in");
    let hold = |amount| CreateHold {
        wallet,
        amount: Amount::try_new(amount).expect("within bounds"),
        expires_in_seconds: 1_000,
        reference: None,
        metadata: BTreeMap::new(),
    };
    let spend = posted(&first.submit(ask(Take::new(wallet, 10))).await.expect("enough is there"));
    let mut holds = Vec::new();
    for amount in [10, 20] {
        let outcome = first.submit(ask(hold(amount))).await.expect("enough is there");
        let Answer::Hold(hold) = outcome.answer() else { panic!("{:?}", outcome.answer()) };
        holds.push(hold.id);
    }
    first.flush().await.expect("the views catch up");
    house.clock.advance_seconds(11);

    let second = house.book().await;
    let capture = CaptureHold { wallet, hold: holds[0], amount: None, last: true };
    let captured = posted(&second.submit(ask(capture)).await.expect("the hold is honoured"));
    assert_eq!(captured.taken[0].amount, 10);
    second.submit(ask(ReleaseHold { wallet, hold: holds[1] })).await.expect("it is active");
    assert_eq!(balance(&second, wallet).await, 0, "what returns to an expired lot expires at once");
    second.flush().await.expect("the views catch up");

    let third = house.book().await;
    let refund =
        posted(&third.submit(ask(GiveBack(spend.clone()))).await.expect("the spend can be refunded"));
    assert_ne!(refund.credited[0].grant, spend.taken[0].grant, "an expired lot gets a successor");
    third.flush().await.expect("the views catch up");
    let twice = house.book().await.submit(ask(GiveBack(spend))).await.expect_err("it was refunded before");
    assert_eq!(twice.code(), Code::RefundExceedsOriginal);
    let again = third.submit(ask(ReleaseHold { wallet, hold: holds[1] })).await.expect_err("it is settled");
    assert_eq!(again.code(), Code::HoldNotActive);
    for hold in holds {
        let shown = third.hold(hold).await.expect("it can be read").expect("it exists");
        assert_ne!(shown.state, HoldState::Active);
    }
    assert_eq!(balance(&third, wallet).await, 10);
    house.verify(&third).await;
}

#[tokio::test]
async fn a_ledger_that_shuts_down_finishes_what_waits_and_takes_nothing_more() {
    let house = House::new();
    let ledger = house.ledger_on(tokio::runtime::Handle::current());
    let book = ledger.book(APP).await.expect("the book opens");
    let wallet = wallet_with(&book, 1, 100).await;

    let (outcomes, ()) =
        tokio::join!(join_all((0..50).map(|_| book.submit(ask(Take::new(wallet, 1))))), async {
            tokio::task::yield_now().await;
            ledger.shut_down().await;
        });

    let accepted = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert!(
        outcomes
            .iter()
            .filter_map(|outcome| outcome.as_ref().err())
            .all(|problem| problem.code() == Code::Unavailable)
    );
    let late = book.submit(ask(Take::new(wallet, 1))).await.expect_err("it has shut down");
    assert_eq!(late.code(), Code::Unavailable);
    let reopened = house.book().await;
    assert_eq!(balance(&reopened, wallet).await, 100 - i64::try_from(accepted).expect("few"));
    house.verify(&reopened).await;
}

impl House {
    fn clock_after(&self, seconds: i64) -> Timestamp {
        credit_core::Clock::now(self.clock.as_ref()).plus_seconds(seconds)
    }
}
