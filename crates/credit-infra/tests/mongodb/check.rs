//! What looking at a database finds, and what it says of it.

use credit_core::testkit::documents_contract::PEOPLE;
use credit_infra::mongodb::{CollectionStatus, ConnectError, MongoOptions, MongoStatus, MongoStore};
use credit_infra::testkit::mongod::{self, Login, Mongo, Options};
use serde_json::{Value, json};

use super::options;

fn of<'a>(status: &'a MongoStatus, name: &str) -> &'a CollectionStatus {
    status.collections.iter().find(|collection| collection.name == name).unwrap()
}

#[tokio::test]
async fn a_user_who_may_read_and_not_write_does_not_pass() {
    let root = Login { user: "root".to_owned(), password: "rootsecret".to_owned() };
    let mongo = Mongo::start(Options { login: Some(root), ..Options::one() });
    let database = mongod::fresh_database();
    let user = |name: &str| Login { user: name.to_owned(), password: "usersecret".to_owned() };
    let make = |name: &str, roles: Value| {
        mongo.create_user(&user(name), &roles);
        let uri = mongo.uri_as(Some(&user(name))).into();
        MongoOptions { uri, database: database.clone(), ..options(&mongo) }
    };
    let writer = make("writer", json!([{"role": "readWrite", "db": &database}]));
    MongoStore::migrate(writer.clone()).await.unwrap();

    for (name, db) in [("reader", database.as_str()), ("everywhere", "admin")] {
        let role = if db == "admin" { "readAnyDatabase" } else { "read" };
        let reader = make(name, json!([{"role": role, "db": db}]));
        let refused = MongoStore::check(reader).await.expect_err("refused");
        let sentence = refused.to_string();
        assert!(matches!(refused, ConnectError::Rights { .. }) && !refused.is_retryable(), "{sentence}");
        for part in ["insert, update, remove", "createCollection", "readWrite", database.as_str()] {
            assert!(sentence.contains(part), "{part} is not in: {sentence}");
        }
    }
    assert!(MongoStore::check(writer.clone()).await.unwrap().is_ready());

    // To put a validator back takes more than `readWrite`, and that is said before it is tried.
    let off = json!({"validationLevel": "off"});
    mongo.command(0, &database, "collMod", &json!("d_test_people"), &off).unwrap();
    let status = MongoStore::check(writer).await.unwrap();
    let people = of(&status, "d_test_people");
    assert_eq!(people.missing, ["the validator"]);
    assert!(people.wrong.len() == 1 && people.wrong[0].contains("collMod"), "{people:?}");
    let owner = make("owner", json!([{"role": "dbOwner", "db": &database}]));
    assert!(of(&MongoStore::check(owner.clone()).await.unwrap(), "d_test_people").wrong.is_empty());
    assert!(MongoStore::migrate(owner).await.unwrap().is_ready());
}

#[tokio::test]
async fn an_index_is_known_by_what_it_is_and_not_by_its_name() {
    let mongo = mongod::shared();
    let options = options(mongo);
    assert!(MongoStore::migrate(options.clone()).await.unwrap().is_ready());
    let change = |name: &str, members: Value| {
        mongo.command(0, &options.database, name, &json!("d_test_people"), &members).unwrap();
    };
    let unique = json!({"key": {"a": 1, "k.email": 1}, "name": "rows_email"});
    change("dropIndexes", json!({"index": "rows_email"}));
    change("createIndexes", json!({"indexes": [unique]}));
    let status = MongoStore::check(options.clone()).await.unwrap();
    let people = of(&status, "d_test_people");
    assert!(!status.is_ready() && people.missing.is_empty(), "{people:?}");
    assert!(people.wrong.len() == 1, "{people:?}");
    for part in ["rows_email is not unique", "dropIndex(\"rows_email\")", "store migrate"] {
        assert!(people.wrong[0].contains(part), "{people:?}");
    }
    // It is as the sentence says: nothing puts it right but taking it away.
    let refused = MongoStore::migrate(options.clone()).await.expect_err("refused");
    assert!(matches!(refused, ConnectError::Schema { .. }), "{refused}");
    change("dropIndexes", json!({"index": "rows_email"}));
    assert!(MongoStore::migrate(options).await.unwrap().is_ready());
}

#[tokio::test]
async fn a_validator_that_refuses_nothing_is_missed_and_put_back() {
    let mongo = mongod::shared();
    let options = MongoOptions { collections: vec![&PEOPLE], ..options(mongo) };
    MongoStore::migrate(options.clone()).await.unwrap();
    for change in [
        json!({"validationLevel": "off"}),
        json!({"validationLevel": "moderate"}),
        json!({"validationAction": "warn"}),
        json!({"validator": {}}),
    ] {
        mongo.command(0, &options.database, "collMod", &json!("d_test_people"), &change).unwrap();
        let status = MongoStore::check(options.clone()).await.unwrap();
        assert_eq!(of(&status, "d_test_people").missing, ["the validator"], "{change}");
        assert!(MongoStore::migrate(options.clone()).await.unwrap().is_ready(), "{change}");
    }
}
