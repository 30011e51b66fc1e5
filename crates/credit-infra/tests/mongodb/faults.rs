//! What the server does to calls, by its own fail points.

use std::time::{Duration, Instant};

use credit_core::ports::StoreError;
use credit_core::ports::documents::{Batch, CommitError, Write};
use credit_core::ports::journal::{Appended, Group};
use credit_core::testkit::documents_contract::PLAIN;
use serde_json::{Value, json};

use super::APP;
use super::faulty::{Faults, append, group, insert, replace};

/// Elections, shutdowns, lost connections, as the server calls them.
const PASSING: [i32; 12] = [6, 7, 89, 91, 189, 262, 9001, 10_107, 11_600, 11_602, 13_435, 13_436];

/// Every way in which a command can go wrong and be tried again.
fn passing() -> Vec<Value> {
    let codes = PASSING.map(|code| json!({"errorCode": code}));
    let unanswered = [json!({"closeConnection": true})];
    codes.into_iter().chain(unanswered).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_under_any_passing_fault_fills_its_slot_once() {
    let faults = Faults::begin().await;
    let store = faults.store().await;
    let journal = store.journal();
    let mut slot = 0;
    for fault in passing() {
        for times in [1, 3] {
            slot += 1;
            faults.next(times, "insert", &fault).await;
            assert_eq!(append(&*journal, slot).await.0, Appended::Appended, "{fault} × {times}");
            faults.off().await;
        }
    }
    let kept = journal.read(APP, 1, 1000).await.unwrap();
    assert_eq!(kept, (1..=slot).map(|slot| (slot, group(slot))).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_that_no_majority_confirmed_is_unknown_and_then_ours() {
    let faults = Faults::begin().await;
    let journal = faults.store().await.journal();
    for (slot, code) in (1..).zip([64, 91, 189, 11_602]) {
        let concern = json!({"writeConcernError": {"code": code, "errmsg": "as asked"}});
        // The driver itself tries again after some of them; then the answer is known at once.
        faults.next(1, "insert", &concern).await;
        let answer = journal.append(APP, slot, group(slot)).await;
        assert!(matches!(answer, Ok(Appended::Appended) | Err(StoreError::OutcomeUnknown(_))), "{answer:?}");
        faults.off().await;
        assert_eq!(append(&*journal, slot).await, (Appended::Appended, 1));
        let another = Group { id: 999, ..group(slot) };
        assert_eq!(journal.append(APP, slot, another).await, Ok(Appended::Taken));
    }
    assert_eq!(journal.head(APP).await, Ok(4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_that_is_answered_too_late_is_unknown_and_then_ours() {
    let faults = Faults::begin().await;
    let journal = faults.store().await.journal();
    faults.next(1, "insert", &json!({"blockConnection": true, "blockTimeMS": 5_000})).await;
    let answer = journal.append(APP, 1, group(1)).await;
    assert!(matches!(answer, Err(StoreError::OutcomeUnknown(_))), "{answer:?}");
    faults.off().await;
    // The first attempt is still on its way: whichever lands, it is the same group.
    assert_eq!(append(&*journal, 1).await.0, Appended::Appended);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(journal.read(APP, 1, 10).await, Ok(vec![(1, group(1))]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_that_is_refused_for_good_is_unavailable_at_once() {
    let faults = Faults::begin().await;
    let journal = faults.store().await.journal();
    faults.next(1, "insert", &json!({"errorCode": 13})).await;
    let answer = journal.append(APP, 1, group(1)).await;
    assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
    faults.off().await;
    assert_eq!(journal.head(APP).await, Ok(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_under_a_fault_are_right_or_unavailable() {
    let faults = Faults::begin().await;
    let store = faults.store().await;
    let (journal, documents) = (store.journal(), store.documents());
    append(&*journal, 1).await;
    documents.commit(APP, Batch::of(insert("a"))).await.unwrap();
    // `update` is the fence that reads of a book stand behind.
    for (command, fault) in
        ["find", "update"].into_iter().flat_map(|name| passing().into_iter().map(move |fault| (name, fault)))
    {
        for times in [1, 3] {
            faults.next(times, command, &fault).await;
            let (head, found) = (journal.head(APP).await, documents.get(APP, &PLAIN, "a").await);
            faults.off().await;
            let fine = matches!(head, Ok(1) | Err(StoreError::Unavailable(_)));
            assert!(fine, "{command} {fault} × {times}: {head:?}");
            let fine = match &found {
                Ok(found) => found.is_some(),
                Err(error) => matches!(error, StoreError::Unavailable(_)),
            };
            assert!(fine, "{command} {fault} × {times}: {found:?}");
            if times == 1 {
                assert!(head.is_ok() && found.is_ok(), "the driver tries again: {head:?} {found:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn single_writes_under_passing_faults_happen_once() {
    let faults = Faults::begin().await;
    let documents = faults.store().await.documents();
    documents.commit(APP, Batch::of(insert("counted"))).await.unwrap();
    let mut version = 1;
    for (number, fault) in passing().into_iter().enumerate() {
        let id = number.to_string();
        faults.next(3, "insert", &fault).await;
        assert_eq!(documents.commit(APP, Batch::of(insert(&id))).await, Ok(()), "{fault}");
        faults.next(3, "update", &fault).await;
        let replaced = documents.commit(APP, Batch::of(replace("counted", version))).await;
        assert_eq!(replaced, Ok(()), "{fault}");
        version += 1;
        faults.next(3, "delete", &fault).await;
        let delete = Write::Delete { collection: &PLAIN, id, version: 1 };
        assert_eq!(documents.commit(APP, Batch::of(delete)).await, Ok(()), "{fault}");
        faults.off().await;
    }
    assert_eq!(documents.get(APP, &PLAIN, "counted").await.unwrap().unwrap().version, version);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_under_passing_faults_happens_once() {
    let faults = Faults::begin().await;
    let documents = faults.store().await.documents();
    documents.commit(APP, Batch::of(insert("left")).and(insert("right"))).await.unwrap();
    let mut version = 1;
    let special = [
        json!({"errorCode": 50}),
        json!({"errorCode": 251, "errorLabels": ["TransientTransactionError"]}),
        json!({"writeConcernError": {"code": 64, "errmsg": "as asked"}}),
        json!({"writeConcernError": {"code": 91, "errmsg": "as asked"}}),
    ];
    for fault in passing().into_iter().chain(special) {
        faults.next(2, "commitTransaction", &fault).await;
        let both = Batch::of(replace("left", version)).and(replace("right", version));
        assert_eq!(documents.commit(APP, both).await, Ok(()), "{fault}");
        faults.off().await;
        version += 1;
    }
    for id in ["left", "right"] {
        assert_eq!(documents.get(APP, &PLAIN, id).await.unwrap().unwrap().version, version, "{id}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_whose_writes_fail_is_run_again_as_a_whole() {
    let faults = Faults::begin().await;
    let documents = faults.store().await.documents();
    let conflicts = [json!({"errorCode": 112}), json!({"errorCode": 246})];
    for (number, fault) in passing().into_iter().chain(conflicts).enumerate() {
        let (one, two) = (format!("{number}a"), format!("{number}b"));
        faults.next(2, "insert", &fault).await;
        let both = Batch::of(insert(&one)).and(insert(&two));
        assert_eq!(documents.commit(APP, both).await, Ok(()), "{fault}");
        faults.off().await;
        let again = documents.commit(APP, Batch::of(insert(&two)).and(insert("new"))).await;
        assert_eq!(again, Err(CommitError::Exists { collection: "test_plain", id: two }));
    }
    assert_eq!(documents.get(APP, &PLAIN, "new").await, Ok(None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn views_are_put_again_until_they_are_there() {
    let faults = Faults::begin().await;
    let documents = faults.store().await.documents();
    let put = |id: &str, sequence| Write::Put {
        collection: &PLAIN,
        id: id.to_owned(),
        sequence,
        body: "{}".into(),
        keys: vec![],
    };
    let mut sequence = 0;
    let unconfirmed = json!({"writeConcernError": {"code": 64, "errmsg": "as asked"}});
    for fault in passing().into_iter().chain([unconfirmed]) {
        for command in ["insert", "update"] {
            sequence += 1;
            faults.next(2, command, &fault).await;
            let batch = Batch::of(put("view", sequence)).and(put("mark", sequence));
            assert_eq!(documents.commit(APP, batch).await, Ok(()), "{fault}");
            faults.off().await;
            for id in ["view", "mark"] {
                assert_eq!(documents.get(APP, &PLAIN, id).await.unwrap().unwrap().version, sequence);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_are_not_held_up_by_the_fence_of_one_that_hangs() {
    let faults = Faults::begin().await;
    let journal = faults.patient(Duration::from_secs(20)).await.journal();
    append(&*journal, 1).await;
    faults.next(1, "update", &json!({"blockConnection": true, "blockTimeMS": 8_000})).await;
    let first = {
        let journal = journal.clone();
        tokio::spawn(async move { journal.head(APP).await })
    };
    tokio::time::sleep(Duration::from_millis(200)).await;
    let begun = Instant::now();
    assert_eq!(journal.head(APP).await, Ok(1));
    assert!(begun.elapsed() < Duration::from_secs(7), "{:?}", begun.elapsed());
    let first = first.await.unwrap();
    assert!(matches!(first, Err(StoreError::Unavailable(_))), "{first:?}");
    faults.off().await;
}
