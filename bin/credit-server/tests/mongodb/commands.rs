//! The commands that work on the store.

use credit_infra::testkit::mongod::shared;
use serde_json::{Value, json};

use crate::place::Place;

#[test]
fn the_store_is_checked_made_and_described() {
    let place = Place::on_mongodb();
    assert!(place.done(&["store", "check"]).contains("can be worked on"));
    // Several at once, and again.
    let several: Vec<_> =
        (0..3).map(|_| place.program(&["store", "migrate"]).spawn().expect("the program starts")).collect();
    for mut one in several {
        assert!(one.wait().expect("waited").success());
    }
    place.done(&["store", "migrate"]);
    place.done(&["store", "check"]);
    let service = place.start();
    let wallet = service.wallet_of("ada", 100);
    assert_eq!(service.spend(&wallet, "spend-1", 1).0, 201);
    // While it is served.
    let status: Value = serde_json::from_str(&place.done(&["store", "status"])).expect("JSON");
    assert_eq!(status["backend"], "mongodb");
    assert_eq!((&status["ready"], &status["server"]["sharded"]), (&true.into(), &false.into()), "{status}");
    assert!(status["books"][0]["head"].as_u64() >= Some(3), "{status}");
    let collections = status["collections"].as_array().expect("a list");
    let users = collections.iter().find(|collection| collection["name"] == "d_users").expect("users");
    assert_eq!((&users["documents"], &users["missing"]), (&2.into(), &Value::Array(Vec::new())), "{status}");
}

#[test]
fn the_ledger_is_verified_and_rebuilt_and_people_are_made() {
    let place = Place::on_mongodb();
    let service = place.start();
    let wallet = service.wallet_of("ada", 100);
    assert_eq!(service.spend(&wallet, "spend-1", 30).0, 201);
    let verified: Value = serde_json::from_str(&place.done(&["ledger", "verify"])).expect("JSON");
    assert_eq!(verified["ok"], true, "{verified}");
    assert_eq!(service.stop(), Some(0));

    assert!(place.done(&["ledger", "rebuild"]).contains("1 books"));
    place.done(&["ledger", "verify"]);
    let made = place.done(&["admin", "create", "--username", "root", "--email", "root@shop.example"]);
    let admin: Value = serde_json::from_str(&made).expect("JSON");
    let key: Value =
        serde_json::from_str(&place.done(&["api-key", "create", "--name", "till"])).expect("JSON");
    assert!(key["secret"].as_str().is_some_and(|secret| secret.starts_with("ck_")), "{key}");
    let service = place.start();
    assert_eq!(service.balance(&wallet), 70);
    let password = admin["password"].as_str().expect("it was made");
    assert_eq!(service.get_as("root", password, "/v1/apps").0, 200);
}

#[test]
fn a_store_that_is_pinned_is_never_another_one() {
    let place = Place::on_mongodb();
    place.done(&["store", "migrate"]);
    let status: Value = serde_json::from_str(&place.done(&["store", "status"])).expect("JSON");
    let id = status["store_id"].as_str().expect("an id").to_owned();
    let place = place.with(&[("CREDIT_STORE__MONGODB__STORE_ID", &id)]);
    place.done(&["store", "migrate"]);
    let elsewhere = place.with(&[("CREDIT_STORE__MONGODB__DATABASE", "an_empty_one")]);
    for command in ["migrate", "status"] {
        let told = elsewhere.refused(&["store", command], 4);
        assert!(told.contains(&id) && told.contains("store.mongodb.database"), "{told}");
    }
    assert!(elsewhere.refused(&["serve"], 4).contains(&id));
}

#[test]
fn what_only_the_embedded_store_has_is_refused_with_a_sentence() {
    let place = Place::on_mongodb();
    assert!(place.refused(&["backup", "copy"], 1).contains("mongodump"));
    assert!(place.refused(&["store", "dump"], 1).contains("mongosh"));
    assert!(!place.data("").exists());
}

#[test]
fn what_only_the_operator_may_mend_is_refused_with_the_command_that_mends_it() {
    let place = Place::on_mongodb();
    place.done(&["store", "migrate"]);
    let change = |name: &str, members: Value| {
        shared().command(0, place.database(), name, &json!("d_users"), &members).expect("done");
    };
    let index = json!({"key": {"a": 1, "k.email": 1}, "name": "rows_email"});
    change("dropIndexes", json!({"index": "rows_email"}));
    change("createIndexes", json!({"indexes": [index]}));
    let told = place.refused(&["store", "check"], 4);
    for part in
        ["d_users", "rows_email is not unique", "db.d_users.dropIndex(\"rows_email\")", "store migrate"]
    {
        assert!(told.contains(part), "{part} is not in: {told}");
    }
    change("dropIndexes", json!({"index": "rows_email"}));
    assert!(place.done(&["store", "check"]).contains("d_users: rows_email"));
    place.done(&["store", "migrate"]);
    assert!(!place.done(&["store", "check"]).contains("rows_email"));
}
