//! Answers that are lost, and what is said behind them: a later fault never takes back what an earlier attempt may have
//! done.

use std::sync::Arc;
use std::time::{Duration, Instant};

use credit_core::ports::StoreError;
use credit_core::ports::documents::{Batch, CommitError};
use credit_core::ports::journal::Appended;
use credit_core::testkit::documents_contract::PLAIN;
use credit_infra::mongodb::{MongoOptions, MongoStore};
use credit_infra::testkit::mongod::{Mongo, Options};
use credit_infra::testkit::proxy::Mode;
use serde_json::json;

use super::faulty::{FAULTY, group, insert};
use super::{APP, options};

/// A server behind a proxy, and a store on it.
async fn lossy() -> (Arc<Mongo>, MongoStore) {
    let mongo = Mongo::start(Options { proxied: true, ..Options::one() });
    let options = MongoOptions { app_name: FAULTY.to_owned(), ..options(&mongo) };
    let store = MongoStore::connect(options).await.unwrap();
    (Arc::new(mongo), store)
}

/// The answers to the first so many of these commands are lost, the commands are not. Whoever asks again then is refused
/// for lack of rights.
fn lose_then_refuse(mongo: &Arc<Mongo>, command: &str, lost: u64) -> std::thread::JoinHandle<()> {
    // Long enough to let answers pass before this one is given.
    let refuse = json!({
        "failCommands": [command], "appName": FAULTY, "errorCode": 13, "blockConnection": true, "blockTimeMS": 1_500,
    });
    mongo.fail_command(0, &json!({"skip": lost}), &refuse);
    let mark = [b"\x02".as_slice(), command.as_bytes(), b"\0"].concat();
    let mark = if command == "commitTransaction" { command.as_bytes().to_vec() } else { mark };
    mongo.proxy(0).set(Mode::DropAnswer(mark));
    let (mongo, enough) = (Arc::clone(mongo), mongo.proxy(0).dropped_answers() + lost);
    std::thread::spawn(move || {
        let limit = Instant::now() + Duration::from_secs(30);
        while mongo.proxy(0).dropped_answers() < enough {
            assert!(Instant::now() < limit, "no answer was lost");
            std::thread::sleep(Duration::from_millis(2));
        }
        mongo.proxy(0).set(Mode::Pass);
    })
}

async fn end(mongo: &Arc<Mongo>, losing: std::thread::JoinHandle<()>) {
    tokio::task::spawn_blocking(move || losing.join()).await.unwrap().unwrap();
    mongo.fail_command(0, &json!("off"), &json!({"failCommands": ["find"], "appName": FAULTY}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_that_was_kept_stays_unknown_when_the_next_attempt_is_refused() {
    let (mongo, store) = lossy().await;
    let journal = store.journal();
    let losing = lose_then_refuse(&mongo, "insert", 1);
    let answer = journal.append(APP, 1, group(1)).await;
    assert!(matches!(answer, Err(StoreError::OutcomeUnknown(_))), "{answer:?}");
    end(&mongo, losing).await;
    assert_eq!(journal.read(APP, 1, 9).await, Ok(vec![(1, group(1))]));
    assert_eq!(journal.append(APP, 1, group(1)).await, Ok(Appended::Appended));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_was_kept_stays_unknown_when_the_driver_s_second_attempt_is_refused() {
    let (mongo, store) = lossy().await;
    let documents = store.documents();
    let losing = lose_then_refuse(&mongo, "insert", 1);
    let answer = documents.commit(APP, Batch::of(insert("kept"))).await;
    assert!(matches!(answer, Err(CommitError::Store(StoreError::OutcomeUnknown(_)))), "{answer:?}");
    end(&mongo, losing).await;
    assert_eq!(documents.get(APP, &PLAIN, "kept").await.unwrap().map(|kept| kept.version), Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_was_made_stays_unknown_when_asking_again_is_refused() {
    let (mongo, store) = lossy().await;
    let documents = store.documents();
    // Once the driver's own second attempt is refused, and once ours after both of the driver's were lost.
    for (lost, ids) in [(1, ["a", "b"]), (2, ["c", "d"])] {
        let losing = lose_then_refuse(&mongo, "commitTransaction", lost);
        let answer = documents.commit(APP, Batch::of(insert(ids[0])).and(insert(ids[1]))).await;
        assert!(matches!(answer, Err(CommitError::Store(StoreError::OutcomeUnknown(_)))), "{answer:?}");
        end(&mongo, losing).await;
        for id in ids {
            assert!(documents.get(APP, &PLAIN, id).await.unwrap().is_some(), "{id}");
        }
    }
}
