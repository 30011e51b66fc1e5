//! Counting failed logins, per account and per address.
//!
//! The counts are documents, so that all processes share them and losing a cache loses none; only that a counter is
//! full may be remembered elsewhere. Within a process an attempt that is under way counts as
//! a failure until its outcome is known, and whoever would be one too many waits for it, in the order of coming: so any number of guesses at
//! once are not more than the limit, and any number of right logins at once are no failures.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use credit_core::ports::StoreError;
use credit_core::ports::documents::{Batch, CommitError, Documents};
use credit_core::ports::keys::KeyedHash;
use credit_core::{AppId, Code, Problem, Timestamp};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::ATTEMPTS;
use super::seen::Seen;
use crate::settings::UsersSettings;
use crate::store::failures::{self, FAILURES};

/// The counters.
pub(super) struct Throttle {
    documents: Arc<dyn Documents>,
    seen: Seen,
    per_account: usize,
    per_address: usize,
    window_seconds: i64,
    gates: Arc<Gates>,
}

/// The gates that somebody stands at or has gone through.
#[derive(Default)]
struct Gates(Mutex<HashMap<Counter, Arc<Gate>>>);

/// Lets the attempts of one counter in.
#[derive(Default)]
struct Gate {
    /// Held by the one who is next, while it reads the count or waits for another's outcome.
    queue: tokio::sync::Mutex<()>,
    /// How many were let in and have not ended. Grows only by who holds the queue.
    inside: AtomicUsize,
    ended: Notify,
}

/// One count: whose, and how it is called.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Counter {
    app: AppId,
    id: String,
}

/// An attempt that was let in. Tell how it ended; if it is dropped instead, it counts as none.
pub(super) struct Attempt<'a> {
    throttle: &'a Throttle,
    account: Counter,
    address: Counter,
    _places: [Place; 2],
}

/// Somebody at a gate; inside once it was let in.
struct Place {
    gates: Arc<Gates>,
    gate: Arc<Gate>,
    counter: Counter,
    is_inside: bool,
}

impl Counter {
    /// Of an account, or of a login that has none.
    pub(super) fn of_account(app: AppId, account: &str) -> Self {
        Self { app, id: format!("account|{account}") }
    }

    /// Of an address; an IPv6 network of 64 bits is one, since its owner has them all.
    pub(super) fn of_address(hash: &dyn KeyedHash, address: IpAddr) -> Self {
        let network = match address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("{:x?}", &address.segments()[..4]),
        };
        Self { app: AppId::SYSTEM, id: format!("address|{}", hex(&hash.hash("login_address", &network))) }
    }
}

impl Throttle {
    pub(super) fn new(documents: Arc<dyn Documents>, seen: Seen, settings: &UsersSettings) -> Self {
        Self {
            documents,
            seen,
            per_account: settings.login_failures_per_account,
            per_address: settings.login_failures_per_address,
            window_seconds: settings.login_window_seconds,
            gates: Arc::default(),
        }
    }

    /// Lets an attempt in, or `429 rate_limited`.
    pub(super) async fn admit(
        &self,
        account: Counter,
        address: Counter,
        now: Timestamp,
    ) -> Result<Attempt<'_>, Problem> {
        let address_place = self.place(&address, self.per_address, now).await?;
        let account_place = self.place(&account, self.per_account, now).await?;
        Ok(Attempt { throttle: self, account, address, _places: [address_place, account_place] })
    }

    async fn place(&self, counter: &Counter, limit: usize, now: Timestamp) -> Result<Place, Problem> {
        let shared_name = format!("{}|{}", counter.app, counter.id);
        if let Some(until) = self.seen.blocked_until(&shared_name).await.filter(|until| now < *until) {
            return Err(too_many(now, until));
        }
        let mut place = self.gates.stand_at(counter);
        let gate = place.gate.clone();
        let _next = gate.queue.lock().await;
        loop {
            // In this order: whoever ends in between is seen inside or in the count, or wakes us.
            let ended = gate.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            let inside = gate.inside.load(Ordering::SeqCst);
            let failures = self.read(counter).await?.0.after(self.window_begins(now)).at;
            if failures.len() >= limit {
                let oldest = failures.first().copied().unwrap_or(now);
                let until = oldest.plus_seconds(self.window_seconds);
                self.seen.note_block(&shared_name, now, until).await;
                return Err(too_many(now, until));
            }
            if failures.len() + inside < limit {
                place.enter();
                return Ok(place);
            }
            ended.await;
        }
    }

    async fn record(&self, counter: &Counter, limit: usize, now: Timestamp) -> Result<(), Problem> {
        for _ in 0..ATTEMPTS {
            let (failures, version) = self.read(counter).await?;
            let mut failures = failures.after(self.window_begins(now));
            failures.at.push(now);
            // Other processes may have let some in as well; the newest ones say when the window ends.
            let surplus = failures.at.len().saturating_sub(limit);
            failures.at.drain(..surplus);
            let batch = Batch::of(failures::keep(&counter.id, version, &failures));
            match self.documents.commit(counter.app, batch).await {
                Ok(()) => return Ok(()),
                Err(CommitError::Store(error)) => return Err(error.into()),
                Err(_) => tokio::task::yield_now().await,
            }
        }
        Err(Problem::new(Code::Unavailable).retry_after(1))
    }

    async fn reset(&self, counter: &Counter) -> Result<(), Problem> {
        let (_, version) = self.read(counter).await?;
        if version == 0 {
            return Ok(());
        }
        match self.documents.commit(counter.app, Batch::of(failures::forget(&counter.id, version))).await {
            Err(CommitError::Store(error)) => Err(error.into()),
            // Somebody failed at the same time: that failure stays.
            Ok(()) | Err(_) => Ok(()),
        }
    }

    async fn read(&self, counter: &Counter) -> Result<(failures::Failures, u64), StoreError> {
        failures::open(self.documents.get(counter.app, &FAILURES, &counter.id).await?.as_ref())
    }

    fn window_begins(&self, now: Timestamp) -> Timestamp {
        now.plus_seconds(-self.window_seconds)
    }
}

impl Attempt<'_> {
    /// Counts it.
    pub(super) async fn failed(self, now: Timestamp) -> Result<(), Problem> {
        self.throttle.record(&self.address, self.throttle.per_address, now).await?;
        self.throttle.record(&self.account, self.throttle.per_account, now).await
    }

    /// Forgets the failures of the account; those of the address stay, for it may be trying many.
    pub(super) async fn succeeded(self) -> Result<(), Problem> {
        self.throttle.reset(&self.account).await
    }
}

impl Gates {
    fn stand_at(self: &Arc<Self>, counter: &Counter) -> Place {
        let gate = self.0.lock().entry(counter.clone()).or_default().clone();
        Place { gates: self.clone(), gate, counter: counter.clone(), is_inside: false }
    }
}

impl Place {
    fn enter(&mut self) {
        self.is_inside = true;
        self.gate.inside.fetch_add(1, Ordering::SeqCst);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.is_inside {
            self.gate.inside.fetch_sub(1, Ordering::SeqCst);
            self.gate.ended.notify_waiters();
        }
        let mut gates = self.gates.0.lock();
        // The map's own and ours: the last one takes the gate away. While it is looked at nobody can come.
        if Arc::strong_count(&self.gate) == 2 {
            gates.remove(&self.counter);
        }
    }
}

fn too_many(now: Timestamp, until: Timestamp) -> Problem {
    let wait = until.millis_since(now).max(1);
    let seconds = u64::try_from(wait).unwrap_or(1).div_ceil(1000);
    Problem::because(Code::RateLimited, "Too many failed logins.").retry_after(seconds)
}

/// Bytes as text.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
