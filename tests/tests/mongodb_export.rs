//! An export of a MongoDB on which a service works.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use credit_infra::testkit::mongod::{fresh_database, shared};
use credit_tests::client::Client;
use credit_tests::contract::all_pages;
use credit_tests::load::Load;
use credit_tests::server::{Server, binary, on_mongodb};
use credit_tests::story::{audit, purchase, register, wallet};
use serde_json::{Value, json};
use tempfile::TempDir;

const CALLERS: usize = 12;
const START: i64 = 1_000_000;

/// Registers and erases users, so that the documents do not stand still either.
fn people_come_and_go(app: &Client, stop: &AtomicBool) -> usize {
    let mut come = 0;
    while !stop.load(Ordering::Relaxed) {
        let owner = register(app);
        come += 1;
        if come % 2 == 0 {
            let gone =
                app.call("DELETE", &format!("/v1/users/{}", owner.user), &[], None).expect("an answer");
            assert!(gone.status < 300, "{}", gone.body);
        }
        std::thread::sleep(Duration::from_millis(30));
    }
    come
}

fn spent(app: &Client, wallet: &str) -> Vec<String> {
    let rows = all_pages(app, &format!("/v1/transactions?wallet_id={wallet}&type=spend"), 200);
    rows.iter().map(|row| row["id"].as_str().expect("an id").to_owned()).collect()
}

#[test]
fn a_store_is_exported_whole_while_a_service_works_on_it_and_nobody_notices() {
    let (uri, database) = (shared().uri(), fresh_database());
    let server = Server::start(&on_mongodb(&uri, &database, &[])).expect("a server");
    let (app, key) = (server.app(), server.api_key().to_owned());
    let owner = register(&app);
    purchase(&app, &owner.wallet, START);
    let load = Load::on(&owner.wallet, START);
    let stop = AtomicBool::new(false);
    let fresh = TempDir::new().expect("a directory");
    std::fs::copy(server.folder().join("dev-secrets.json"), fresh.path().join("dev-secrets.json"))
        .expect("copied");

    let (before, after, took, report, come) = std::thread::scope(|scope| {
        let people = scope.spawn(|| people_come_and_go(&app, &stop));
        for _ in 0..CALLERS {
            scope.spawn(|| load.call(&app));
        }
        load.wait_for_more(500);
        let before = spent(&app, &owner.wallet);
        let began = Instant::now();
        let mut command = Command::new(binary().expect("the program"));
        command.args(["store", "copy", "--from", "mongodb", "--to", "embedded", "--live"]);
        command.current_dir(fresh.path()).env("CREDIT_DATA_DIR", fresh.path());
        command.env("CREDIT_STORE__MONGODB__URI", &uri).env("CREDIT_STORE__MONGODB__DATABASE", &database);
        let exported = command.output().expect("it runs");
        let took = began.elapsed();
        let error = String::from_utf8_lossy(&exported.stderr).into_owned();
        assert_eq!(exported.status.code(), Some(0), "{error}");
        load.wait_for_more(50);
        load.stop();
        stop.store(true, Ordering::Relaxed);
        let report: Value = serde_json::from_slice(&exported.stdout).expect("JSON");
        (before, spent(&app, &owner.wallet), took, report, people.join().expect("no panic"))
    });

    let audited = load.audit(&app);
    assert_eq!(audited.unknown, 0, "every call was answered as if nothing happened: {audited:?}");
    assert!(come > 5, "only {come} people came");
    audit(&server.admin());
    assert_eq!(report["verified"], true, "{report}");

    let copy = Server::start_in(fresh, &[("CREDIT_STORE__BACKEND", "embedded")]).expect("it starts");
    let app = copy.nobody().with_key(&key);
    let kept = spent(&app, &owner.wallet);
    println!(
        "{} spends before, {} in the export, {} after; {took:.2?} for {report}",
        before.len(),
        kept.len(),
        after.len()
    );
    assert!(before.iter().all(|id| kept.contains(id)), "a spend that was answered before is missing");
    assert!(kept.iter().all(|id| after.contains(id)), "a spend that nobody made is there");
    assert!(after.len() > before.len(), "nothing was spent meanwhile");
    let count = i64::try_from(kept.len()).expect("few");
    assert_eq!(wallet(&app, &owner.wallet)["balance"], START - count);
    audit(&copy.admin());
    // It is a store like any other.
    let body = json!({"type": "spend", "wallet_id": owner.wallet, "amount": 1});
    assert_eq!(app.post_once("/v1/transactions", "after-the-export", &body).status, 201);
}
