//! Groups that no document has room for: whole with their slot, or not there.

use std::time::Duration;

use bytes::Bytes;
use credit_core::ports::StoreError;
use credit_core::ports::journal::{Appended, Group};
use credit_infra::mongodb::{MongoOptions, MongoStore};
use credit_infra::testkit::mongod::{Mongo, Options};
use mongodb::bson::{Document, doc};
use mongodb::{Client, Collection};
use serde_json::json;

use super::{APP, options};

const PARTS: &str = "journal_parts";

fn large(id: u128) -> Group {
    Group { id, bytes: Bytes::from(vec![u8::try_from(id).unwrap(); 30 << 20]) }
}

async fn kept_parts(mongo: &Mongo, options: &MongoOptions) -> Collection<Document> {
    let client = Client::with_uri_str(mongo.uri()).await.unwrap();
    client.database(&options.database).collection(PARTS)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_large_groups_that_want_one_slot_one_is_there_whole_and_nothing_of_the_others_stays() {
    let mongo = Mongo::start(Options::one());
    let options = options(&mongo);
    let mut stores = Vec::new();
    for _ in 0..3 {
        stores.push(MongoStore::connect(options.clone()).await.unwrap());
    }
    for sequence in 1..=3_u64 {
        let wanting = stores.iter().zip(1_u128..).map(|(store, number)| {
            let (journal, group) = (store.journal(), large(u128::from(sequence) * 10 + number));
            tokio::spawn(async move { (journal.append(APP, sequence, group.clone()).await, group) })
        });
        let mut won = Vec::new();
        for one in wanting.collect::<Vec<_>>() {
            let (answer, group) = one.await.unwrap();
            if answer.unwrap() == Appended::Appended {
                won.push(group);
            }
        }
        assert_eq!(won.len(), 1, "slot {sequence}");
        for store in &stores {
            let kept = store.journal().read(APP, sequence, 1).await.unwrap();
            assert!(kept == [(sequence, won[0].clone())]);
        }
    }
    // Three parts for each of three groups; those of the losers go beside.
    let parts = kept_parts(&mongo, &options).await;
    let mut left = 0;
    for _ in 0..100 {
        left = parts.count_documents(doc! {}).await.unwrap();
        if left == 9 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(left, 9);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_without_a_slot_are_nothing_and_a_slot_without_a_part_is_damage() {
    let mongo = Mongo::start(Options::one());
    let options = options(&mongo);
    let store = MongoStore::connect(options.clone()).await.unwrap();
    let (journal, parts) = (store.journal(), kept_parts(&mongo, &options).await);
    assert!(matches!(journal.append(APP, 2, large(1)).await, Err(StoreError::Corrupt(_))), "a gap");
    assert_eq!(parts.count_documents(doc! {}).await.unwrap(), 0, "a refusal leaves nothing");

    // The three parts are put, and the slot is not filled.
    mongo.fail_command(0, &json!({"skip": 3}), &json!({"failCommands": ["insert"], "errorCode": 13}));
    assert!(matches!(journal.append(APP, 1, large(1)).await, Err(StoreError::Unavailable(_))));
    mongo.fail_command(0, &json!("off"), &json!({"failCommands": ["insert"]}));
    assert_eq!((parts.count_documents(doc! {}).await.unwrap(), journal.head(APP).await), (3, Ok(0)));
    assert_eq!(journal.read(APP, 1, 10).await, Ok(vec![]));
    // The same group again takes them as they are.
    assert_eq!(journal.append(APP, 1, large(1)).await, Ok(Appended::Appended));
    assert_eq!(parts.count_documents(doc! {}).await.unwrap(), 3);
    assert!(journal.read(APP, 1, 10).await.unwrap() == [(1, large(1))]);

    assert_eq!(parts.delete_one(doc! {"_id.p": 2_i64}).await.unwrap().deleted_count, 1);
    assert!(matches!(journal.read(APP, 1, 10).await, Err(StoreError::Corrupt(_))));
}
