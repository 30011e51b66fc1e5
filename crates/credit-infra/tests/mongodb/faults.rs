//! What the server does to calls, by its own fail points.

use std::sync::OnceLock;
use std::time::Duration;

use credit_core::ports::StoreError;
use credit_core::ports::documents::{Batch, CommitError, Write};
use credit_core::ports::journal::{Appended, Group, Journal};
use credit_core::testkit::documents_contract::PLAIN;
use credit_infra::mongodb::{MongoOptions, MongoStore};
use credit_infra::testkit::mongod::{Mongo, Options};
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};

use super::{APP, options};

/// Elections, shutdowns, lost connections, as the server calls them.
const PASSING: [i32; 12] = [6, 7, 89, 91, 189, 262, 9001, 10_107, 11_600, 11_602, 13_435, 13_436];

/// The server that faults are set on, and the right to set them: there is one fail point.
struct Faults {
    mongo: &'static Mongo,
    _turn: MutexGuard<'static, ()>,
}

impl Faults {
    async fn begin() -> Self {
        static MONGO: OnceLock<Mongo> = OnceLock::new();
        static TURN: Mutex<()> = Mutex::const_new(());
        let turn = TURN.lock().await;
        let mongo = tokio::task::spawn_blocking(|| MONGO.get_or_init(|| Mongo::start(Options::one())));
        Self { mongo: mongo.await.unwrap(), _turn: turn }
    }

    async fn store(&self) -> MongoStore {
        let call_timeout = Duration::from_secs(4);
        let options = MongoOptions { app_name: "faulty".to_owned(), call_timeout, ..options(self.mongo) };
        MongoStore::connect(options).await.unwrap()
    }

    /// The next so many of these commands of ours fail so.
    fn next(&self, times: u32, command: &str, fault: &Value) {
        let mut data = json!({"failCommands": [command], "appName": "faulty"});
        for (name, value) in fault.as_object().unwrap() {
            data[name] = value.clone();
        }
        self.mongo.fail_command(0, &json!({"times": times}), &data);
    }

    fn off(&self) {
        self.mongo.fail_command(0, &json!("off"), &json!({"failCommands": ["find"], "appName": "faulty"}));
    }
}

/// Every way in which a command can go wrong and be tried again.
fn passing() -> Vec<Value> {
    let codes = PASSING.map(|code| json!({"errorCode": code}));
    let unanswered = [json!({"closeConnection": true})];
    codes.into_iter().chain(unanswered).collect()
}

fn group(id: u64) -> Group {
    Group { id: u128::from(id), bytes: id.to_string().into() }
}

/// As the lane does: the same group at the same slot, until it is known.
async fn append(journal: &dyn Journal, slot: u64) -> (Appended, u32) {
    for attempt in 1..20 {
        match journal.append(APP, slot, group(slot)).await {
            Ok(answer) => return (answer, attempt),
            Err(StoreError::OutcomeUnknown(_)) => {}
            // Of an attempt after an unknown one this says nothing about the first.
            Err(StoreError::Unavailable(_)) if attempt > 1 => {}
            Err(StoreError::Unavailable(why)) => panic!("it was sent: {why}"),
            Err(StoreError::Corrupt(why)) => panic!("{why}"),
        }
    }
    panic!("slot {slot} never became known");
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
            faults.next(times, "insert", &fault);
            assert_eq!(append(&*journal, slot).await.0, Appended::Appended, "{fault} × {times}");
            faults.off();
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
        faults.next(1, "insert", &concern);
        let answer = journal.append(APP, slot, group(slot)).await;
        assert!(matches!(answer, Ok(Appended::Appended) | Err(StoreError::OutcomeUnknown(_))), "{answer:?}");
        faults.off();
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
    faults.next(1, "insert", &json!({"blockConnection": true, "blockTimeMS": 5_000}));
    let answer = journal.append(APP, 1, group(1)).await;
    assert!(matches!(answer, Err(StoreError::OutcomeUnknown(_))), "{answer:?}");
    faults.off();
    // The first attempt is still on its way: whichever lands, it is the same group.
    assert_eq!(append(&*journal, 1).await.0, Appended::Appended);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(journal.read(APP, 1, 10).await, Ok(vec![(1, group(1))]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_that_is_refused_for_good_is_unavailable_at_once() {
    let faults = Faults::begin().await;
    let journal = faults.store().await.journal();
    faults.next(1, "insert", &json!({"errorCode": 13}));
    let answer = journal.append(APP, 1, group(1)).await;
    assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
    faults.off();
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
            faults.next(times, command, &fault);
            let (head, found) = (journal.head(APP).await, documents.get(APP, &PLAIN, "a").await);
            faults.off();
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

fn insert(id: &str) -> Write {
    Write::Insert { collection: &PLAIN, id: id.to_owned(), body: "{}".into(), keys: vec![] }
}

fn replace(id: &str, version: u64) -> Write {
    Write::Replace { collection: &PLAIN, id: id.to_owned(), version, body: "{}".into(), keys: vec![] }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn single_writes_under_passing_faults_happen_once() {
    let faults = Faults::begin().await;
    let documents = faults.store().await.documents();
    documents.commit(APP, Batch::of(insert("counted"))).await.unwrap();
    let mut version = 1;
    for (number, fault) in passing().into_iter().enumerate() {
        let id = number.to_string();
        faults.next(3, "insert", &fault);
        assert_eq!(documents.commit(APP, Batch::of(insert(&id))).await, Ok(()), "{fault}");
        faults.next(3, "update", &fault);
        let replaced = documents.commit(APP, Batch::of(replace("counted", version))).await;
        assert_eq!(replaced, Ok(()), "{fault}");
        version += 1;
        faults.next(3, "delete", &fault);
        let delete = Write::Delete { collection: &PLAIN, id, version: 1 };
        assert_eq!(documents.commit(APP, Batch::of(delete)).await, Ok(()), "{fault}");
        faults.off();
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
        faults.next(2, "commitTransaction", &fault);
        let both = Batch::of(replace("left", version)).and(replace("right", version));
        assert_eq!(documents.commit(APP, both).await, Ok(()), "{fault}");
        faults.off();
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
        faults.next(2, "insert", &fault);
        let both = Batch::of(insert(&one)).and(insert(&two));
        assert_eq!(documents.commit(APP, both).await, Ok(()), "{fault}");
        faults.off();
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
            faults.next(2, command, &fault);
            let batch = Batch::of(put("view", sequence)).and(put("mark", sequence));
            assert_eq!(documents.commit(APP, batch).await, Ok(()), "{fault}");
            faults.off();
            for id in ["view", "mark"] {
                assert_eq!(documents.get(APP, &PLAIN, id).await.unwrap().unwrap().version, sequence);
            }
        }
    }
}
