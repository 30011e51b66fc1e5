//! Counting failed logins, per account and per address.
//!
//! The counts are documents, so that all processes share them. Within a process an attempt that is under way counts as
//! a failure until its outcome is known, and whoever would be one too many waits for it: so any number of guesses at
//! once are not more than the limit, and any number of right logins at once are no failures.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use credit_core::ports::StoreError;
use credit_core::ports::documents::{Batch, CommitError, Documents};
use credit_core::ports::keys::KeyedHash;
use credit_core::{AppId, Code, Problem, Timestamp};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::ATTEMPTS;
use crate::settings::UsersSettings;
use crate::store::failures::{self, FAILURES};

/// The counters.
pub(super) struct Throttle {
    documents: Arc<dyn Documents>,
    per_account: usize,
    per_address: usize,
    window_seconds: i64,
    under_way: Arc<UnderWay>,
}

/// Attempts that have begun and not ended, by counter.
#[derive(Default)]
struct UnderWay {
    counts: Mutex<HashMap<Counter, usize>>,
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

struct Place {
    under_way: Arc<UnderWay>,
    counter: Counter,
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
    pub(super) fn new(documents: Arc<dyn Documents>, settings: &UsersSettings) -> Self {
        Self {
            documents,
            per_account: settings.login_failures_per_account,
            per_address: settings.login_failures_per_address,
            window_seconds: settings.login_window_seconds,
            under_way: Arc::default(),
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

    /// Takes a place first and reads the count after, so that one of two at the edge sees the other.
    async fn place(&self, counter: &Counter, limit: usize, now: Timestamp) -> Result<Place, Problem> {
        loop {
            let ended = self.under_way.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            let (place, before) = self.under_way.enter(counter);
            let (failures, _) = self.read(counter).await?;
            let failures = failures.after(self.window_begins(now));
            if failures.at.len() >= limit {
                let oldest = failures.at.first().copied().unwrap_or(now);
                let wait = oldest.plus_seconds(self.window_seconds).millis_since(now).max(1);
                let seconds = u64::try_from(wait).unwrap_or(1).div_ceil(1000);
                return Err(
                    Problem::because(Code::RateLimited, "Too many failed logins.").retry_after(seconds)
                );
            }
            if failures.at.len() + before < limit {
                return Ok(place);
            }
            drop(place);
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

impl UnderWay {
    /// A place, and how many were there before.
    fn enter(self: &Arc<Self>, counter: &Counter) -> (Place, usize) {
        let mut counts = self.counts.lock();
        let count = counts.entry(counter.clone()).or_default();
        let before = *count;
        *count += 1;
        (Place { under_way: self.clone(), counter: counter.clone() }, before)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.under_way.counts.lock();
        if let Some(count) = counts.get_mut(&self.counter) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.counter);
            }
        }
        drop(counts);
        self.under_way.ended.notify_waiters();
    }
}

/// Bytes as text.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
