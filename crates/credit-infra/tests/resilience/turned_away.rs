use std::time::{Duration, Instant};

use credit_core::ports::StoreError;
use credit_core::ports::journal::{Appended, Journal};
use credit_infra::resilience::{BreakerState, GuardSettings};
use futures_util::future::join_all;

use super::store::{BOOK, Mood, MoodyJournal, group, guarded, settings};

fn is_unavailable<T>(answer: &Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::Unavailable(_)))
}

#[tokio::test]
async fn a_store_that_is_away_is_soon_asked_no_more_and_found_again_when_it_is_back() {
    let moody = MoodyJournal::new();
    let (journal, guard) = guarded(&moody, settings());
    moody.set(Mood::Away);
    for id in 0..4 {
        assert!(is_unavailable(&journal.append(BOOK, 1, group(id)).await));
    }
    assert_eq!(guard.breaker().state(), BreakerState::Open);
    assert!(journal.is_away());
    let asked = moody.asked();
    let began = Instant::now();
    assert!(is_unavailable(&journal.append(BOOK, 1, group(9)).await));
    assert!(is_unavailable(&journal.head(BOOK).await));
    assert_eq!(moody.asked(), asked, "turned away is not made");
    assert!(began.elapsed() < Duration::from_millis(30), "{:?}", began.elapsed());

    moody.set(Mood::Well);
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert!(!journal.is_away(), "it takes probes");
    assert_eq!(journal.append(BOOK, 1, group(5)).await, Ok(Appended::Appended));
    assert_eq!(journal.head(BOOK).await, Ok(1));
    assert_eq!(guard.breaker().state(), BreakerState::Closed);
}

#[tokio::test]
async fn a_write_that_was_made_and_not_answered_is_unknown_and_asking_again_tells() {
    let moody = MoodyJournal::new();
    let (journal, _) = guarded(&moody, settings());
    moody.set(Mood::DoneAndSilent);
    let unknown = journal.append(BOOK, 1, group(1)).await;
    assert!(matches!(unknown, Err(StoreError::OutcomeUnknown(_))), "{unknown:?}");
    moody.set(Mood::Well);
    assert_eq!(journal.append(BOOK, 1, group(1)).await, Ok(Appended::Appended));
    assert_eq!(journal.append(BOOK, 1, group(2)).await, Ok(Appended::Taken));
}

#[tokio::test]
async fn a_read_that_is_not_answered_is_unavailable_in_time() {
    let moody = MoodyJournal::new();
    let (journal, _) = guarded(&moody, settings());
    moody.set(Mood::Silent);
    let began = Instant::now();
    assert!(is_unavailable(&journal.head(BOOK).await));
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test]
async fn where_late_writes_count_not_who_waits_is_answered_in_time_and_nobody_else_is_turned_away() {
    let moody = MoodyJournal::new();
    let (journal, guard) = guarded(&moody, GuardSettings { late_writes_count: false, ..settings() });
    moody.set(Mood::Silent);
    for id in 0..6 {
        let began = Instant::now();
        let late = journal.append(BOOK, 1, group(id)).await;
        assert!(matches!(late, Err(StoreError::OutcomeUnknown(_))), "{late:?}");
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    }
    assert_eq!(guard.breaker().state(), BreakerState::Closed);
    moody.set(Mood::Well);
    assert_eq!(journal.head(BOOK).await, Ok(0));
    // One that fails says what it says.
    moody.set(Mood::Away);
    for id in 0..8 {
        assert!(is_unavailable(&journal.append(BOOK, 1, group(id)).await));
    }
    assert_eq!(guard.breaker().state(), BreakerState::Open);
}

#[tokio::test]
async fn a_store_that_hangs_holds_no_more_calls_than_there_are_places_and_a_queue() {
    let moody = MoodyJournal::new();
    let (journal, _) = guarded(&moody, settings());
    moody.set(Mood::Silent);
    let began = Instant::now();
    let answers = join_all((0..20).map(|_| async {
        let answer = journal.head(BOOK).await;
        (is_unavailable(&answer), began.elapsed())
    }))
    .await;
    assert!(answers.iter().all(|(unavailable, _)| *unavailable));
    let at_once = answers.iter().filter(|(_, elapsed)| *elapsed < Duration::from_millis(100)).count();
    assert_eq!(at_once, 16, "two had places and two waited");
    assert!(moody.asked() <= 4, "{}", moody.asked());
}

#[tokio::test]
async fn a_read_is_made_again_while_the_budget_lasts_and_a_write_is_not() {
    let moody = MoodyJournal::new();
    let mut lenient = settings();
    lenient.breaker.minimum_calls = 1000;
    let (journal, _) = guarded(&moody, lenient);
    moody.set(Mood::Away);
    assert!(is_unavailable(&journal.append(BOOK, 1, group(1)).await));
    assert_eq!(moody.asked(), 1);
    for _ in 0..30 {
        assert!(is_unavailable(&journal.head(BOOK).await));
    }
    assert_eq!(moody.asked(), 1 + 30 + 10, "the budget begins with ten retries");
}

#[tokio::test]
async fn damage_is_an_answer_and_opens_nothing() {
    let moody = MoodyJournal::new();
    let (journal, guard) = guarded(&moody, settings());
    moody.set(Mood::Damaged);
    for _ in 0..20 {
        assert!(matches!(journal.head(BOOK).await, Err(StoreError::Corrupt(_))));
    }
    assert_eq!(guard.breaker().state(), BreakerState::Closed);
}

#[tokio::test]
async fn a_guard_costs_little() {
    let moody = MoodyJournal::new();
    let (journal, _) = guarded(&moody, GuardSettings::embedded());
    let calls = 20_000_u32;
    let time = async |journal: &dyn Journal| {
        let began = Instant::now();
        for _ in 0..calls {
            journal.head(BOOK).await.expect("it answers");
        }
        began.elapsed() / calls
    };
    let (bare, guarded) = (time(&*moody).await, time(&journal).await);
    // Unoptimised; the bound is there to catch a lock, a task or a timer too many.
    assert!(guarded < bare + Duration::from_micros(40), "{bare:?} became {guarded:?}");
}
