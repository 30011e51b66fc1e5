//! Backups of a service that works, and what is left of its promises when only they are left.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use credit_core::{Clock, Timestamp};
use credit_infra::clock::SystemClock;
use credit_tests::client::{Answer, Client};
use credit_tests::contract::all_pages;
use credit_tests::server::{Server, binary};
use credit_tests::story::{audit, purchase, register, unique, wallet};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tempfile::TempDir;

const CALLERS: usize = 16;
const FILLERS: usize = 64;
const START: i64 = 10_000_000;
const KEPT: usize = 3;
const BACKUPS: usize = 5;
/// What the pages of a copy take, and what the load takes meanwhile.
const MOST_GROWTH_MIB: u64 = 200;

/// By the clock that the service has too.
fn now() -> Timestamp {
    SystemClock::new().now()
}

/// A service that puts backups there when it is told.
fn server(backups: &Path) -> Server {
    let (directory, keep) = (backups.display().to_string(), KEPT.to_string());
    let settings = [
        ("CREDIT_BACKUP__DIRECTORY", directory.as_str()),
        ("CREDIT_BACKUP__EVERY", "30d"),
        ("CREDIT_BACKUP__KEEP", keep.as_str()),
    ];
    Server::start(&settings).expect("a server")
}

fn job(admin: &Client) -> Value {
    let all = admin.get("/v1/jobs").expect(200).json();
    let jobs = all["data"].as_array().expect("a list");
    jobs.iter().find(|job| job["name"] == "store_backup").unwrap_or_else(|| panic!("{all}")).clone()
}

/// Waits for a run that ended after this one, and was not stopped.
fn next_run(admin: &Client, before: &Value) -> Value {
    let limit = Instant::now() + Duration::from_secs(120);
    loop {
        let job = job(admin);
        let run = &job["last_run"];
        let has_ended = run.is_object() && *run != before["last_run"] && job["running"] == false;
        if has_ended && run["outcome"] != "stopped" {
            assert_eq!(job["last_run"]["outcome"], "succeeded", "{job}");
            return job;
        }
        assert!(Instant::now() < limit, "{job}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// An admin has one made; answers how long that took.
fn make_backup(admin: &Client) -> Duration {
    let (before, began) = (job(admin), Instant::now());
    assert_eq!(admin.call("POST", "/v1/jobs/store_backup/run", &[], None).expect("an answer").status, 202);
    next_run(admin, &before);
    began.elapsed()
}

/// The backups there, the oldest first, with what each says of itself.
fn backups_in(directory: &Path) -> Vec<(PathBuf, Value)> {
    let mut paths: Vec<_> =
        std::fs::read_dir(directory).expect("there").map(|entry| entry.expect("it").path()).collect();
    paths.sort();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(path.join("backup.json"));
        let text = text.unwrap_or_else(|error| panic!("{} is not whole: {error}", path.display()));
        (path, serde_json::from_str(&text).expect("JSON"))
    };
    paths.into_iter().map(read).collect()
}

fn began_at(manifest: &Value) -> Timestamp {
    Timestamp::parse(manifest["began_at"].as_str().expect("a time")).expect("a time")
}

fn restore(data_dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary().expect("the program"));
    command.arg("restore").args(arguments).current_dir(data_dir).env("CREDIT_DATA_DIR", data_dir);
    command.output().expect("it runs")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A spend that was answered `201`.
struct Spent {
    body: Value,
    answer: Answer,
    at: Timestamp,
}

/// Spends as fast as they are answered, until the service is gone.
#[derive(Default)]
struct Load {
    spent: Mutex<BTreeMap<String, Spent>>,
    asked: Mutex<BTreeSet<String>>,
    count: AtomicUsize,
    stop: AtomicBool,
}

impl Load {
    fn call(&self, app: &Client, wallet: &str) {
        let prefix = unique("backup-");
        for number in 0_u64.. {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            let key = format!("{prefix}-{number}");
            let body = json!({"type": "spend", "wallet_id": wallet, "amount": 1, "reference": key});
            self.asked.lock().insert(key.clone());
            let sent = app.call("POST", "/v1/transactions", &[("idempotency-key", &key)], Some(&body));
            // Killed in the middle of it.
            let Ok(answer) = sent else { return };
            assert_eq!(answer.status, 201, "{}", answer.body);
            self.spent.lock().insert(key, Spent { body, answer, at: now() });
            self.count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Spends a second over some time.
    fn rate(&self, length: Duration) -> usize {
        let (before, began) = (self.count.load(Ordering::Relaxed), Instant::now());
        std::thread::sleep(length);
        let spent = u128::try_from(self.count.load(Ordering::Relaxed) - before).expect("few");
        usize::try_from(spent * 1000 / began.elapsed().as_millis()).expect("few")
    }
}

/// Makes the store as large as it is asked to be: so many spends beside those of the load.
fn fill(app: &Client, wallet: &str) {
    let wanted = std::env::var_os("CREDIT_TEST_BACKUP_FILL").and_then(|text| text.to_str()?.parse().ok());
    let each = wanted.unwrap_or(4_000_usize).div_ceil(FILLERS);
    purchase(app, wallet, START);
    std::thread::scope(|scope| {
        for _ in 0..FILLERS {
            scope.spawn(move || {
                let body = json!({"type": "spend", "wallet_id": wallet, "amount": 1});
                for _ in 0..each {
                    let filled = app.post_once("/v1/transactions", &unique("fill-"), &body);
                    assert_eq!(filled.status, 201, "{}", filled.body);
                }
            });
        }
    });
}

/// Everything that was answered before is there once, as it was answered; of the rest each is there whole or not at all;
/// and nothing is there that nobody asked for.
fn look_at_all(server: &Server, app: &Client, wallet_id: &str, load: &Load, began: Timestamp) -> usize {
    let rows = all_pages(app, &format!("/v1/transactions?wallet_id={wallet_id}&type=spend"), 200);
    let kept: BTreeMap<String, &Value> =
        rows.iter().map(|row| (row["reference"].as_str().unwrap_or_default().to_owned(), row)).collect();
    assert_eq!(kept.len(), rows.len(), "a key has moved twice");
    let (spent, asked) = (load.spent.lock(), load.asked.lock());
    for (key, row) in &kept {
        assert!(asked.contains(key), "nobody asked for {row}");
        assert_eq!(row["entries"].as_array().map(Vec::len), Some(2), "{row}");
        if let Some(spent) = spent.get(key) {
            assert_eq!(**row, spent.answer.json(), "{key}");
        }
    }
    let lost: Vec<_> = spent.iter().filter(|(key, _)| !kept.contains_key(*key)).collect();
    for (key, spent) in &lost {
        assert!(spent.at >= began, "{key} was answered at {} and the backup began at {began}", spent.at);
    }
    let balance = i64::try_from(rows.len()).map(|count| START - count).expect("few");
    assert_eq!(wallet(app, wallet_id)["balance"], balance);
    audit(&server.admin());
    // Whoever kept its key and asks again gets the first answer, or what was lost with the disk happens now, once.
    let first = spent.iter().filter(|(key, _)| kept.contains_key(*key)).step_by(50);
    for (key, spent) in first {
        let again = app.post_once("/v1/transactions", key, &spent.body);
        assert_eq!((again.status, &again.body), (201, &spent.answer.body), "{key}");
        assert_eq!(again.header("idempotent-replayed"), Some("true"), "{key}");
    }
    for (key, spent) in lost.iter().take(50) {
        let again = app.post_once("/v1/transactions", key, &spent.body).expect(201);
        assert_eq!(again.header("idempotent-replayed"), None, "{key}");
    }
    let repeated = i64::try_from(lost.len().min(50)).expect("few");
    assert_eq!(wallet(app, wallet_id)["balance"], balance - repeated);
    lost.len()
}

#[test]
fn a_service_killed_under_load_comes_back_from_its_last_backup_with_all_that_was_answered_before_it() {
    let shelf = TempDir::new().expect("a directory");
    let backups = shelf.path().join("backups");
    let mut live = server(&backups);
    let (app, admin, key) = (live.app(), live.admin(), live.api_key().to_owned());
    let (owner, filler) = (register(&app), register(&app));
    purchase(&app, &owner.wallet, START);
    // One is due at the first start.
    next_run(&admin, &Value::Null);
    fill(&app, &filler.wallet);

    let load = Load::default();
    let mut killed_at = now();
    std::thread::scope(|scope| {
        for _ in 0..CALLERS {
            let (load, app, owner) = (&load, &app, &owner);
            scope.spawn(move || load.call(app, &owner.wallet));
        }
        let without = load.rate(Duration::from_secs(2));
        let resident = live.resident_kib();
        for _ in 0..BACKUPS {
            let (before, began) = (load.count.load(Ordering::Relaxed), Instant::now());
            let took = make_backup(&admin);
            let with = load.count.load(Ordering::Relaxed) - before;
            println!(
                "a backup took {took:.2?}; {with} spends in {:.2?}, without it {without}/s",
                began.elapsed()
            );
            assert!(with > 0, "nothing was answered while a backup was made");
        }
        let grown = live.resident_kib().saturating_sub(resident) / 1024;
        println!("resident memory has grown by {grown} MiB of {} MiB", resident / 1024);
        assert!(grown < MOST_GROWTH_MIB, "{grown} MiB more after {BACKUPS} backups under load");
        load.rate(Duration::from_secs(1));
        live.kill().expect("killed");
        killed_at = now();
        load.stop.store(true, Ordering::Relaxed);
    });

    let there = backups_in(&backups);
    assert_eq!(there.len(), KEPT, "as many as are to be kept, and nothing half: {there:?}");
    let began = began_at(&there[KEPT - 1].1);
    let bytes: u64 = ["journal.redb", "documents.redb"]
        .iter()
        .filter_map(|file| there[KEPT - 1].1["files"][file]["bytes"].as_u64())
        .sum();

    let fresh = TempDir::new().expect("a directory");
    std::fs::copy(live.folder().join("dev-secrets.json"), fresh.path().join("dev-secrets.json"))
        .expect("copied");
    let restoring = Instant::now();
    let restored = restore(fresh.path(), &["--newest", &backups.display().to_string()]);
    assert_eq!(restored.status.code(), Some(0), "{}", stderr(&restored));
    let report: Value = serde_json::from_slice(&restored.stdout).expect("JSON");
    assert_eq!((&report["verified"], &report["began_at"]), (&json!(true), &there[KEPT - 1].1["began_at"]));
    let verified = restoring.elapsed();
    let again = Server::start_in(fresh, &[]).expect("it starts");
    let app = again.nobody().with_key(&key);
    assert_eq!(wallet(&app, &owner.wallet)["id"], owner.wallet);
    let recovered = restoring.elapsed();

    let lost = look_at_all(&again, &app, &owner.wallet, &load, began);
    let answered = load.spent.lock().len();
    println!(
        "{answered} spends answered; backup of {} transactions, {bytes} bytes; restored and verified in {verified:.2?}, \
         first 200 after {recovered:.2?}; killed {} ms after the backup began, {lost} answered spends after it are lost",
        report["transactions"],
        killed_at.millis_since(began)
    );
    assert!(answered > 500, "the load was too small to tell: {answered}");
    // What came after the last backup is what a backup does not have; without any the test would prove nothing of it.
    assert!(lost > 0 && lost < answered, "{lost} of {answered}");
}

#[test]
fn nothing_is_restored_over_a_store_and_nothing_damaged_or_too_old_is_restored_at_all() {
    let shelf = TempDir::new().expect("a directory");
    let mut live = server(shelf.path());
    let admin = live.admin();
    purchase(&live.app(), &register(&live.app()).wallet, 100);
    next_run(&admin, &Value::Null);
    make_backup(&admin);
    let there = backups_in(shelf.path());
    let newest = there[1].0.display().to_string();
    let shelf_path = shelf.path().display().to_string();

    let taken = restore(live.folder(), &[&newest]);
    assert_eq!(taken.status.code(), Some(4), "{}", stderr(&taken));
    assert!(stderr(&taken).contains("nothing is ever written over"), "{}", stderr(&taken));
    assert_eq!(live.nobody().get("/health/ready").status, 200);

    let fresh = TempDir::new().expect("a directory");
    let is_empty = || std::fs::read_dir(fresh.path()).expect("there").next().is_none();
    std::thread::sleep(Duration::from_millis(1100));
    let old = restore(fresh.path(), &["--newest", "--max-age", "0s", &shelf_path]);
    assert_eq!(old.status.code(), Some(1), "{}", stderr(&old));
    let none = restore(fresh.path(), &["--newest", &fresh.path().display().to_string()]);
    assert_eq!(none.status.code(), Some(4), "{}", stderr(&none));
    let no_backup = restore(fresh.path(), &[&live.folder().display().to_string()]);
    assert!(stderr(&no_backup).contains("is no backup"), "{}", stderr(&no_backup));
    for file in ["journal.redb", "documents.redb"] {
        let path = there[1].0.join(file);
        let before = std::fs::read(&path).expect("there");
        let mut bytes = before.clone();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x20;
        std::fs::write(&path, bytes).expect("written");
        let damaged = restore(fresh.path(), &["--newest", &shelf_path]);
        assert_eq!(damaged.status.code(), Some(4), "{file}: {}", stderr(&damaged));
        assert!(stderr(&damaged).contains("is damaged"), "{file}: {}", stderr(&damaged));
        std::fs::write(&path, before).expect("written");
    }
    // Of two stores in one directory nobody guesses which one is meant.
    let other = shelf.path().join("credit-20990101T000000000Z-00000000");
    std::fs::create_dir(&other).expect("made");
    let mut manifest = there[1].1.clone();
    manifest["store_id"] = json!("0".repeat(32));
    std::fs::write(other.join("backup.json"), manifest.to_string()).expect("written");
    let several = restore(fresh.path(), &["--newest", &shelf_path]);
    assert_eq!(several.status.code(), Some(4), "{}", stderr(&several));
    assert!(stderr(&several).contains("backups of 2 stores"), "{}", stderr(&several));
    std::fs::remove_dir_all(&other).expect("removed");
    assert!(is_empty(), "a refusal leaves nothing behind");

    // Whole again, it is restored, verified, and the same ledger; a rehearsal beside the running service.
    let good = restore(fresh.path(), &["--newest", "--max-age", "1h", &shelf_path]);
    assert_eq!(good.status.code(), Some(0), "{}", stderr(&good));
    let again = restore(fresh.path(), &[&newest]);
    assert_eq!(again.status.code(), Some(4), "{}", stderr(&again));
    assert_eq!(live.terminate().expect("it ends"), Some(0));
}

#[test]
fn only_an_admin_has_a_backup_made_and_nobody_says_where_to() {
    let shelf = TempDir::new().expect("a directory");
    let server = server(shelf.path());
    let (admin, app) = (server.admin(), server.app());
    let owner = register(&app);
    next_run(&admin, &Value::Null);
    let path = "/v1/jobs/store_backup/run";
    for (caller, status) in [(&server.nobody(), 401), (&owner.client, 403), (&app, 403)] {
        assert_eq!(caller.call("POST", path, &[], None).expect("an answer").status, status);
    }
    let elsewhere = json!({"directory": "../elsewhere"});
    assert_eq!(admin.post(path, &elsewhere).status, 422);
    let parameter = format!("{path}?directory=..%2Felsewhere");
    assert_eq!(admin.call("POST", &parameter, &[], None).expect("an answer").status, 400);
    assert_eq!(
        admin.call("POST", "/v1/jobs/store_backup%2F../run", &[], None).expect("an answer").status,
        404
    );
    assert_eq!(backups_in(shelf.path()).len(), 1, "none of them made one");
    make_backup(&admin);
    assert_eq!(backups_in(shelf.path()).len(), 2);
    let metrics =
        Client::nobody(&server.metrics_base().expect("an address")).get("/metrics").expect(200).body;
    assert!(metrics.contains("\ncredit_backup_progress_ratio 1\n"), "{metrics}");
    assert!(metrics.contains("\ncredit_backup_last_began_timestamp_seconds "), "{metrics}");
    // A service that was told no place has no such job.
    let without = Server::start(&[]).expect("a server");
    assert_eq!(without.admin().call("POST", path, &[], None).expect("an answer").status, 404);
}

#[test]
fn a_service_that_stops_in_the_middle_of_a_backup_stops_cleanly_and_leaves_nothing_half() {
    let shelf = TempDir::new().expect("a directory");
    let mut server = server(shelf.path());
    let (app, admin) = (server.app(), server.admin());
    next_run(&admin, &Value::Null);
    fill(&app, &register(&app).wallet);
    for _ in 0..3 {
        assert_eq!(
            admin.call("POST", "/v1/jobs/store_backup/run", &[], None).expect("an answer").status,
            202
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(server.terminate().expect("it ends"), Some(0), "{}", server.log());
    // Each that is there is whole.
    assert!(!backups_in(shelf.path()).is_empty());
    server.start_again().expect("it starts again");
    audit(&server.admin());
}

#[test]
fn what_is_left_of_a_backup_whose_service_was_killed_is_no_backup_and_goes_with_the_next() {
    let shelf = TempDir::new().expect("a directory");
    let mut server = server(shelf.path());
    next_run(&server.admin(), &Value::Null);
    fill(&server.app(), &register(&server.app()).wallet);
    let is_half = || {
        let names = std::fs::read_dir(shelf.path()).expect("there");
        names.filter_map(Result::ok).any(|entry| entry.file_name().to_string_lossy().ends_with(".part"))
    };
    let (path, limit) = ("/v1/jobs/store_backup/run", Instant::now() + Duration::from_secs(60));
    loop {
        assert_eq!(server.admin().call("POST", path, &[], None).expect("an answer").status, 202);
        let soon = Instant::now() + Duration::from_secs(5);
        while !is_half() && Instant::now() < soon {
            std::thread::sleep(Duration::from_millis(1));
        }
        server.kill().expect("killed");
        let was_hit = is_half();
        server.start_again().expect("it starts again");
        if was_hit {
            break;
        }
        assert!(Instant::now() < limit, "no kill has hit a backup that was under way");
    }
    // A run that was killed is made again by itself; one more is asked for in case it has ended already.
    make_backup(&server.admin());
    make_backup(&server.admin());
    assert!(!is_half(), "half a backup is still there");
    assert!(!backups_in(shelf.path()).is_empty(), "each that is there is whole");
    audit(&server.admin());
}
