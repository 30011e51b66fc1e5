//! Three processes on one MongoDB are restarted one after another behind a balancer, as a rollout does it, and nobody who
//! calls notices.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use credit_infra::testkit::mongod::{fresh_database, shared};
use credit_tests::balancer::Balancer;
use credit_tests::client::{Answer, Client};
use credit_tests::contract::all_pages;
use credit_tests::server::{HANDING, Server, on_mongodb};
use credit_tests::story::{Owner, audit, purchase, register, unique, wallet};
use parking_lot::Mutex;
use serde_json::{Value, json};

const PROCESSES: usize = 3;
const OWNERS: usize = 8;
const WRITERS: usize = 32;
const READERS: usize = 8;
const START: i64 = 1_000_000;
/// Between two calls of a caller.
const PAUSE: Duration = Duration::from_millis(50);
/// As often as a kubelet asks, scaled with the delay below: `deploy/k8s` asks every 5 s and waits for 15.
const PROBE_EVERY: Duration = Duration::from_millis(200);
/// How long a stopping process goes on answering.
const DRAIN_DELAY: &str = "2s";
/// Of the calls that were decided every so many-th is made again at the end.
const REPEATED: usize = 20;

/// A spend that was decided.
struct Decided {
    wallet: usize,
    key: String,
    body: Value,
    answer: Answer,
}

/// What the callers have seen.
#[derive(Default)]
struct Seen {
    decided: Mutex<Vec<Decided>>,
    failed: Mutex<Vec<String>>,
    reads: AtomicUsize,
    stop: AtomicBool,
}

impl Seen {
    /// The answer, if it is one of these; else the call has failed.
    fn expect(&self, call: &str, answer: Result<Answer, String>, statuses: &[u16]) -> Option<Answer> {
        match answer {
            Ok(answer) if statuses.contains(&answer.status) => return Some(answer),
            Ok(answer) => self.failed.lock().push(format!("{call}: {} {}", answer.status, answer.body)),
            Err(why) => self.failed.lock().push(format!("{call}: {why}")),
        }
        None
    }

    fn goes_on(&self) -> bool {
        std::thread::sleep(PAUSE);
        !self.stop.load(Ordering::Relaxed)
    }

    /// Waits until so many more spends were decided.
    fn wait_for_more(&self, spends: usize) {
        let decided = || self.decided.lock().len();
        let (begun, limit) = (decided(), Instant::now() + Duration::from_secs(60));
        while decided() < begun + spends {
            assert!(Instant::now() < limit, "nothing is decided any more: {:?}", self.failed.lock());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Spends, every tenth time more than there is, and reads every fourth time what it has just written.
    fn write(&self, app: &Client, owners: &[Owner], writer: usize) {
        let (place, prefix) = (writer % owners.len(), unique("roll-"));
        let id = owners[place].wallet.as_str();
        for number in 0_usize.. {
            if !self.goes_on() {
                return;
            }
            let key = format!("{prefix}-{number}");
            let (amount, status) = if number % 10 == 9 { (START * 2, 402) } else { (1, 201) };
            let body = json!({"type": "spend", "wallet_id": id, "amount": amount, "reference": key});
            let sent = app.call("POST", "/v1/transactions", &[("idempotency-key", &key)], Some(&body));
            let Some(answer) = self.expect(&key, sent, &[status]) else { continue };
            if number % 4 == 0 {
                let read = app.call("GET", &format!("/v1/wallets/{id}"), &[], None);
                if let Some(read) = self.expect("a read after a write", read, &[200]) {
                    let (shown, made) = (read.number("version"), answer.number("wallet_version"));
                    if shown < made {
                        self.failed.lock().push(format!("{key}: wrote version {made} and read {shown}"));
                    }
                }
            }
            self.decided.lock().push(Decided { wallet: place, key, body, answer });
        }
    }

    /// Reads as the owner of a wallet, who has a session.
    fn read(&self, owner: &Owner) {
        let paths = [
            format!("/v1/wallets/{}", owner.wallet),
            "/v1/auth/me".to_owned(),
            format!("/v1/transactions?wallet_id={}&limit=5", owner.wallet),
        ];
        for path in paths.iter().cycle() {
            if !self.goes_on() {
                return;
            }
            let answer = owner.client.call("GET", path, &[], None);
            if self.expect(path, answer, &[200]).is_some() {
                self.reads.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Every accepted spend is there once and nothing else is, and what was decided stays decided.
fn look_at_all(app: &Client, owners: &[Owner], decided: &[Decided]) {
    for (place, owner) in owners.iter().enumerate() {
        let of_wallet = || decided.iter().filter(|made| made.wallet == place && made.answer.status == 201);
        let accepted: BTreeSet<String> = of_wallet().map(|made| made.answer.text("id")).collect();
        assert_eq!(accepted.len(), of_wallet().count(), "one transaction for two keys");
        let path = format!("/v1/transactions?wallet_id={}&type=spend", owner.wallet);
        let listed: Vec<String> = all_pages(app, &path, 200)
            .iter()
            .map(|row| row["id"].as_str().unwrap_or_default().to_owned())
            .collect();
        assert_eq!(listed.len(), accepted.len(), "{}", owner.wallet);
        assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), accepted);
        let spent = i64::try_from(accepted.len()).expect("not so many");
        assert_eq!(wallet(app, &owner.wallet)["balance"], START - spent);
    }
    for made in decided.iter().step_by(REPEATED) {
        let again = app.post_once("/v1/transactions", &made.key, &made.body);
        assert_eq!((again.status, &again.body), (made.answer.status, &made.answer.body), "{}", made.key);
        assert_eq!(again.header("idempotent-replayed"), Some("true"), "{}", made.key);
    }
}

#[test]
fn three_processes_are_restarted_in_turn_under_load_and_not_one_call_fails() {
    restart_in_turn(&[]);
}

#[test]
fn nor_does_one_where_they_hand_each_other_commands() {
    restart_in_turn(&HANDING);
}

#[test]
fn nor_where_each_does_so_with_one_thread() {
    restart_in_turn(&[&HANDING[..], &[("CREDIT_SERVER__WORKERS", "1")]].concat());
}

fn restart_in_turn(more: &[(&str, &str)]) {
    let database = fresh_database();
    let uri = shared().uri();
    let settings = [&[("CREDIT_SERVER__DRAIN_DELAY", DRAIN_DELAY)], more].concat();
    let first = Server::start(&on_mongodb(&uri, &database, &settings)).expect("a server");
    let mut servers: Vec<_> = (1..PROCESSES).map(|_| first.start_another().expect("another")).collect();
    servers.insert(0, first);

    let balancer = Balancer::start(PROBE_EVERY).expect("a balancer");
    let mut places: Vec<_> = servers.iter().map(|server| balancer.add(server.base())).collect();
    for place in &places {
        balancer.wait_until_ready(*place);
    }
    let app = Client::nobody(&balancer.base()).with_key(servers[0].api_key());
    let owners: Vec<_> = (0..OWNERS).map(|_| register(&app)).collect();
    for owner in &owners {
        purchase(&app, &owner.wallet, START);
    }

    let seen = Seen::default();
    let mut lives = places.clone();
    let began = Instant::now();
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (seen, app, owners) = (&seen, &app, &owners);
            scope.spawn(move || seen.write(app, owners, writer));
        }
        for reader in 0..READERS {
            let (seen, owner) = (&seen, &owners[reader % OWNERS]);
            scope.spawn(move || seen.read(owner));
        }
        for (server, place) in servers.iter_mut().zip(&mut places) {
            seen.wait_for_more(WRITERS * 4);
            let code = server.terminate().expect("it ends");
            assert_eq!(code, Some(0), "{}", server.log());
            balancer.remove(*place);
            server.start_again().expect("it starts again");
            *place = balancer.add(server.base());
            balancer.wait_until_ready(*place);
            lives.push(*place);
        }
        seen.wait_for_more(WRITERS * 4);
        seen.stop.store(true, Ordering::Relaxed);
    });

    let (took, reads) = (began.elapsed(), seen.reads.load(Ordering::Relaxed));
    let (decided, failed) = (seen.decided.into_inner(), seen.failed.into_inner());
    let served: Vec<_> = lives.iter().map(|place| balancer.served(*place)).collect();
    println!(
        "{} spends and {reads} reads in {took:.1?}, {} failed; by each life: {served:?}",
        decided.len(),
        failed.len()
    );
    assert!(failed.is_empty(), "{} failed: {:#?}", failed.len(), &failed[..failed.len().min(20)]);
    assert_eq!(balancer.failed(), Vec::<String>::new());
    // Each process was asked before its restart and after it, or this would prove nothing.
    assert!(served.len() == 2 * PROCESSES && served.iter().all(|count| *count > 50), "{served:?}");
    assert!(decided.len() > 1_000 && reads > 100, "{} spends, {reads} reads", decided.len());
    look_at_all(&app, &owners, &decided);
    for server in &servers {
        audit(&server.admin());
    }
}
