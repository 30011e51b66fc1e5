//! Background jobs of two real programs on one MongoDB that wait in one Redis: emptied, killed, and a program that dies
//! with a job in its hands.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use credit_infra::testkit::mongod::{fresh_database, shared};
use credit_infra::testkit::redis_server::{RedisOptions, RedisServer};
use credit_tests::client::Client;
use credit_tests::server::{Server, on_mongodb};
use credit_tests::story::{audit, purchase, register};
use serde_json::Value;

/// A lease of a program that died lasts for 30 s, and what Redis lost is found due ten seconds later.
const PATIENCE: Duration = Duration::from_secs(75);
const JOB: &str = "reconciliation";

fn job(admin: &Client) -> Value {
    let all = admin.get("/v1/jobs").expect(200).json();
    let jobs = all["data"].as_array().expect("a list");
    jobs.iter().find(|job| job["name"] == JOB).unwrap_or_else(|| panic!("no {JOB} in {all}")).clone()
}

/// The job is told to run, and has.
fn run(admin: &Client) {
    let before = job(admin)["last_run"]["finished_at"].clone();
    let told = admin.call("POST", &format!("/v1/jobs/{JOB}/run"), &[], None).expect("an answer");
    assert_eq!(told.status, 202, "{}", told.body);
    let began = Instant::now();
    loop {
        let now = job(admin);
        if now["last_run"]["finished_at"].as_str() > before.as_str() && now["running_since"].is_null() {
            assert_eq!(now["last_run"]["outcome"], "succeeded", "{now}");
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{now}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A figure of the program, summed over its labels.
fn figure(server: &Server, name: &str, label: &str) -> f64 {
    let text = Client::nobody(&server.metrics_base().expect("an address")).get("/metrics").expect(200).body;
    let lines = text.lines().filter(|line| line.starts_with(name) && line.contains(label));
    lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}

#[test]
fn jobs_of_two_programs_wait_in_redis_and_whatever_becomes_of_it_each_runs_once_at_a_time() {
    let redis = RedisServer::start(RedisOptions::default());
    let (uri, database, url) = (shared().uri(), fresh_database(), redis.url());
    let settings = on_mongodb(
        &uri,
        &database,
        &[
            ("CREDIT_CACHE__BACKEND", "redis"),
            ("CREDIT_CACHE__REDIS__URL", url.as_str()),
            ("CREDIT_JOBS__STORAGE", "redis"),
        ],
    );
    let one = Server::start(&settings).expect("one");
    let mut other = one.start_another().expect("another");
    let owner = register(&one.app());
    purchase(&one.app(), &owner.wallet, 100);
    let admin = one.admin();
    let there = other.nobody().with_token(&admin_token(&one));
    for _ in 0..3 {
        run(&admin);
        run(&there);
    }
    let queued = redis.tell("KEYS credit:jobs:idempotency:*");
    assert!(queued.iter().any(|key| key.contains(JOB)), "they wait in Redis: {queued:?}");
    for server in [&one, &other] {
        assert!(figure(server, "credit_redis_round_trips_total", "purpose=\"jobs\"") > 0.0, "it looks there");
    }

    // Emptied all the time.
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                assert!(redis.tell("FLUSHALL").iter().any(|line| line == "+OK"));
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(&there)));
        over.store(true, Ordering::SeqCst);
        if let Err(panic) = ran {
            std::panic::resume_unwind(panic);
        }
    });
    // Gone, and back.
    redis.kill();
    run(&admin);
    redis.restart();
    run(&there);
    for server in [&one, &other] {
        let lost = figure(server, "credit_jobs_leases_lost_total", "");
        assert!(lost < 0.5, "two ran one job: {lost}");
    }
    // Of one program that dies, whatever it had in its hands, the other one takes over.
    other.kill().expect("killed");
    run(&admin);
    audit(&admin);
    assert_eq!(admin.get("/health").expect(200).json()["status"], "healthy");
}

fn admin_token(server: &Server) -> String {
    let credentials =
        std::fs::read_to_string(server.folder().join("dev-credentials.json")).expect("it is there");
    let credentials: Value = serde_json::from_str(&credentials).expect("JSON");
    let admin = &credentials["admin"];
    let login = serde_json::json!({"login": admin["username"], "password": admin["password"]});
    server.nobody().post("/v1/auth/login", &login).expect(200).text("access_token")
}
