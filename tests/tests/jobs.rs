//! Background jobs of the real program, as an admin sees them.

use std::time::{Duration, Instant};

use credit_core::ports::documents::{Batch, Documents, Write};
use credit_core::{AppId, Clock, IdSource};
use credit_infra::clock::SystemClock;
use credit_infra::embedded::{EmbeddedOptions, EmbeddedStore};
use credit_infra::randomness::OsIds;
use credit_tests::client::Client;
use credit_tests::server::Server;
use credit_tests::story::{audit, purchase, register, transact, wallet};
use credit_wallet::ledger::views;
use serde_json::{Value, json};

fn job(admin: &Client, name: &str) -> Value {
    let all = admin.get("/v1/jobs").expect(200).json();
    let jobs = all["data"].as_array().expect("a list");
    jobs.iter().find(|job| job["name"] == name).unwrap_or_else(|| panic!("no {name} in {all}")).clone()
}

/// The job once it is so.
fn until(admin: &Client, name: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let job = job(admin, name);
        if holds(&job) {
            return job;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{job}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn jobs_run_by_themselves_and_when_an_admin_says_so_and_tell_what_they_did() {
    let mut server = Server::start(&[]).expect("a server");
    let admin = server.admin();
    let owner = register(&server.app());
    purchase(&server.app(), &owner.wallet, 100);
    for name in ["expiry_sweep", "key_reencryption", "reconciliation", "session_sweep", "wallet_repair"] {
        let ran = until(&admin, name, |job| job["last_run"].is_object());
        assert_eq!(ran["last_run"]["outcome"], "succeeded", "{ran}");
        assert!(ran["next_run_at"].as_str() > ran["last_run"]["started_at"].as_str(), "{ran}");
    }
    let before = job(&admin, "key_reencryption");
    let told = admin.call("POST", "/v1/jobs/key_reencryption/run", &[], None).expect("an answer").expect(202);
    assert_eq!(told.json()["name"], "key_reencryption");
    let after = until(&admin, "key_reencryption", |job| job["last_run"] != before["last_run"]);
    assert_eq!(after["last_run"]["outcome"], "succeeded", "{after}");
    assert_eq!(admin.call("POST", "/v1/jobs/dance/run", &[], None).expect("an answer").status, 404);
    assert_eq!(server.app().get("/v1/jobs").status, 403);
    assert_eq!(owner.client.get("/v1/jobs").status, 403);

    // What is known of them outlives the process, and a lease that a killed one held is in nobody's way.
    server.kill_and_restart().expect("it starts again");
    let admin = server.admin();
    let kept = job(&admin, "key_reencryption");
    assert_eq!(kept["last_run"]["finished_at"], after["last_run"]["finished_at"]);
    let asked = admin.call("POST", "/v1/jobs/reconciliation/run", &[], None).expect("an answer");
    assert_eq!(asked.status, 202, "{}", asked.body);
    let again = until(&admin, "reconciliation", |job| {
        job["last_run"]["finished_at"].as_str() > kept["last_run"]["finished_at"].as_str()
    });
    assert_eq!(again["last_run"]["outcome"], "succeeded", "{again}");
    audit(&admin);
}

#[test]
fn what_expires_is_posted_within_a_minute_by_the_job() {
    let server = Server::start(&[("CREDIT_LEDGER__SWEEP_INTERVAL", "1s")]).expect("a server");
    let app = server.app();
    let owner = register(&app);
    let soon = SystemClock::new().now().plus_seconds(3).to_string();
    let body = json!({"type": "grant", "wallet_id": owner.wallet, "amount": 7, "expires_at": soon});
    let granted = app.post_once("/v1/transactions", "expires-soon", &body);
    assert_eq!(granted.status, 201, "{}", granted.body);
    let began = Instant::now();
    loop {
        let entries = app.get(&format!("/v1/wallets/{}/entries", owner.wallet)).expect(200).json();
        if entries["data"].as_array().is_some_and(|entries| entries.len() == 2) {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(25), "{entries}");
        std::thread::sleep(Duration::from_millis(100));
    }
    audit(&server.admin());
}

/// What is shown of a wallet says another version than it has. Nobody else has the store meanwhile.
async fn tamper(documents: &dyn Documents, app: AppId, wallet: &str) {
    let row = documents.get(app, &views::WALLETS, wallet).await.expect("it answers").expect("it is shown");
    let body = String::from_utf8(row.body.to_vec()).expect("JSON").replace("\"version\":", "\"version\":1");
    let (collection, id) = (&views::WALLETS, row.id);
    let delete = Write::Delete { collection, id: id.clone(), version: row.version };
    let put = Write::Put { collection, id, sequence: row.version, body: body.into(), keys: Vec::new() };
    documents.commit(app, Batch::of(delete).and(put)).await.expect("it is written");
}

fn drift(server: &Server) -> f64 {
    let text = Client::nobody(&server.metrics_base().expect("an address")).get("/metrics").expect(200).body;
    let line = text.lines().find_map(|line| line.strip_prefix("credit_ledger_drift "));
    line.and_then(|value| value.trim().parse().ok()).expect("a number")
}

#[test]
fn a_wallet_that_has_drifted_is_frozen_and_raised_until_it_is_found_well_again() {
    let mut server = Server::start(&[]).expect("a server");
    let (sound, drifted) = (register(&server.app()), register(&server.app()));
    for owner in [&sound, &drifted] {
        purchase(&server.app(), &owner.wallet, 100);
    }
    assert_eq!(server.terminate().expect("it ends"), Some(0));
    let options = EmbeddedOptions::new(SystemClock::new().now(), OsIds::new().mint());
    let store = EmbeddedStore::open(server.folder(), options).expect("nobody else has it");
    tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
        let documents = store.documents();
        let apps = documents.apps(&views::WALLETS).await.expect("it answers");
        for app in apps {
            if documents.get(app, &views::WALLETS, &drifted.wallet).await.expect("it answers").is_some() {
                tamper(&*documents, app, &drifted.wallet).await;
            }
        }
    });
    store.close().expect("it closes");

    server.start_again().expect("it starts again");
    let (admin, app) = (server.admin(), server.app());
    let compare_until = |what: &str, holds: &dyn Fn() -> bool| {
        let began = Instant::now();
        while !holds() {
            assert!(began.elapsed() < Duration::from_secs(60), "{what}: {}", job(&admin, "reconciliation"));
            let asked = admin.call("POST", "/v1/jobs/reconciliation/run", &[], None).expect("an answer");
            assert_eq!(asked.status, 202, "{}", asked.body);
            std::thread::sleep(Duration::from_millis(200));
        }
    };
    compare_until("it is frozen", &|| wallet(&app, &drifted.wallet)["status"] == "frozen");
    assert_eq!(wallet(&app, &drifted.wallet)["balance"], 100);
    let spend = |wallet: &str| transact(&app, &json!({"type": "spend", "wallet_id": wallet, "amount": 1}));
    assert_eq!(spend(&drifted.wallet).status, 409);
    assert_eq!(spend(&sound.wallet).status, 201);
    assert!(server.log().contains("what is kept of a wallet is not what the journal says"));
    compare_until("it is found well again", &|| drift(&server) < 0.5);
    audit(&admin);
}
