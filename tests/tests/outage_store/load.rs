//! Callers that go on while the store does not, and what must hold of them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use credit_tests::client::{Answer, Client};
use credit_tests::story::{Owner, audit, purchase, register, unique, wallet};
use serde_json::{Value, json};

use super::program::Program;

const CALLERS: usize = 5;
const START: i64 = 1_000_000;
/// How long a call can take that is made to find out.
const PROBED_WITHIN: Duration = Duration::from_millis(3500);
/// The contract of healing.
const HEALED_WITHIN: Duration = Duration::from_secs(10);

/// What a state of the store is expected to look like.
pub(crate) struct Expected {
    /// How long until the breakers have noticed.
    pub(crate) noticed_after: Duration,
    /// Then calls are turned away within this.
    pub(crate) turned_away_within: Duration,
}

impl Expected {
    pub(crate) fn soon() -> Self {
        Self { noticed_after: Duration::from_secs(3), turned_away_within: Duration::from_millis(800) }
    }

    pub(crate) fn after_deadlines() -> Self {
        Self { noticed_after: Duration::from_secs(8), turned_away_within: Duration::from_millis(800) }
    }
}

/// A call that was made.
pub(crate) struct Made {
    key: String,
    status: u16,
    body: String,
    began: Instant,
    took: Duration,
}

pub(crate) struct World<'a> {
    pub(crate) program: &'a Program,
    app: Client,
    owner: Owner,
    spent: i64,
    /// Calls made while looking.
    looked: Mutex<Vec<Made>>,
}

/// What callers were told before the program ended, for whoever asks the next one.
pub(crate) struct Left {
    owner: Owner,
    spent: i64,
    made: Vec<Made>,
}

impl Left {
    /// A call that is under way while the program ends: it is cut off, refused or unknown, and no success. Its key.
    pub(crate) fn under_way(&self, program: &Program) -> JoinHandle<String> {
        let (app, body, key) = (program.app(), spend(&self.owner.wallet), unique("under-way-"));
        std::thread::spawn(move || {
            let answer = app.call("POST", "/v1/transactions", &[("idempotency-key", &key)], Some(&body));
            let status = answer.map_or(0, |answer| answer.status);
            assert!(matches!(status, 0 | 503), "{status}");
            key
        })
    }
}

fn spend(wallet: &str) -> Value {
    json!({"type": "spend", "wallet_id": wallet, "amount": 1})
}

impl<'a> World<'a> {
    /// A user with credits, on a program that is ready.
    pub(crate) fn new(program: &'a Program) -> Self {
        let app = program.app();
        let owner = register(&app);
        purchase(&app, &owner.wallet, START);
        Self { program, app, owner, spent: 0, looked: Mutex::default() }
    }

    /// The same user, on a program that has been started again.
    pub(crate) fn after(program: &'a Program, left: Left) -> Self {
        let looked = Mutex::new(left.made);
        Self { program, app: program.app(), owner: left.owner, spent: left.spent, looked }
    }

    fn call(&self, key: String) -> Made {
        let began = Instant::now();
        let body = spend(&self.owner.wallet);
        let answer = self.app.call("POST", "/v1/transactions", &[("idempotency-key", &key)], Some(&body));
        let (status, body) = answer.map_or_else(|error| (0, error), |answer| (answer.status, answer.body));
        Made { key, status, body, began, took: began.elapsed() }
    }

    /// One call of the looker's own.
    pub(crate) fn look(&self, prefix: &str) -> (u16, String, Duration) {
        let call = self.call(unique(prefix));
        let seen = (call.status, call.body.clone(), call.took);
        self.looked.lock().expect("no panic").push(call);
        seen
    }

    fn keep_calling(&self, made: &Mutex<Vec<Made>>, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            let call = self.call(unique("outage-"));
            let pause = if call.status == 503 { 200 } else { 20 };
            made.lock().expect("no panic").push(call);
            std::thread::sleep(Duration::from_millis(pause));
        }
    }

    /// Breaks the store under load, looks, heals it, and looks again.
    pub(crate) fn outage(
        &mut self,
        what: &str,
        break_it: impl FnOnce(),
        heal: impl FnOnce(),
        look: &dyn Fn(&Self),
    ) {
        let (made, stop) = (Mutex::new(Vec::new()), AtomicBool::new(false));
        std::thread::scope(|scope| {
            for _ in 0..CALLERS {
                scope.spawn(|| self.keep_calling(&made, &stop));
            }
            std::thread::sleep(Duration::from_millis(300));
            let _stop = Stop(&stop);
            break_it();
            look(self);
            heal();
            let healing = Instant::now();
            self.program.wait_for("/health/ready", 200, HEALED_WITHIN);
            while self.look("healed-").0 != 201 {
                assert!(healing.elapsed() < HEALED_WITHIN, "{what}: not healed\n{}", self.program.log());
                std::thread::sleep(Duration::from_millis(50));
            }
            let took = healing.elapsed();
            assert!(took < HEALED_WITHIN, "{what}: healed after {took:?}");
            // Whoever asks goes on, and so do the breakers.
            std::thread::sleep(Duration::from_millis(700));
        });
        let mut made = made.into_inner().expect("no panic");
        made.append(&mut self.looked.lock().expect("no panic"));
        self.agree(what, made);
    }

    /// Breaks the store under load for good: looks, takes away what broke it, looks again, and tells what callers were told.
    pub(crate) fn failure<B>(
        self,
        what: &str,
        break_it: impl FnOnce() -> B,
        look: &dyn Fn(&Self),
        look_again: &dyn Fn(&Self),
    ) -> Left {
        let (made, stop) = (Mutex::new(Vec::new()), AtomicBool::new(false));
        std::thread::scope(|scope| {
            for _ in 0..CALLERS {
                scope.spawn(|| self.keep_calling(&made, &stop));
            }
            std::thread::sleep(Duration::from_millis(300));
            let _stop = Stop(&stop);
            let broken = break_it();
            look(&self);
            drop(broken);
            look_again(&self);
        });
        let made = made.into_inner().expect("no panic");
        assert!(made.iter().any(|call| call.status == 503), "{what}: nobody was turned away");
        self.looked.lock().expect("no panic").extend(made);
        self.left()
    }

    /// What callers were told until now, for whoever asks the next program.
    pub(crate) fn left(self) -> Left {
        let made = self.looked.into_inner().expect("no panic");
        Left { owner: self.owner, spent: self.spent, made }
    }

    /// A call that nobody knows the outcome of: now its key has one.
    pub(crate) fn has_an_outcome(&mut self, key: &str) {
        let now = self.call(key.to_owned());
        assert_eq!(now.status, 201, "{key}: {}", now.body);
        self.spent += 1;
    }

    /// What callers were told by the program before holds on this one.
    pub(crate) fn agree_on_what_is_left(&mut self, what: &str) {
        let left = std::mem::take(&mut *self.looked.lock().expect("no panic"));
        self.agree(what, left);
    }

    /// What is durable is read meanwhile, and what does not need the store answers as ever.
    pub(crate) fn reads_within(&self, within: Duration) {
        let began = Instant::now();
        let read = self.app.get(&format!("/v1/wallets/{}", self.owner.wallet));
        assert_eq!(read.status, 200, "{}", read.body);
        assert!(began.elapsed() < within, "a read took {:?}", began.elapsed());
        for path in ["/health/live", "/", "/docs", "/openapi.json"] {
            let (status, took) = self.program.page(path);
            assert!(matches!(status, 200 | 301 | 302), "{path}: {status}");
            assert!(took < within, "{path}: {took:?}");
        }
    }

    /// Nothing is given up: calls are let through.
    pub(crate) fn is_ready_with_breakers_closed(&self) {
        for path in ["/health/live", "/health/ready", "/health"] {
            assert_eq!(self.program.page(path).0, 200, "{path}");
        }
        for dependency in ["journal", "documents"] {
            let state = format!("credit_breaker_state{{dependency=\"{dependency}\"}}");
            assert!(self.program.metric(&state) < 0.5, "the breaker of {dependency} has turned");
        }
    }

    /// A store that answers, but too late to be waited for: it is given up, and tried again and again. Whoever is let through
    /// meanwhile is answered or told that nobody knows.
    pub(crate) fn is_given_up_and_tried(&self, noticed_within: Duration) {
        let began = Instant::now();
        while !self.has_turned() {
            assert!(began.elapsed() < noticed_within, "no breaker has turned");
            self.is_in_time();
        }
        let at_once = (0..10).filter(|_| self.is_in_time() < Duration::from_millis(800)).count();
        assert!(at_once >= 5, "{at_once} of 10 were turned away at once");
        let (mut not_ready, began) = (false, Instant::now());
        while !not_ready {
            assert!(began.elapsed() < noticed_within, "it is ready all the time");
            not_ready = self.program.page("/health/ready").0 == 503;
            std::thread::sleep(Duration::from_millis(100));
        }
        self.house_answers();
    }

    fn has_turned(&self) -> bool {
        ["journal", "documents"].iter().any(|dependency| {
            self.program.metric(&format!("credit_breaker_state{{dependency=\"{dependency}\"}}")) > 0.0
        })
    }

    /// A call, answered as the contract says: how long it took.
    fn is_in_time(&self) -> Duration {
        let (status, body, took) = self.look("late-");
        let told = body.contains("\"unavailable\"") || body.contains("\"outcome_unknown\"");
        assert!(status == 201 || (status == 503 && told), "{status} {body}");
        assert!(took < Duration::from_secs(14), "{took:?}: {body}");
        assert_eq!(self.program.page("/health/live").0, 200);
        took
    }

    /// A store that does not answer: every call is turned away, in time, and the house says what it can.
    pub(crate) fn is_turned_away(&self, expected: &Expected) {
        std::thread::sleep(expected.noticed_after);
        let mut at_once = 0;
        for _ in 0..5 {
            let (status, body, took) = self.look("away-");
            assert_eq!(status, 503, "{body}");
            assert!(body.contains("\"unavailable\"") || body.contains("\"outcome_unknown\""), "{body}");
            // A few calls are made now and then to find out, and wait for as long as it takes to be slow.
            assert!(took < PROBED_WITHIN, "{took:?}: {body}");
            at_once += usize::from(took < expected.turned_away_within);
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(at_once >= 3, "{at_once} of 5 were turned away at once");
        self.house_answers();
        let program = self.program;
        assert_eq!(program.page("/health/ready").0, 503);
        assert_eq!(program.page("/health").0, 503);
        let began = Instant::now();
        // Where nobody is let as far as the store, those who ask for its health find out, once the calls that went well
        // before are out of the window.
        while !self.has_turned() {
            assert!(began.elapsed() < Duration::from_secs(14), "no breaker has turned");
            assert_eq!(program.page("/health/ready").0, 503);
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    /// What does not need the store answers as ever, and what does need it answers in time.
    pub(crate) fn house_answers(&self) {
        let program = self.program;
        for path in ["/health/live", "/", "/docs", "/openapi.json"] {
            let (status, took) = program.page(path);
            assert!(status == 200 || status == 302 || status == 301, "{path}: {status}");
            assert!(took < Duration::from_secs(2), "{path}: {took:?}");
        }
        let began = Instant::now();
        let login = program.login();
        assert!(matches!(login.status, 200 | 503), "{}", login.body);
        assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
        assert!(program.metric("credit_http_requests_total") >= 0.0);
    }

    /// Every call with what its key answers now; many at a time, so that they share groups. A breaker that has just closed
    /// may turn once more while the last slow answers come in: then the key is asked again, within the ten seconds that
    /// recovery may take.
    fn asked_again(&self, made: Vec<Made>) -> Vec<(Made, Answer)> {
        let (waiting, asked) = (Mutex::new(made), Mutex::new(Vec::new()));
        let healed = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    loop {
                        let Some(call) = waiting.lock().expect("no panic").pop() else { return };
                        let ask =
                            || self.app.post_once("/v1/transactions", &call.key, &spend(&self.owner.wallet));
                        let mut now = ask();
                        while now.status == 503 && healed.elapsed() < Duration::from_secs(10) {
                            std::thread::sleep(Duration::from_millis(200));
                            now = ask();
                        }
                        asked.lock().expect("no panic").push((call, now));
                    }
                });
            }
        });
        asked.into_inner().expect("no panic")
    }

    /// Every key has one outcome, now and for ever, and the books agree.
    fn agree(&mut self, what: &str, made: Vec<Made>) {
        let (mut answered, mut unknown) = (0, 0);
        for (call, now) in self.asked_again(made) {
            let deadline = Duration::from_secs(14);
            assert!(call.took < deadline, "{what}: {:?} at {:?}: {}", call.took, call.began, call.body);
            assert_eq!(now.status, 201, "{what}: {}", now.body);
            self.spent += 1;
            match call.status {
                201 => {
                    answered += 1;
                    assert_eq!(now.body, call.body, "{what}: {}", call.key);
                }
                503 => {
                    unknown += 1;
                    let moved = now.header("idempotent-replayed").is_some();
                    assert!(
                        !moved || call.body.contains("\"outcome_unknown\""),
                        "{what}: {} moved although it said that it did not: {}",
                        call.key,
                        call.body
                    );
                }
                other => panic!("{what}: {other} {}\n{}", call.body, self.program.log()),
            }
        }
        assert!(answered > 0, "{what}: nobody was answered");
        println!("{what}: {answered} answered, {unknown} turned away or unknown");
        let kept = wallet(&self.app, &self.owner.wallet)["balance"].as_i64();
        assert_eq!(kept, Some(START - self.spent), "{what}");
        audit(&self.program.admin());
    }

    /// After everything: what `/health` tells an operator.
    pub(crate) fn is_healthy(&self) {
        let began = Instant::now();
        loop {
            let health = self.program.admin().get("/health").json();
            let store = health["dependencies"]
                .as_array()
                .and_then(|all| all.iter().find(|dependency| dependency["name"] == "store").cloned());
            let store = store.unwrap_or_default();
            if store["status"] == "healthy" && store["breaker"] == "closed" {
                assert!(store["latency_ms"].is_number(), "{store}");
                return;
            }
            assert!(began.elapsed() < HEALED_WITHIN, "{health}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Stops the callers, also when a look has failed.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
