//! A `MongoDB` that misbehaves, by signals and behind a proxy.

use std::time::Duration;

use credit_infra::testkit::mongod::{Mongo, Options, fresh_database};
use credit_infra::testkit::proxy::Mode;
use credit_tests::story::{purchase, register};
use serde_json::json;

use super::load::{Expected, World};
use super::program::Program;

const STARTED_WITHIN: Duration = Duration::from_secs(30);

fn start(mongo: &Mongo) -> Program {
    Program::start(&[
        ("CREDIT_STORE__BACKEND", "mongodb"),
        ("CREDIT_STORE__MONGODB__URI", &mongo.uri()),
        ("CREDIT_STORE__MONGODB__DATABASE", &fresh_database()),
    ])
}

fn proxied() -> Mongo {
    Mongo::start(Options { proxied: true, ..Options::one() })
}

#[test]
fn one_that_is_away_at_the_start_is_waited_for() {
    let mongo = proxied();
    mongo.proxy(0).set(Mode::Refuse);
    mongo.proxy(0).cut_all();
    let program = start(&mongo);
    program.wait_for("/health/live", 200, STARTED_WITHIN);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!((program.page("/health/live").0, program.page("/health/ready").0), (200, 503));
    let (status, took) = program.page("/v1/wallets");
    assert!(matches!(status, 401 | 503), "{status}");
    assert!(took < Duration::from_secs(2), "{took:?}");
    let called = program.nobody().with_key("ck_somebody").get("/v1/wallets");
    assert_eq!(called.status, 503, "{}", called.body);

    mongo.proxy(0).set(Mode::Pass);
    program.wait_for("/health/ready", 200, Duration::from_secs(10));
    World::new(&program).is_healthy();
}

#[test]
fn one_that_is_killed_is_noticed_and_found_again() {
    let mongo = proxied();
    let program = start(&mongo);
    program.wait_for("/health/ready", 200, STARTED_WITHIN);
    let mut world = World::new(&program);
    world.outage("it is killed", || mongo.kill(0), || mongo.restart(0), &|world| {
        world.is_turned_away(&Expected::after_deadlines());
    });
    world.is_healthy();
}

#[test]
fn one_that_talks_nonsense_is_noticed_and_found_again() {
    let mongo = proxied();
    let program = start(&mongo);
    program.wait_for("/health/ready", 200, STARTED_WITHIN);
    let mut world = World::new(&program);
    world.outage(
        "it talks nonsense",
        || mongo.proxy(0).set(Mode::Garbage),
        || mongo.proxy(0).set(Mode::Pass),
        &|world| world.is_turned_away(&Expected::after_deadlines()),
    );
    world.is_healthy();
}

#[test]
fn one_that_is_stopped_holds_nobody_for_long() {
    let mongo = proxied();
    let program = start(&mongo);
    program.wait_for("/health/ready", 200, STARTED_WITHIN);
    let mut world = World::new(&program);
    world.outage("it is stopped", || mongo.pause(0), || mongo.resume(0), &|world| {
        world.is_turned_away(&Expected::after_deadlines());
    });
    world.is_healthy();
}

#[test]
fn one_that_is_slow_by_two_seconds_is_given_up_and_tried_and_holds_nobody_for_long() {
    let mongo = proxied();
    let program = start(&mongo);
    program.wait_for("/health/ready", 200, STARTED_WITHIN);
    let mut world = World::new(&program);
    world.outage(
        "it is slow by two seconds",
        || mongo.proxy(0).set(Mode::Delay(Duration::from_secs(1))),
        || mongo.proxy(0).set(Mode::Pass),
        &|world| world.is_given_up_and_tried(Duration::from_secs(20)),
    );
    world.is_healthy();
}

/// A program that has spent, on a store that is stopped, with a spend under way.
fn stopped_half_way(mongo: &Mongo, timeout: &str) -> (Program, std::thread::JoinHandle<()>) {
    let program = Program::start(&[
        ("CREDIT_STORE__BACKEND", "mongodb"),
        ("CREDIT_STORE__MONGODB__URI", &mongo.uri()),
        ("CREDIT_STORE__MONGODB__DATABASE", &fresh_database()),
        ("CREDIT_SERVER__SHUTDOWN_TIMEOUT", timeout),
    ]);
    program.wait_for("/health/ready", 200, STARTED_WITHIN);
    let app = program.app();
    let owner = register(&app);
    purchase(&app, &owner.wallet, 100);
    mongo.pause(0);
    let under_way = std::thread::spawn(move || {
        let spend = json!({"type": "spend", "wallet_id": owner.wallet, "amount": 1});
        let key = [("idempotency-key", "under-way")];
        // It is cut off, refused or unknown; nothing can be said of it but that it is no success.
        let answer = app.call("POST", "/v1/transactions", &key, Some(&spend));
        assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status == 503));
    });
    std::thread::sleep(Duration::from_millis(500));
    (program, under_way)
}

#[test]
fn a_program_whose_store_does_not_answer_ends_in_a_definite_time_and_says_that_it_did_not_end_well() {
    let mongo = Mongo::start(Options::one());
    let (mut program, under_way) = stopped_half_way(&mongo, "6s");
    program.terminate();
    let status = program.wait(Duration::from_secs(30));
    assert_eq!(status.code(), Some(4), "{}", program.log());
    assert!(program.log().contains("it did not stop cleanly"), "{}", program.log());
    mongo.resume(0);
    under_way.join().expect("no success");
}

#[test]
fn a_second_signal_hurries_the_ledger_as_well() {
    let mongo = Mongo::start(Options::one());
    let (mut program, under_way) = stopped_half_way(&mongo, "10m");
    program.terminate();
    std::thread::sleep(Duration::from_millis(300));
    program.terminate();
    let status = program.wait(Duration::from_secs(20));
    assert_eq!(status.code(), Some(4), "{}", program.log());
    mongo.resume(0);
    under_way.join().expect("no success");
}
