//! Collections, indexes and validators.

use std::time::{Duration, Instant};

use credit_core::ports::documents::{Batch, Collection, Index, Key, Query, Write};
use credit_core::testkit::documents_contract::PEOPLE;
use credit_infra::mongodb::{ConnectError, MongoOptions, MongoStore};
use credit_infra::testkit::mongod::{self, Mongo, Options};
use serde_json::json;

use super::{APP, options};

#[tokio::test]
async fn looking_writes_nothing_and_names_what_is_missing() {
    let options = options(mongod::shared());
    let status = MongoStore::check(options.clone()).await.unwrap();
    assert!(!status.is_ready());
    assert_eq!((status.store_id, status.format), (None, None));
    let names: Vec<_> = status.collections.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["journal", "journal_parts", "store", "d_test_people", "d_test_views", "d_test_plain"]);
    assert!(status.collections.iter().all(|one| one.missing == ["the collection"]));
    let listed = mongod::shared().command(0, &options.database, "listCollections", &json!(1), &json!({}));
    assert_eq!(listed.unwrap()["cursor"]["firstBatch"], json!([]));

    let status = MongoStore::migrate(options.clone()).await.unwrap();
    assert!(status.is_ready(), "{status:?}");
    assert_eq!((status.store_id, status.format), (Some(42), Some(1)));
    assert_eq!(status.replica_set.as_deref(), Some("credit"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_that_migrate_at_once_make_one_store() {
    let options = options(mongod::shared());
    let racing: Vec<_> = (0..8)
        .map(|number| {
            let options = MongoOptions { new_store_id: 100 + number, ..options.clone() };
            tokio::spawn(async move { MongoStore::migrate(options).await })
        })
        .collect();
    let mut ids = Vec::new();
    for one in racing {
        let status = one.await.unwrap().unwrap();
        assert!(status.is_ready(), "{status:?}");
        ids.extend(status.store_id);
    }
    assert!((100..108).contains(&ids[0]) && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[tokio::test]
async fn what_is_missing_later_is_added_and_what_is_there_stays() {
    static BEFORE: Collection = Collection { name: "grown", indexes: &[] };
    static AFTER: Collection =
        Collection { name: "grown", indexes: &[Index { name: "by_town", unique: false }] };
    let mut options = options(mongod::shared());
    options.collections = vec![&BEFORE];
    let store = MongoStore::connect(options.clone()).await.unwrap();
    let insert = |collection, id: &str, keys| {
        Batch::of(Write::Insert { collection, id: id.to_owned(), body: "{}".into(), keys })
    };
    store.documents().commit(APP, insert(&BEFORE, "old", vec![])).await.unwrap();
    let change = json!({"validator": {}, "validationLevel": "off"});
    mongod::shared().command(0, &options.database, "collMod", &json!("d_grown"), &change).unwrap();

    options.collections = vec![&AFTER];
    let status = MongoStore::check(options.clone()).await.unwrap();
    assert_eq!(status.collections[3].missing, ["the validator", "rows_by_town", "several"]);
    assert!(MongoStore::migrate(options.clone()).await.unwrap().is_ready());
    let documents = MongoStore::connect(options).await.unwrap().documents();
    documents.commit(APP, insert(&AFTER, "new", vec![("by_town", Key::text("Bern"))])).await.unwrap();
    let rows = documents.query(APP, Query::new(&AFTER, Some("by_town"), Key::empty(), 10)).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.document.id.as_str()).collect::<Vec<_>>(), ["new"]);
    let all = documents.query(APP, Query::new(&BEFORE, None, Key::empty(), 10)).await.unwrap();
    assert_eq!(all.len(), 2);
}

#[tokio::test]
async fn what_is_not_a_document_of_ours_is_refused_by_the_server() {
    let options = options(mongod::shared());
    let _store = MongoStore::connect(options.clone()).await.unwrap();
    let document = json!({"documents": [{"_id": "by hand", "v": 1}]});
    let mongo = mongod::shared();
    let reply = mongo.command(0, &options.database, "insert", &json!("d_test_people"), &document).unwrap();
    assert_eq!(reply["writeErrors"][0]["code"], json!(121));
}

#[tokio::test]
async fn a_page_of_rows_is_read_in_the_order_of_its_index() {
    let options = options(mongod::shared());
    let store = MongoStore::connect(options.clone()).await.unwrap();
    for number in 0..50 {
        let keys = vec![("city", Key::text(&format!("{number:02}"))), ("email", Key::number(number))];
        let write = Write::Insert { collection: &PEOPLE, id: format!("p{number}"), body: "{}".into(), keys };
        store.documents().commit(APP, Batch::of(write)).await.unwrap();
    }
    // What the server says of the same question: the rows of the index, in its order, and nothing is sorted.
    for field in ["k.city", "k.email"] {
        let filter = json!({"a": "one", (field): {"$gte": "", "$exists": true}});
        let pipeline = json!([{"$match": filter}, {"$sort": {(field): 1}}, {"$limit": 5}]);
        let members = json!({"pipeline": pipeline, "cursor": {}, "explain": true});
        let explained =
            mongod::shared().command(0, &options.database, "aggregate", &json!("d_test_people"), &members);
        let plan = explained.unwrap()["queryPlanner"]["winningPlan"].to_string();
        assert!(plan.contains("IXSCAN") && !plan.contains("COLLSCAN"), "{plan}");
        assert!(!plan.contains("SORT"), "{plan}");
    }
}

/// A server on which builds of indexes stop where they have begun, until they are let go.
struct Builds(Mongo);

impl Builds {
    fn set(&self, mode: &str) {
        let point = json!("hangAfterInitializingIndexBuild");
        self.0.command(0, "admin", "configureFailPoint", &point, &json!({"mode": mode})).unwrap();
    }

    /// How many are under way.
    fn under_way(&self) -> usize {
        let builds = json!({"command.createIndexes": "d_grown", "active": true});
        let running = self.0.command(0, "admin", "currentOp", &json!(1), &builds).unwrap();
        running["inprog"].as_array().map_or(0, Vec::len)
    }

    /// Waits until one is.
    async fn begun(&self) {
        let limit = Instant::now() + Duration::from_secs(30);
        while tokio::task::block_in_place(|| self.under_way()) == 0 {
            assert!(Instant::now() < limit, "no index is built");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

static GROWN: Collection = Collection { name: "grown", indexes: &[Index { name: "by_town", unique: false }] };

/// The same before it had a look-up.
static PLAIN_GROWN: Collection = Collection { name: "grown", indexes: &[] };

/// A database with documents that an index is missing of.
async fn without_an_index(mongo: &Mongo) -> MongoOptions {
    let options = MongoOptions {
        collections: vec![&PLAIN_GROWN],
        call_timeout: Duration::from_secs(2),
        schema_timeout: Duration::from_secs(120),
        ..options(mongo)
    };
    let store = MongoStore::connect(options.clone()).await.unwrap();
    for number in 0..50 {
        let id = format!("{number:02}");
        let write = Write::Insert { collection: &PLAIN_GROWN, id, body: "{}".into(), keys: vec![] };
        store.documents().commit(APP, Batch::of(write)).await.unwrap();
    }
    store.close().await;
    MongoOptions { collections: vec![&GROWN], ..options }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn indexes_that_are_built_for_longer_than_a_call_may_take_are_waited_for() {
    let builds = Builds(Mongo::start(Options { in_memory: true, ..Options::one() }));
    let options = without_an_index(&builds.0).await;
    builds.set("alwaysOn");
    let begun = Instant::now();
    let migrating = tokio::spawn(MongoStore::migrate(options.clone()));
    builds.begun().await;
    // Who has less patience is told what is so, and that asking again helps.
    let hasty = MongoOptions { schema_timeout: Duration::from_secs(1), ..options.clone() };
    let refused = MongoStore::connect(hasty).await.expect_err("it is not built");
    let sentence = refused.to_string();
    assert!(
        matches!(refused, ConnectError::Building { seconds: 1, .. }) && refused.is_retryable(),
        "{sentence}"
    );
    for part in ["d_grown", &options.database, "not built after 1 s", "goes on", "store migrate"] {
        assert!(sentence.contains(part), "{part} is not in: {sentence}");
    }
    while begun.elapsed() < options.call_timeout + Duration::from_millis(500) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(!migrating.is_finished());
    builds.set("off");
    let status = migrating.await.unwrap().unwrap();
    assert!(status.is_ready(), "{status:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_that_was_broken_off_is_run_again_by_several_and_ends() {
    let builds = Builds(Mongo::start(Options { in_memory: true, ..Options::one() }));
    let options = without_an_index(&builds.0).await;
    builds.set("alwaysOn");
    // A process of its own, gone in the middle of it.
    let (own, runtime) = (options.clone(), tokio::runtime::Runtime::new().unwrap());
    runtime.spawn(MongoStore::migrate(own));
    builds.begun().await;
    runtime.shutdown_background();
    let looked = MongoStore::check(options.clone()).await.unwrap();
    let missing = ["rows_by_town, which is being built", "several, which is being built"];
    assert_eq!(looked.collections[3].missing, missing, "{looked:?}");

    let again: Vec<_> = (0..3).map(|_| tokio::spawn(MongoStore::migrate(options.clone()))).collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    builds.set("off");
    for one in again {
        assert!(one.await.unwrap().unwrap().is_ready());
    }
    let documents = MongoStore::connect(options).await.unwrap().documents();
    let all = documents.query(APP, Query::new(&PLAIN_GROWN, None, Key::empty(), 100)).await.unwrap();
    assert_eq!(all.len(), 50);
}
