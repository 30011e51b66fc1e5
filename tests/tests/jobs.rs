//! Background jobs of the real program, as an admin sees them.

use std::time::{Duration, Instant};

use credit_core::Clock;
use credit_infra::clock::SystemClock;
use credit_tests::client::Client;
use credit_tests::server::Server;
use credit_tests::story::{audit, purchase, register};
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
