//! Callers that never stop calling, and the audit of all they were told.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::contract::all_pages;
use crate::story::{unique, wallet};

/// Between two calls of a caller: enough of them to be in the middle of something always, few enough to audit them all.
const PAUSE: Duration = Duration::from_millis(30);
/// Of this many newest calls one is looked for.
const NEWEST: usize = 500;

/// One call that was made.
struct Made {
    key: String,
    body: Value,
    began: Instant,
    /// Nothing if no answer came.
    answer: Option<Answer>,
}

/// Spends from one wallet, and what came of them.
pub struct Load<'a> {
    wallet: &'a str,
    begun_with: i64,
    made: Mutex<Vec<Made>>,
    stop: AtomicBool,
}

/// What an audit found.
#[derive(Debug, PartialEq, Eq)]
pub struct Audited {
    /// Calls that were answered with a decision at once.
    pub answered: u64,
    /// Of those, the refused ones.
    pub refused: u64,
    /// Calls whose outcome only the replay told.
    pub unknown: u64,
}

impl<'a> Load<'a> {
    /// On a wallet with this balance, which nobody else touches.
    pub fn on(wallet: &'a str, begun_with: i64) -> Self {
        Self { wallet, begun_with, made: Mutex::default(), stop: AtomicBool::new(false) }
    }

    /// Calls again and again until [`Self::stop`], whatever is answered. Every fifth call asks for more than there is.
    pub fn call(&self, app: &Client) {
        let prefix = unique("load-");
        for number in 0_u64.. {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            let key = format!("{prefix}-{number}");
            let amount = if number % 5 == 4 { self.begun_with * 2 } else { 1 };
            let body = json!({"type": "spend", "wallet_id": self.wallet, "amount": amount, "reference": key});
            let began = Instant::now();
            let answer = app.call("POST", "/v1/transactions", &[("idempotency-key", &key)], Some(&body)).ok();
            self.made.lock().push(Made { key, body, began, answer });
            std::thread::sleep(PAUSE);
        }
    }

    /// No further calls.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Waits until a call that began after `then` was accepted; answers how long after `then` that was seen.
    ///
    /// # Panics
    /// If it takes longer than `limit`.
    pub fn wait_for_success_after(&self, then: Instant, limit: Duration) -> Duration {
        loop {
            let accepted = |made: &Made| {
                made.began > then && made.answer.as_ref().is_some_and(|answer| answer.status == 201)
            };
            if self.made.lock().iter().rev().take(NEWEST).any(accepted) {
                return then.elapsed();
            }
            assert!(then.elapsed() < limit, "nothing is accepted after {limit:?}: {:?}", self.last());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until so many more calls are accepted.
    ///
    /// # Panics
    /// If that takes more than a minute.
    pub fn wait_for_more(&self, calls: usize) {
        let accepted = || {
            let made = self.made.lock();
            made.iter().filter(|made| made.answer.as_ref().is_some_and(|answer| answer.status == 201)).count()
        };
        let (begun, limit) = (accepted(), Instant::now() + Duration::from_secs(60));
        while accepted() < begun + calls {
            assert!(Instant::now() < limit, "calls are not accepted any more: {:?}", self.last());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn last(&self) -> Option<String> {
        let made = self.made.lock();
        let answer = made.last()?.answer.as_ref()?;
        Some(format!("{} {}", answer.status, answer.body))
    }

    /// Every `2xx` is there once, every `4xx` moved nothing, and whatever nobody knows has one outcome by its key.
    ///
    /// # Panics
    /// If that is not so.
    pub fn audit(self, app: &Client) -> Audited {
        let mut audited = Audited { answered: 0, refused: 0, unknown: 0 };
        let mut accepted = BTreeSet::new();
        for call in self.made.into_inner() {
            let now = decided(app, &call);
            assert!(matches!(now.status, 201 | 402), "{} {}", now.status, now.body);
            match &call.answer {
                Some(first) if first.status < 500 => {
                    audited.answered += 1;
                    assert_eq!((now.status, &now.body), (first.status, &first.body), "{}", call.key);
                    assert_eq!(now.header("idempotent-replayed"), Some("true"), "{}", call.key);
                }
                _ => audited.unknown += 1,
            }
            if now.status == 402 {
                audited.refused += 1;
                continue;
            }
            assert_eq!(now.text("reference"), call.key);
            assert!(accepted.insert(now.text("id")), "one transaction for two keys: {}", now.body);
        }
        let listed = all_pages(app, &format!("/v1/transactions?wallet_id={}&type=spend", self.wallet), 200);
        let listed: Vec<_> =
            listed.iter().map(|row| row["id"].as_str().unwrap_or_default().to_owned()).collect();
        assert_eq!(listed.len(), accepted.len());
        assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), accepted);
        let spent = i64::try_from(accepted.len()).expect("not so many");
        assert_eq!(wallet(app, self.wallet)["balance"], self.begun_with - spent, "{audited:?}");
        audited
    }
}

/// The outcome of a call by its key, as soon as it is known.
fn decided(app: &Client, call: &Made) -> Answer {
    let limit = Instant::now() + Duration::from_secs(60);
    loop {
        let now = app.post_once("/v1/transactions", &call.key, &call.body);
        if now.status < 500 {
            return now;
        }
        assert!(Instant::now() < limit, "{} has no outcome: {} {}", call.key, now.status, now.body);
        std::thread::sleep(Duration::from_millis(200));
    }
}
