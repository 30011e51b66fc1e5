use std::time::{Duration, Instant};

use credit_infra::testkit::mongod::{Login, Mongo, Options, fresh_database, shared};
use credit_infra::testkit::proxy::Mode;
use serde_json::{Value, json};

fn insert(mongo: &Mongo, node: usize, database: &str, id: i64) -> Result<Value, String> {
    let members = json!({
        "documents": [{"_id": id}],
        "writeConcern": {"w": "majority", "j": true, "wtimeout": 20_000},
    });
    let answer = mongo.command(node, database, "insert", &json!("things"), &members)?;
    if answer["n"] == 1 { Ok(answer) } else { Err(answer.to_string()) }
}

fn count(mongo: &Mongo, node: usize, database: &str) -> Value {
    mongo.command(node, database, "count", &json!("things"), &json!({})).expect("it counts")["n"].clone()
}

#[test]
fn one_node_is_shared_by_databases_of_different_names() {
    let (one, other) = (fresh_database(), fresh_database());
    insert(shared(), 0, &one, 1).unwrap();
    insert(shared(), 0, &other, 1).unwrap();
    assert!(insert(shared(), 0, &one, 1).unwrap_err().contains("11000"));
    assert_eq!(count(shared(), 0, &one), 1);
}

#[test]
fn of_three_nodes_two_go_on_when_the_primary_is_killed_and_all_three_when_it_is_back() {
    let mongo = Mongo::start(Options::three());
    let database = fresh_database();
    insert(&mongo, mongo.primary(), &database, 1).unwrap();

    let killed = mongo.kill_primary();
    let begun = Instant::now();
    let next = mongo.primary();
    assert_ne!(next, killed);
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    insert(&mongo, next, &database, 2).unwrap();

    mongo.restart(killed);
    mongo.pause(next);
    let last = mongo.primary();
    assert_ne!(last, next);
    insert(&mongo, last, &database, 3).unwrap();
    mongo.resume(next);
    assert_eq!(count(&mongo, mongo.primary(), &database), 3);
}

#[test]
fn a_fail_point_makes_the_next_insert_fail_as_it_says() {
    let mongo = Mongo::start(Options::one());
    let database = fresh_database();
    mongo.fail_command(0, &json!({"times": 1}), &json!({"failCommands": ["insert"], "errorCode": 91}));
    assert!(insert(&mongo, 0, &database, 1).unwrap_err().contains("91"));
    insert(&mongo, 0, &database, 1).unwrap();
}

#[test]
fn a_proxied_node_is_reached_through_its_proxy_only() {
    let mongo = Mongo::start(Options { proxied: true, ..Options::one() });
    let address = mongo.proxy(0).address().to_string();
    assert!(mongo.uri().contains(&address), "{}", mongo.uri());
    let hello = mongo.command(0, "admin", "hello", &json!(1), &json!({})).unwrap();
    assert_eq!(hello["hosts"], json!([address]));
    mongo.proxy(0).set(Mode::Refuse);
    insert(&mongo, 0, &fresh_database(), 1).unwrap();
}

#[test]
fn users_and_certificates_are_asked_for() {
    let root = Login { user: "root".to_owned(), password: "correcthorse".to_owned() };
    let mongo = Mongo::start(Options { tls: true, login: Some(root), ..Options::one() });
    let database = fresh_database();
    insert(&mongo, 0, &database, 1).unwrap();
    let reader = Login { user: "reader".to_owned(), password: "batterystaple".to_owned() };
    mongo.create_user(&reader, &json!([{"role": "read", "db": database}]));
    assert!(mongo.uri_as(Some(&reader)).contains("reader:batterystaple@127.0.0.1"));
    assert!(mongo.uri_as(None).contains("tls=true"));
}

#[test]
fn a_standalone_has_no_set_and_a_set_may_not_journal() {
    let alone = Mongo::start(Options::standalone());
    let hello = alone.command(0, "admin", "hello", &json!(1), &json!({})).unwrap();
    assert_eq!(hello["setName"], Value::Null);
    let careless = Mongo::start(Options { majority_journals: false, ..Options::one() });
    let config = careless.command(0, "admin", "replSetGetConfig", &json!(1), &json!({})).unwrap();
    assert_eq!(config["config"]["writeConcernMajorityJournalDefault"], false);
}
