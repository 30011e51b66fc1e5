//! `store copy`, there and back, interrupted, and refused.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::place::{PATIENCE, Place, Running};

const THERE: [&str; 6] = ["store", "copy", "--from", "embedded", "--to", "mongodb"];
const BACK: [&str; 6] = ["store", "copy", "--from", "mongodb", "--to", "embedded"];

fn trial_balance(service: &Running) -> Value {
    let (status, balance) = service.get_as_admin("/v1/ledger/trial-balance");
    assert_eq!(status, 200, "{balance}");
    balance
}

#[test]
fn a_store_is_copied_there_and_back_with_equal_sums_answers_and_secrets() {
    let place = Place::on_mongodb().with(&[("CREDIT_STORE__BACKEND", "embedded")]);
    let service = place.start();
    let wallet = service.wallet_of("ada", 100);
    let spent = service.spend(&wallet, "spend-1", 30);
    let sums = trial_balance(&service);
    assert_eq!(service.stop(), Some(0));

    let copied: Value = serde_json::from_str(&place.done(&THERE)).expect("JSON");
    assert_eq!(copied["verified"], true, "{copied}");
    assert!(place.refused(&THERE, 4).contains("is not empty"));
    let place = place.with(&[("CREDIT_STORE__BACKEND", "mongodb")]);
    let service = place.start();
    assert_eq!(service.balance(&wallet), 70);
    assert_eq!(trial_balance(&service), sums);
    assert_eq!(service.spend(&wallet, "spend-1", 30), spent, "keys are known there as well");
    assert_eq!(service.spend(&wallet, "spend-2", 20).0, 201);
    let sums = trial_balance(&service);
    assert_eq!(service.stop(), Some(0));

    std::fs::create_dir(place.data("back")).expect("a directory");
    for file in ["dev-secrets.json", "dev-credentials.json"] {
        std::fs::copy(place.data(file), place.data("back").join(file)).expect("copied");
    }
    let back = place.data("back").display().to_string();
    let place = place.with(&[("CREDIT_DATA_DIR", &back)]);
    place.done(&BACK);
    let place = place.with(&[("CREDIT_STORE__BACKEND", "embedded")]);
    let verified: Value = serde_json::from_str(&place.done(&["ledger", "verify"])).expect("JSON");
    assert_eq!(verified["ok"], true, "{verified}");
    let service = place.start();
    assert_eq!(service.balance(&wallet), 50);
    assert_eq!(trial_balance(&service), sums);
}

#[test]
fn a_copy_that_was_killed_is_served_by_nobody_and_goes_on_when_it_is_run_again() {
    let place = Place::on_mongodb().with(&[("CREDIT_STORE__BACKEND", "embedded")]);
    let service = place.start();
    let wallet = service.wallet_of("ada", 1_000);
    for number in 0..150 {
        assert_eq!(service.spend(&wallet, &format!("spend-{number}"), 1).0, 201);
    }
    let sums = trial_balance(&service);
    assert_eq!(service.stop(), Some(0));

    let there = place.with(&[("CREDIT_STORE__BACKEND", "mongodb")]);
    let mut copying = there.program(&THERE).spawn().expect("the program starts");
    let until = Instant::now() + PATIENCE;
    // Killed once some groups are there; the next line shows that not all of it was.
    loop {
        let status: Value = serde_json::from_str(&there.done(&["store", "status"])).expect("JSON");
        let head = status["books"][0]["head"].as_u64().unwrap_or_default();
        if head > 0 || status["copy"]["done"] == false {
            break;
        }
        assert!(Instant::now() < until, "nothing was copied: {status}");
        std::thread::sleep(Duration::from_millis(1));
    }
    copying.kill().expect("killed");
    copying.wait().expect("waited");
    let status: Value = serde_json::from_str(&there.done(&["store", "status"])).expect("JSON");
    assert_eq!(status["copy"]["done"], false, "it was too late to kill it: {status}");
    assert!(there.refused(&["serve"], 4).contains("unfinished copy"));
    let live = [&THERE[..], &["--live"]].concat();
    assert!(there.refused(&live, 4).contains("a moment that is gone"));

    there.done(&THERE);
    let service = there.start();
    assert_eq!(service.balance(&wallet), 850);
    assert_eq!(trial_balance(&service), sums);
}

#[test]
fn a_store_that_is_used_is_neither_copied_from_nor_copied_to() {
    let place = Place::on_mongodb().with(&[("CREDIT_STORE__BACKEND", "embedded")]);
    let service = place.start();
    assert!(place.refused(&THERE, 4).contains("in use"));
    assert_eq!(service.stop(), Some(0));
    let live = [&THERE[..], &["--live"]].concat();
    assert!(place.refused(&live, 1).contains("nobody works on the embedded store"));
    let place = place.with(&[("CREDIT_STORE__BACKEND", "mongodb")]);
    let service = place.start();
    assert!(place.refused(&THERE, 4).contains("is not empty"));
    drop(service);
    assert!(
        place.refused(&["store", "copy", "--from", "mongodb", "--to", "mongodb"], 1).contains("the same")
    );
}
