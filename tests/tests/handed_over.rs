//! Three processes on one book hand their commands to the one that usually writes it, and that one is killed, hangs, is
//! restarted or is not believed: no answered call is lost, none is invented, and the others go on.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use credit_infra::testkit::mongod::{fresh_database, shared};
use credit_tests::client::Client;
use credit_tests::load::Load;
use credit_tests::server::{HANDING, NEAR, Server, near, on_mongodb};
use credit_tests::story::{audit, purchase, register, unique, wallet};
use serde_json::{Value, json};
use tempfile::TempDir;

const PROCESSES: usize = 3;
/// For each process.
const CALLERS: usize = 4;
const START: i64 = 1_000_000;
const KILLS: usize = 3;
/// How long the others may be without an accepted call when the usual writer is gone: what it was asked is given up.
const RESUME: Duration = Duration::from_secs(3);
/// The same when it hangs: two seconds until nobody believes any more that it answers.
const RESUME_HUNG: Duration = Duration::from_secs(6);

/// The one that does not know the others, where there is one.
const HERMIT: usize = PROCESSES - 1;
/// Callers of each of the others that keep the writer busy: they never rest.
const CROWD: usize = 16;
/// How long it may wait beside a busy writer: far longer than it does, on a machine that others use too.
const GETS_IN: Duration = Duration::from_secs(4);

/// Three processes of an application.
struct House {
    servers: Vec<Server>,
    key: String,
    /// Where they reach each other, if that is not by TCP.
    near: Option<TempDir>,
}

impl House {
    /// They reach each other by TCP.
    fn open() -> Self {
        Self::with(&HANDING, None)
    }

    /// They reach each other by sockets in a directory.
    fn open_near() -> Self {
        let near = near().expect("a directory");
        let directory = near.path().to_str().expect("text").to_owned();
        Self::with(&[&HANDING[..], &[(NEAR, directory.as_str())]].concat(), Some(near))
    }

    fn with(settings: &[(&str, &str)], near: Option<TempDir>) -> Self {
        let database = fresh_database();
        let uri = shared().uri();
        let first = Server::start(&on_mongodb(&uri, &database, settings)).expect("a server");
        let key = first.api_key().to_owned();
        let more: Vec<_> = (1..PROCESSES).map(|_| first.start_another().expect("another")).collect();
        let servers = std::iter::once(first).chain(more).collect();
        Self { servers, key, near }
    }

    fn app(&self, process: usize) -> Client {
        self.servers[process].nobody().with_key(&self.key)
    }

    /// How many commands a process has handed over, by what became of them.
    fn handed_over(&self, process: usize, outcome: &str) -> u64 {
        let server = &self.servers[process];
        let metrics = Client::nobody(&server.metrics_base().expect("an address")).get("/metrics").expect(200);
        let name = format!("credit_ledger_handed_over_total{{outcome=\"{outcome}\"}} ");
        let line = metrics.body.lines().find_map(|line| line.strip_prefix(&name));
        line.unwrap_or_else(|| panic!("no {name} in {}", metrics.body)).parse().expect("a number")
    }

    /// Waits until one of those before the hermit hands its commands to the other, however many calls come before.
    fn wait_until_the_others_hand_over(&self) {
        let limit = Instant::now() + Duration::from_secs(30);
        while (0..HERMIT).all(|process| self.handed_over(process, "answered") == 0) {
            assert!(Instant::now() < limit, "nobody hands anything over");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The process that the others hand their commands to, once they all do.
    fn usual(&self) -> usize {
        let limit = Instant::now() + Duration::from_secs(30);
        loop {
            let before: Vec<_> =
                (0..PROCESSES).map(|process| self.handed_over(process, "answered")).collect();
            std::thread::sleep(Duration::from_millis(500));
            let hands = |process: &usize| self.handed_over(*process, "answered") > before[*process];
            let keeps: Vec<_> = (0..PROCESSES).filter(|process| !hands(process)).collect();
            if let [usual] = keeps[..] {
                return usual;
            }
            assert!(Instant::now() < limit, "{keeps:?} hand nothing over");
        }
    }

    /// Load on all processes while `trouble` happens; then the audit.
    fn under_load(&mut self, trouble: impl FnOnce(&mut Self, &Load<'_>)) {
        let apps: Vec<_> = (0..PROCESSES).map(|process| self.app(process)).collect();
        let owner = register(&apps[0]);
        purchase(&apps[0], &owner.wallet, START);
        let load = Load::on(&owner.wallet, START);
        std::thread::scope(|scope| {
            for caller in 0..PROCESSES * CALLERS {
                let (load, app) = (&load, &apps[caller % PROCESSES]);
                scope.spawn(move || load.call(app));
            }
            // Also when it panics: else the callers would never end.
            let _stop = Stop(&load);
            load.wait_for_more(100);
            trouble(self, &load);
            load.wait_for_more(100);
        });
        if self.near.is_some() {
            let found = |server: &Server| server.log().contains("peers.directory");
            assert!(self.servers.iter().any(found), "nobody was found in the directory");
        }
        let audited = load.audit(&self.app(1));
        println!("{audited:?}");
        assert!(audited.refused > 0, "{audited:?}");
        for server in &self.servers {
            audit(&server.admin());
        }
    }
}

struct Stop<'a, 'b>(&'a Load<'b>);

impl Drop for Stop<'_, '_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

fn signal(server: &Server, name: &str) {
    let sent = Command::new("kill").args(["-s", name, &server.pid().to_string()]).status().expect("kill");
    assert!(sent.success(), "SIG{name} could not be sent");
}

/// What comes back through another process is what this one would have said, to the byte.
#[test]
fn every_kind_of_command_is_answered_alike_by_every_process() {
    answered_alike(House::open());
}

#[test]
fn every_kind_of_command_is_answered_alike_by_every_process_of_a_machine() {
    answered_alike(House::open_near());
}

fn answered_alike(mut house: House) {
    let mut usual = 0;
    house.under_load(|house, _| usual = house.usual());
    let (here, there) = (house.app((usual + 1) % PROCESSES), house.app(usual));
    let admin = house.servers[(usual + 1) % PROCESSES].admin();
    let [one, other] = [register(&here), register(&here)];
    let before = house.handed_over((usual + 1) % PROCESSES, "answered");
    let mut calls = 0;
    let mut post = |client: &Client, status: u16, path: &str, body: Value| -> Value {
        let key = unique("alike-");
        let first = client.post_once(path, &key, &body);
        calls += 1;
        assert_eq!((first.status, first.header("idempotent-replayed")), (status, None), "{path} {body}");
        let who = if body["type"] == "adjustment" { &admin } else { &there };
        let again = who.post_once(path, &key, &body);
        assert_eq!((again.status, &again.body), (first.status, &first.body), "{path} {body}");
        assert_eq!(again.header("idempotent-replayed"), Some("true"), "{path} {body}");
        first.json()
    };
    let id = |made: &Value| made["id"].as_str().expect("an id").to_owned();
    let (wallet, transactions) = (&one.wallet, "/v1/transactions");
    let bought = json!({"type": "purchase", "wallet_id": wallet, "amount": 500, "external_id": unique("payment-"),
        "metadata": {"a": "b"}, "reference": "r"});
    let bought = id(&post(&here, 201, transactions, bought));
    let given = json!({"type": "grant", "wallet_id": wallet, "amount": 50, "priority": 3});
    let given = post(&here, 201, transactions, given);
    let spent = json!({"type": "spend", "wallet_id": wallet, "amount": 30, "at_most": true});
    let spent = id(&post(&here, 201, transactions, spent));
    let moved = json!({"type": "transfer", "source_wallet_id": wallet, "destination_wallet_id": other.wallet, "amount": 9});
    post(&here, 201, transactions, moved);
    post(&here, 201, &format!("/v1/transactions/{spent}/refund"), json!({"amount": 4}));
    post(&here, 201, &format!("/v1/transactions/{bought}/refund"), json!({"amount": 5}));
    let put_right = json!({"type": "adjustment", "wallet_id": wallet, "direction": "debit", "amount": 2, "reason": "a test"});
    post(&admin, 201, transactions, put_right);
    let held = |amount: i64| json!({"amount": amount, "expires_in": 600, "metadata": {"c": "d"}});
    let holds = format!("/v1/wallets/{wallet}/holds");
    let [first, second] = [20, 10].map(|amount| id(&post(&here, 201, &holds, held(amount))));
    post(&here, 200, &format!("/v1/holds/{first}/extend"), json!({"expires_in": 900}));
    post(&here, 201, &format!("/v1/holds/{first}/capture"), json!({"amount": 7}));
    post(&here, 200, &format!("/v1/holds/{second}/release"), json!({}));
    let grant = given["credited_to"][0]["grant_id"].as_str().expect("a lot");
    post(&here, 201, &format!("/v1/grants/{grant}/void"), json!({}));
    // Refusals that stick to their keys, each with what it tells.
    let beyond = json!({"type": "spend", "wallet_id": wallet, "amount": 1_000_000});
    let beyond = post(&here, 402, transactions, beyond);
    assert!(beyond["available"].as_i64() > Some(0) && beyond["shortfall"].as_i64() > Some(0), "{beyond}");
    post(&here, 422, &format!("/v1/transactions/{spent}/refund"), json!({"amount": 29}));
    let handed = house.handed_over((usual + 1) % PROCESSES, "answered") - before;
    assert!(handed >= calls, "{handed} of {calls} were handed over");
    if house.near.is_some() {
        let by_tcp = |log: String| [r#"by="TCP""#, r#""by":"TCP""#].iter().any(|by| log.contains(by));
        assert!(
            !house.servers.iter().any(|server| by_tcp(server.log())),
            "not all was found in the directory"
        );
    }
    audit(&admin);
}

#[test]
fn the_usual_writer_is_killed_again_and_again_and_the_others_go_on() {
    killed(House::open());
}

#[test]
fn the_usual_writer_of_a_machine_is_killed_again_and_again_and_the_others_go_on() {
    killed(House::open_near());
}

fn killed(mut house: House) {
    // Restarted, it is reached where it was: callers and processes find it again.
    for server in &mut house.servers {
        let port = server.base().rsplit_once(':').expect("a port").1.to_owned();
        server.set("CREDIT_SERVER__PORT", &port);
    }
    house.under_load(|house, load| {
        for round in 0..KILLS {
            let usual = house.usual();
            house.servers[usual].kill().expect("it is killed");
            let gone = Instant::now();
            let resumed = load.wait_for_success_after(gone, RESUME);
            println!(
                "kill {round}: process {usual} was the usual writer; the others went on after {resumed:?}"
            );
            house.servers[usual].start_again().expect("it starts again");
        }
    });
}

#[test]
fn the_usual_writer_hangs_and_wakes_up_and_nothing_counts_twice() {
    hung(House::open());
}

#[test]
fn the_usual_writer_of_a_machine_hangs_and_wakes_up_and_nothing_counts_twice() {
    hung(House::open_near());
}

fn hung(mut house: House) {
    house.under_load(|house, load| {
        for seconds in [1, 4, 9] {
            let usual = house.usual();
            signal(&house.servers[usual], "STOP");
            let hung = Instant::now();
            let resumed = load.wait_for_success_after(hung + Duration::from_millis(300), RESUME_HUNG);
            println!("process {usual} hangs for {seconds} s; the others went on after {resumed:?}");
            std::thread::sleep(Duration::from_secs(seconds).saturating_sub(hung.elapsed()));
            signal(&house.servers[usual], "CONT");
            load.wait_for_more(100);
        }
        // What was given up was decided by whoever had given it up.
        let given_up = (0..PROCESSES).map(|process| house.handed_over(process, "no_answer")).sum::<u64>();
        assert!(given_up > 0, "nothing was ever given up");
    });
}

#[test]
fn a_process_that_does_not_know_the_secret_is_neither_asked_nor_answered() {
    let mut house = House::open();
    let usual = {
        let mut usual = 0;
        house.under_load(|house, _| usual = house.usual());
        usual
    };
    let other = (usual + 1) % PROCESSES;
    house.servers[other].set("CREDIT_PEERS__SECRET", "c3RyYW5nZXItc3RyYW5nZXItc3RyYW5nZXItMDAwMDE=");
    assert_eq!(house.servers[other].terminate().expect("it ends"), Some(0));
    house.servers[other].start_again().expect("it starts again");
    house.under_load(|house, load| {
        // It tries once it has seen the usual writer's second beat, however many calls come before.
        let limit = Instant::now() + Duration::from_secs(30);
        while house.handed_over(other, "not_sent") == 0 {
            assert!(Instant::now() < limit, "it has not tried");
            load.wait_for_more(50);
        }
        load.wait_for_more(500);
        assert_eq!(house.handed_over(other, "answered"), 0, "nobody answers it");
    });
}

/// Three processes of which the last does not know of the others, nor they of it.
fn house_with_a_hermit() -> House {
    let mut house = House::open();
    let hermit = &mut house.servers[HERMIT];
    hermit.unset("CREDIT_PEERS__LISTEN");
    assert_eq!(hermit.terminate().expect("it ends"), Some(0));
    hermit.start_again().expect("it starts again");
    house
}

#[test]
fn a_process_without_peers_shares_the_book_with_those_that_have_some() {
    let mut house = house_with_a_hermit();
    house.under_load(|house, load| {
        house.wait_until_the_others_hand_over();
        load.wait_for_more(500);
        assert_eq!(house.handed_over(HERMIT, "answered") + house.handed_over(HERMIT, "not_sent"), 0);
    });
}

/// It is forgotten between its calls, and the usual writer has the next group ready whenever one has landed.
#[test]
fn a_process_without_peers_gets_in_beside_a_busy_writer_also_if_it_posts_now_and_then() {
    let house = house_with_a_hermit();
    let apps: Vec<_> = (0..PROCESSES).map(|process| house.app(process)).collect();
    let owners = [register(&apps[0]), register(&apps[HERMIT])];
    purchase(&apps[0], &owners[0].wallet, START);
    let ended = AtomicBool::new(false);
    let (waited, busy) = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..HERMIT * CROWD)
            .map(|caller| {
                let (app, ended) = (&apps[caller % HERMIT], &ended);
                let spend = json!({"type": "spend", "wallet_id": owners[0].wallet, "amount": 1});
                scope.spawn(move || {
                    let mut calls = 0;
                    while !ended.load(Ordering::Relaxed) {
                        let answer = app.post_once("/v1/transactions", &unique("busy-"), &spend);
                        assert_eq!(answer.status, 201, "{}", answer.body);
                        calls += 1;
                    }
                    calls
                })
            })
            .collect();
        let _ends = Ends(&ended);
        house.wait_until_the_others_hand_over();
        let waited: Vec<_> = (0..6)
            .map(|_| {
                std::thread::sleep(Duration::from_millis(1_300));
                let begun = Instant::now();
                purchase(&apps[HERMIT], &owners[1].wallet, 1);
                begun.elapsed()
            })
            .collect();
        ended.store(true, Ordering::Relaxed);
        (waited, callers.into_iter().map(|caller| caller.join().expect("a caller")).sum::<i64>())
    });
    println!("{waited:?} beside {busy} calls");
    assert!(waited.iter().all(|waited| *waited < GETS_IN), "{waited:?}");
    assert_eq!(wallet(&apps[HERMIT], &owners[0].wallet)["balance"], START - busy);
    for server in &house.servers {
        audit(&server.admin());
    }
}

struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
