//! What does not pass the gate, and what it is told.

use std::time::Duration;

use credit_core::testkit::documents_contract::PEOPLE;
use credit_infra::mongodb::{ConnectError, MongoOptions, MongoStore};
use credit_infra::testkit::mongod::{self, Login, Mongo, Options};
use serde_json::json;

use super::options;

async fn refused(options: MongoOptions) -> (ConnectError, String) {
    let error = MongoStore::connect(options).await.expect_err("refused");
    let sentence = error.to_string();
    assert!(sentence.contains("store.mongodb.uri"), "{sentence}");
    (error, sentence)
}

fn has(sentence: &str, parts: &[&str]) {
    for part in parts {
        assert!(sentence.contains(part), "{part:?} is not in: {sentence}");
    }
}

fn quick(uri: &str) -> MongoOptions {
    MongoOptions {
        selection_timeout: Duration::from_millis(700),
        ..MongoOptions::new(uri.to_owned().into(), mongod::fresh_database(), vec![&PEOPLE])
    }
}

#[tokio::test]
async fn a_standalone_server_is_refused() {
    let mongo = Mongo::start(Options::standalone());
    let (error, sentence) = refused(options(&mongo)).await;
    assert!(matches!(error, ConnectError::Standalone) && !error.is_retryable());
    has(&sentence, &["--replSet", "rs.initiate()"]);
}

#[tokio::test]
async fn a_set_that_does_not_journal_what_a_majority_commits_is_refused() {
    let mongo = Mongo::start(Options { majority_journals: false, ..Options::one() });
    let (error, sentence) = refused(options(&mongo)).await;
    assert!(matches!(error, ConnectError::NotJournalled) && !error.is_retryable());
    has(&sentence, &["writeConcernMajorityJournalDefault", "rs.reconfig"]);
}

#[tokio::test]
async fn a_server_that_does_not_answer_may_be_asked_again() {
    let (error, sentence) = refused(quick("mongodb://127.0.0.1:9/?replicaSet=credit")).await;
    assert!(error.is_retryable(), "{sentence}");
    has(&sentence, &["can be reached"]);
}

#[tokio::test]
async fn an_address_that_does_not_read_is_refused_without_showing_it() {
    for uri in
        ["mongo://user:hunter2@host", "mongodb://user:hunter2@", "mongodb://user:hunter2@host/?tls=maybe"]
    {
        let options = quick(uri);
        assert!(!format!("{options:?}").contains("hunter2"));
        let (error, sentence) = refused(options).await;
        assert!(!error.is_retryable(), "{sentence}");
        assert!(!sentence.contains("hunter2") && !format!("{error:?}").contains("hunter2"), "{sentence}");
    }
}

#[tokio::test]
async fn a_user_without_the_rights_is_refused_by_the_role_it_needs() {
    let root = Login { user: "root".to_owned(), password: "rootsecret".to_owned() };
    let mongo = Mongo::start(Options { login: Some(root), ..Options::one() });
    let reader = Login { user: "reader".to_owned(), password: "readersecret".to_owned() };
    let database = mongod::fresh_database();
    mongo.create_user(&reader, &json!([{"role": "read", "db": &database}]));
    let writer = Login { user: "writer".to_owned(), password: "writersecret".to_owned() };
    mongo.create_user(&writer, &json!([{"role": "readWrite", "db": &database}]));
    let stranger = Login { user: "writer".to_owned(), password: "wrongsecret".to_owned() };

    for login in [Some(&reader), Some(&stranger), None] {
        let options = MongoOptions { database: database.clone(), ..quick(&mongo.uri_as(login)) };
        let (error, sentence) = refused(options).await;
        assert!(matches!(error, ConnectError::Rights { .. }) && !error.is_retryable(), "{sentence}");
        has(&sentence, &["readWrite", &database]);
        assert!(!sentence.contains("secret@") && !sentence.contains("wrongsecret"), "{sentence}");
    }
    // What the sentence asks for is enough.
    let options = MongoOptions { database, ..quick(&mongo.uri_as(Some(&writer))) };
    let store = MongoStore::connect(options.clone()).await.unwrap();
    store.ping().await.unwrap();
    assert!(MongoStore::check(options).await.unwrap().is_ready());
}

#[tokio::test]
async fn a_server_with_tls_is_known_by_an_own_authority() {
    let mongo = Mongo::start(Options { tls: true, ..Options::one() });
    let store = MongoStore::connect(options(&mongo)).await.unwrap();
    store.ping().await.unwrap();
    // Of an authority that nobody named, nothing is believed.
    let uri = mongo.uri();
    let without = uri.split("&tlsCAFile").next().unwrap();
    let (error, _) = refused(quick(without)).await;
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn another_store_than_the_pinned_one_is_refused() {
    let options = options(mongod::shared());
    let pinned = |id| MongoOptions { pinned_store_id: Some(id), ..options.clone() };
    let (error, sentence) = refused(pinned(42)).await;
    assert!(matches!(error, ConnectError::AnotherStore { .. }), "{sentence}");
    // A store that is pinned is never made.
    assert_eq!(MongoStore::check(options.clone()).await.unwrap().store_id, None);

    assert_eq!(MongoStore::connect(options.clone()).await.unwrap().store_id(), 42);
    assert_eq!(MongoStore::connect(pinned(42)).await.unwrap().store_id(), 42);
    let (error, sentence) = refused(pinned(43)).await;
    assert!(matches!(error, ConnectError::AnotherStore { .. }) && !error.is_retryable(), "{sentence}");
    has(&sentence, &[&format!("{:032x}", 42), &format!("{:032x}", 43), &options.database]);
}

#[tokio::test]
async fn a_newer_format_is_refused_with_both_versions() {
    let (mongo, options) = (mongod::shared(), options(mongod::shared()));
    MongoStore::connect(options.clone()).await.unwrap();
    let newer = json!([{"q": {"_id": "store"}, "u": {"$set": {"format": 9_000_000_000_i64}}}]);
    mongo.command(0, &options.database, "update", &json!("store"), &json!({"updates": newer})).unwrap();
    let (error, sentence) = refused(options.clone()).await;
    assert!(matches!(error, ConnectError::Newer { found: 9_000_000_000, known: 1, .. }), "{sentence}");
    has(&sentence, &["9000000000", "up to format 1", "newer release"]);
    assert!(MongoStore::check(options.clone()).await.is_err() && MongoStore::migrate(options).await.is_err());
}

#[tokio::test]
async fn a_store_is_reached_anew_by_another_user_and_another_store_is_refused() {
    let root = Login { user: "root".to_owned(), password: "rootsecret".to_owned() };
    let mongo = Mongo::start(Options { login: Some(root), ..Options::one() });
    let database = mongod::fresh_database();
    let users =
        ["first", "second"].map(|user| Login { user: user.to_owned(), password: format!("{user}secret") });
    for user in &users {
        let roles = json!([{"role": "readWrite", "db": &database}, {"role": "dbAdmin", "db": &database}]);
        mongo.create_user(user, &roles);
    }
    let options = MongoOptions { database: database.clone(), ..quick(&mongo.uri_as(Some(&users[0]))) };
    let store = MongoStore::connect(options).await.expect("it is reached");
    let stranger = Login { user: "second".to_owned(), password: "wrongsecret".to_owned() };
    let refused = store.reconnect(mongo.uri_as(Some(&stranger)).into()).await.expect_err("a wrong password");
    assert!(matches!(refused, ConnectError::Rights { .. }), "{refused}");
    store.ping().await.expect("it answers as before");

    let next = store.reconnect(mongo.uri_as(Some(&users[1])).into()).await.expect("it is the same store");
    assert_eq!(next.store_id(), store.store_id());
    store.close().await;
    next.ping().await.expect("it does not need the one before");

    // A database of the same name, in which somebody else has a store.
    let elsewhere = mongod::shared();
    let own = MongoOptions { database: database.clone(), ..quick(&elsewhere.uri()) };
    MongoStore::connect(own).await.expect("it is made").close().await;
    let another = next.reconnect(elsewhere.uri().into()).await.expect_err("another store");
    assert!(matches!(another, ConnectError::AnotherStore { .. }), "{another}");
    next.ping().await.expect("it answers as before");
}
