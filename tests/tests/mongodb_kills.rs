//! A replica set that loses its primary again and again, hangs, or answers into the void: no answered call is lost, none
//! is invented, and what nobody knows has one outcome.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use credit_infra::testkit::mongod::{Mongo, Options, fresh_database};
use credit_infra::testkit::proxy::Mode;
use credit_tests::load::Load;
use credit_tests::server::{Server, on_mongodb};
use credit_tests::story::{audit, purchase, register, unique, wallet};
use serde_json::json;

const KILLS: usize = 10;
const CALLERS: usize = 8;
const START: i64 = 1_000_000;
/// An insert into the collection of the books, as it goes over the wire.
const APPEND: &[u8] = b"\x02insert\0\x08\0\0\0journal\0";

/// Each of these has a replica set and a time of its own: side by side they would only wait for each other.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Within so long after the election writes resume.
const RESUME: Duration = Duration::from_secs(2);
/// A write that went to a primary that hangs is given up after so long (`GuardSettings::network`), and only then made
/// again elsewhere.
const HUNG_WRITE: Duration = Duration::from_secs(5);
/// The longest pause of the breaker (`BreakerSettings::longest_open`, and a quarter more by jitter), which calls that
/// hung have opened.
const BREAKER: Duration = Duration::from_secs(5);

/// How long this machine let nobody run, or nearly: by a thread that wants to do next to nothing every few milliseconds.
struct Stalls {
    ended: Arc<AtomicBool>,
    thread: JoinHandle<Duration>,
}

impl Stalls {
    fn begin() -> Self {
        const NAP: Duration = Duration::from_millis(5);
        const NOTHING: Duration = Duration::from_millis(20);
        let ended = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&ended);
        let thread = std::thread::spawn(move || {
            let mut stalled = Duration::ZERO;
            while !over.load(Ordering::Relaxed) {
                let begun = Instant::now();
                std::thread::sleep(NAP);
                let late = begun.elapsed().saturating_sub(NAP);
                if late > NOTHING {
                    stalled += late;
                }
            }
            stalled
        });
        Self { ended, thread }
    }

    fn end(self) -> Duration {
        self.ended.store(true, Ordering::Relaxed);
        self.thread.join().expect("it only sleeps")
    }
}

/// Two processes on the set, and load on both while `trouble` happens; then the audit.
fn under_load(mongo: &Mongo, trouble: impl FnOnce(&Load<'_>)) {
    let database = fresh_database();
    let first = Server::start(&on_mongodb(&mongo.uri(), &database, &[])).expect("a server");
    let second = first.start_another().expect("another");
    let apps = [first.app(), second.nobody().with_key(first.api_key())];
    let owner = register(&apps[0]);
    purchase(&apps[0], &owner.wallet, START);
    let load = Load::on(&owner.wallet, START);

    std::thread::scope(|scope| {
        for caller in 0..CALLERS {
            let (load, app) = (&load, &apps[caller % apps.len()]);
            scope.spawn(move || load.call(app));
        }
        // Also when it panics: else the callers would never end.
        let _stop = Stop(&load);
        load.wait_for_more(100);
        trouble(&load);
        load.wait_for_more(100);
    });

    let audited = load.audit(&apps[1]);
    println!("{audited:?}");
    assert!(audited.refused > 0, "{audited:?}");
    audit(&first.admin());
    audit(&second.admin());
}

struct Stop<'a, 'b>(&'a Load<'b>);

impl Drop for Stop<'_, '_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

#[test]
fn ten_killed_primaries_lose_no_answered_call_and_invent_none() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let mongo = Mongo::start(Options::three());
    let mut waits = Vec::new();

    under_load(&mongo, |load| {
        for round in 0..KILLS {
            let killed = mongo.kill_primary();
            let gone = Instant::now();
            let stalls = Stalls::begin();
            mongo.primary();
            let elected = Instant::now();
            let resumed = load.wait_for_success_after(gone, Duration::from_secs(60));
            let (behind, stalled) = (resumed.saturating_sub(elected - gone), stalls.end());
            println!(
                "kill {round}: elected after {:?}, writes resume {behind:?} later, the machine stood still for {stalled:?}",
                elected - gone
            );
            waits.push((behind, stalled));
            mongo.restart(killed);
            mongo.wait_until_whole();
        }
    });

    assert_eq!(waits.len(), KILLS);
    // For each of them; a machine that gives nobody its processor gives it to the service neither.
    assert!(waits.iter().all(|(behind, stalled)| *behind <= RESUME + *stalled), "{waits:?}");
}

#[test]
fn a_primary_that_hangs_for_five_and_for_fifteen_seconds_loses_nothing() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let mongo = Mongo::start(Options::three());
    under_load(&mongo, |load| {
        for seconds in [5, 15] {
            let paused = mongo.primary();
            mongo.pause(paused);
            let begun = Instant::now();
            let stalls = Stalls::begin();
            let (known, resumed) = std::thread::scope(|scope| {
                let resumed = scope.spawn(|| load.wait_for_success_after(begun, Duration::from_secs(90)));
                // Another one, while it hangs: a node that answers nothing is not one.
                let known = scope.spawn(|| {
                    mongo.primary();
                    begun.elapsed()
                });
                std::thread::sleep(Duration::from_secs(seconds));
                mongo.resume(paused);
                (known.join().expect("a primary"), resumed.join().expect("writes resume"))
            });
            let (behind, stalled) = (resumed.saturating_sub(known), stalls.end());
            println!(
                "{seconds} s: a primary is known after {known:?}, writes resume {behind:?} later, the machine stood still \
                 for {stalled:?}"
            );
            assert!(behind <= HUNG_WRITE + BREAKER + RESUME + stalled, "{seconds} s: {behind:?}");
            mongo.wait_until_whole();
            load.wait_for_more(50);
        }
    });
}

#[test]
fn an_append_whose_answer_is_dropped_has_one_outcome_by_its_key() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let mongo = Mongo::start(Options { proxied: true, ..Options::one() });
    let database = fresh_database();
    let server = Server::start(&on_mongodb(&mongo.uri(), &database, &[])).expect("a server");
    let app = server.app();
    let owner = register(&app);
    purchase(&app, &owner.wallet, 100);
    let (key, body) = (unique("void-"), json!({"type": "spend", "wallet_id": owner.wallet, "amount": 7}));

    mongo.proxy(0).set(Mode::DropAnswer(APPEND.to_vec()));
    let unknown = app.post_once("/v1/transactions", &key, &body);
    assert_eq!((unknown.status, unknown.code().as_str()), (503, "outcome_unknown"), "{}", unknown.body);
    assert!(mongo.proxy(0).dropped_answers() >= 2, "{}", mongo.proxy(0).dropped_answers());

    mongo.proxy(0).set(Mode::Pass);
    let limit = Instant::now() + Duration::from_secs(30);
    let decided = loop {
        let now = app.post_once("/v1/transactions", &key, &body);
        if now.status < 500 {
            break now;
        }
        assert!(Instant::now() < limit, "{} {}", now.status, now.body);
        std::thread::sleep(Duration::from_millis(100));
    };
    assert_eq!(decided.status, 201, "{}", decided.body);
    let again = app.post_once("/v1/transactions", &key, &body);
    assert_eq!((again.status, &again.body), (201, &decided.body));
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(wallet(&app, &owner.wallet)["balance"], 93);
    audit(&server.admin());
}

#[test]
fn a_network_that_is_slow_and_cuts_connections_loses_nothing() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let mongo = Mongo::start(Options { proxied: true, ..Options::one() });
    under_load(&mongo, |load| {
        let proxy = mongo.proxy(0);
        proxy.set(Mode::Delay(Duration::from_millis(20)));
        for _ in 0..5 {
            std::thread::sleep(Duration::from_millis(500));
            proxy.cut_all();
        }
        proxy.set(Mode::Stall);
        std::thread::sleep(Duration::from_secs(2));
        proxy.set(Mode::Garbage);
        std::thread::sleep(Duration::from_secs(1));
        proxy.set(Mode::Pass);
        proxy.cut_all();
        load.wait_for_success_after(Instant::now(), Duration::from_secs(60));
    });
}
