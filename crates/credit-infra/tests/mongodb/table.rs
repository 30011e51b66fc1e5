//! Every code and label that matters × every command: whatever the server does to a call, what is said to be done is
//! there once, what is said not to be done is not there, and what nobody knows is found out by asking again.

use std::time::{Duration, Instant};

use bytes::Bytes;
use credit_core::ports::StoreError;
use credit_core::ports::documents::{Batch, CommitError, Documents, Key, Query, Write};
use credit_core::ports::journal::{Appended, Journal};
use credit_core::testkit::documents_contract::PLAIN;
use credit_infra::mongodb::MongoStore;
use serde_json::{Value, json};

use super::APP;
use super::faulty::{Faults, append, group, insert, replace};

/// Elections, shutdowns, networks, conflicts, time limits, cursors, rights, and one that nobody knows.
const CODES: [i32; 22] = [
    6, 7, 13, 43, 50, 64, 89, 91, 112, 134, 189, 246, 251, 262, 8000, 9001, 10_107, 11_600, 11_602, 13_435,
    13_436, 99_999,
];

/// Labels, each of them over codes that would have it and codes that would not.
const LABELS: [&[&str]; 5] = [
    &[],
    &["RetryableWriteError"],
    &["RetryableWriteError", "NoWritesPerformed"],
    &["TransientTransactionError"],
    &["UnknownTransactionCommitResult"],
];
const LABELLED: [i32; 4] = [43, 112, 251, 11_602];

/// No majority confirms it: the write is there, and may go again.
const UNCONFIRMED: [i32; 5] = [64, 91, 100, 189, 11_600];

/// What the server answers in place of doing what it was asked.
fn faults() -> Vec<Value> {
    let plain = CODES.map(|code| json!({"errorCode": code}));
    let labelled = LABELLED.into_iter().flat_map(|code| {
        LABELS.into_iter().map(move |labels| json!({"errorCode": code, "errorLabels": labels}))
    });
    plain.into_iter().chain(labelled).chain([json!({"closeConnection": true})]).collect()
}

/// What it answers behind what it has done.
fn concerns() -> Vec<Value> {
    let concern = |code: i32, labels: &[&str]| json!({"writeConcernError": {"code": code, "errmsg": "as asked"}, "errorLabels": labels});
    UNCONFIRMED.into_iter().flat_map(|code| [concern(code, &[]), concern(code, LABELS[1])]).collect()
}

/// Nothing, for longer than a call may take.
fn block() -> Value {
    json!({"blockConnection": true, "blockTimeMS": 1_800})
}

/// The promise of one append: to a slot that is empty before, by a group of its own.
async fn appends(faults: &Faults, journal: &dyn Journal, slot: u64, fault: &Value) {
    faults.next(1, "insert", fault).await;
    let answer = journal.append(APP, slot, group(slot)).await;
    faults.off().await;
    match &answer {
        Ok(appended) => assert_eq!(*appended, Appended::Appended, "{fault}"),
        Err(StoreError::Unavailable(_)) => {
            assert_eq!(journal.head(APP).await, Ok(slot - 1), "{fault}: {answer:?}, and it is there");
        }
        Err(StoreError::OutcomeUnknown(_)) => {}
        Err(StoreError::Corrupt(why)) => panic!("{fault}: {why}"),
    }
    assert_eq!(append(journal, slot).await.0, Appended::Appended, "{fault} after {answer:?}");
    assert_eq!(journal.read(APP, slot, 9).await, Ok(vec![(slot, group(slot))]), "{fault} after {answer:?}");
}

/// What was said of a commit.
enum Said {
    Done,
    NotDone,
    Unknown,
}

/// Of a commit that nothing stands in the way of but the fault.
fn said(answer: &Result<(), CommitError>, fault: &Value) -> Said {
    match answer {
        Ok(()) => Said::Done,
        Err(CommitError::Store(StoreError::Unavailable(_))) => Said::NotDone,
        Err(CommitError::Store(StoreError::OutcomeUnknown(_))) => Said::Unknown,
        Err(refused) => panic!("{fault}: nobody else was there: {refused}"),
    }
}

/// Of all of them, in one look.
async fn versions(documents: &dyn Documents, ids: &[String]) -> Vec<u64> {
    let found = documents.get_many(APP, &PLAIN, ids).await.unwrap();
    found.into_iter().map(|kept| kept.map_or(0, |kept| kept.version)).collect()
}

/// Commits under the fault, and checks that both documents went from this version to the next as was said. Answers the
/// version they have then.
async fn moves(
    faults: &Faults,
    documents: &dyn Documents,
    command: &str,
    (ids, from): (&[String], u64),
    fault: &Value,
) -> u64 {
    let write = |id: &String| if from == 0 { insert(id) } else { replace(id, from) };
    let batch = Batch { writes: ids.iter().map(write).collect() };
    faults.next(1, command, fault).await;
    let answer = documents.commit(APP, batch.clone()).await;
    faults.off().await;
    if matches!(said(&answer, fault), Said::Unknown) {
        faults.end_transactions().await;
    }
    let found = versions(documents, ids).await;
    assert!(
        found.iter().all(|version| *version == found[0]),
        "{command} {fault}: {answer:?}, and half of it: {found:?}"
    );
    match said(&answer, fault) {
        Said::Done => assert_eq!(found[0], from + 1, "{command} {fault}: said to be done"),
        Said::NotDone => assert_eq!(found[0], from, "{command} {fault}: {answer:?}"),
        Said::Unknown => assert!(found[0] == from || found[0] == from + 1, "{command} {fault}: {found:?}"),
    }
    if found[0] == from {
        // Whatever is still on its way: asked again, it is done once.
        match documents.commit(APP, batch).await {
            Ok(()) => {}
            Err(CommitError::Version { .. } | CommitError::Exists { .. }) => {
                assert!(matches!(said(&answer, fault), Said::Unknown), "{command} {fault}: {answer:?}");
            }
            Err(error) => panic!("{command} {fault}: {error}"),
        }
    }
    // What no majority was waited for may be seen a moment later.
    let limit = Instant::now() + Duration::from_secs(20);
    while versions(documents, ids).await.iter().any(|version| *version != from + 1) {
        assert!(Instant::now() < limit, "{command} {fault} after {answer:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    from + 1
}

/// As is usual, but nobody waits long.
async fn store(faults: &Faults) -> MongoStore {
    faults.patient(Duration::from_millis(1_500)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_keep_their_promise_under_every_code_and_label() {
    let faults_of = Faults::begin().await;
    let journal = store(&faults_of).await.journal();
    let all = faults().into_iter().chain(concerns()).chain([block()]);
    for (slot, fault) in (1..).zip(all) {
        appends(&faults_of, &*journal, slot, &fault).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn single_writes_keep_their_promise_under_every_code_and_label() {
    let faults_of = Faults::begin().await;
    let documents = store(&faults_of).await.documents();
    let counted = ["counted".to_owned()];
    documents.commit(APP, Batch::of(insert(&counted[0]))).await.unwrap();
    let mut at = 1;
    for (number, fault) in faults().into_iter().chain(concerns()).chain([block()]).enumerate() {
        moves(&faults_of, &*documents, "insert", (&[number.to_string()], 0), &fault).await;
        at = moves(&faults_of, &*documents, "update", (&counted, at), &fault).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_keep_their_promise_under_every_code_and_label() {
    let faults_of = Faults::begin().await;
    let documents = store(&faults_of).await.documents();
    let both = ["left".to_owned(), "right".to_owned()];
    documents.commit(APP, Batch::of(insert(&both[0])).and(insert(&both[1]))).await.unwrap();
    let mut at = 1;
    for fault in faults().into_iter().chain([block()]) {
        at = moves(&faults_of, &*documents, "update", (&both, at), &fault).await;
    }
    // `NoSuchTransaction` of a majority is the server's word that nothing was committed: asked for where it is not so, it
    // would be a lie that the real server does not tell.
    for fault in faults().into_iter().chain(concerns()).chain([block()]) {
        at = moves(&faults_of, &*documents, "commitTransaction", (&both, at), &fault).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_are_right_or_unavailable_under_every_code_and_label() {
    let faults_of = Faults::begin().await;
    let store = store(&faults_of).await;
    let (journal, documents) = (store.journal(), store.documents());
    append(&*journal, 1).await;
    // More than one answer of the server has room for, so that the rest takes `getMore`.
    let body = Bytes::from(format!("\"{}\"", "x".repeat(6 << 20)));
    for id in ["a", "b", "c"] {
        let write = Write::Insert { collection: &PLAIN, id: id.to_owned(), body: body.clone(), keys: vec![] };
        documents.commit(APP, Batch::of(write)).await.unwrap();
    }
    let query = || Query::new(&PLAIN, None, Key::empty(), 100);
    assert_eq!(documents.query(APP, query()).await.unwrap().len(), 3);
    let fine = |error: &StoreError| matches!(error, StoreError::Unavailable(_));
    for fault in faults().into_iter().chain([block()]) {
        faults_of.next(1, "find", &fault).await;
        let got = documents.get(APP, &PLAIN, "a").await;
        faults_of.off().await;
        assert!(got.as_ref().map_or_else(fine, Option::is_some), "{fault}: {:?}", got.err());

        faults_of.next(1, "find", &fault).await;
        let read = journal.read(APP, 1, 9).await;
        faults_of.off().await;
        assert!(read.as_ref().map_or_else(fine, |read| *read == [(1, group(1))]), "{fault}: {read:?}");

        faults_of.next(1, "getMore", &fault).await;
        let rows = documents.query(APP, query()).await;
        faults_of.off().await;
        let count = rows.map(|rows| rows.len());
        assert!(count.as_ref().map_or_else(fine, |count| *count == 3), "{fault}: half an answer: {count:?}");
    }
}
