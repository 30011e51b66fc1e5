//! What `connection_api` needs of others.

use std::time::Duration;

use async_trait::async_trait;
use credit_core::{AssetCode, Health, Problem};
use serde::Serialize;
use serde_json::{Map, Value};

/// Sums and replays the ledger. `credit-wallet` has it.
#[async_trait]
pub trait LedgerAudit: Send + Sync {
    /// What was ever debited and credited, per asset, over all applications.
    async fn trial_balance(&self) -> Result<Vec<AssetTotals>, Problem>;

    /// Replays every book, checks its hash chains and compares every view with it. Changes nothing.
    async fn verify(&self) -> Result<VerifyReport, Problem>;
}

/// The sums of one asset, in its smallest unit. Of a sound ledger they are equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssetTotals {
    /// Which asset.
    pub asset: AssetCode,
    /// All debits, not negative.
    pub debits: i128,
    /// All credits, not negative.
    pub credits: i128,
}

/// What a verification found.
#[derive(Debug, Clone, PartialEq)]
pub struct VerifyReport {
    /// Whether nothing differs.
    pub ok: bool,
    /// How much was looked at, by kind: books, groups, transactions, entries, wallets…
    pub checked: Map<String, Value>,
    /// Everything that differs.
    pub differences: Vec<Difference>,
}

/// One thing that is not as the ledger says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Difference {
    /// What: an id with its field, or a place in a book.
    pub subject: String,
    /// What the replay of the ledger says.
    pub expected: String,
    /// What is kept.
    pub found: String,
}

/// Asks a dependency of the house how it is: a store, a cache. The server gives one for each.
#[async_trait]
pub trait HealthProbe: Send + Sync {
    /// For people and for metrics, for example `store`.
    fn name(&self) -> &'static str;

    /// Whether the house cannot work without it.
    fn is_required(&self) -> bool;

    /// Asks. Quick: gives up by itself within a second.
    async fn check(&self) -> Health;

    /// The state of its circuit breaker (`closed`, `open`, `half_open`), if it has one.
    fn breaker(&self) -> Option<&'static str> {
        None
    }
}

/// Follows requests through the services that they pass. The server gives one where traces are exported.
pub trait Traces: Send + Sync {
    /// Puts the span of a request into the trace that the caller's `traceparent` and `tracestate` tell, or, if they are
    /// empty or broken, lets one begin with it. Answers the `traceparent` of the span.
    fn join(&self, span: &tracing::Span, traceparent: &str, tracestate: &str) -> Option<String>;
}

/// What is logged of this process, which can be changed while it runs.
pub trait LogLevel: Send + Sync {
    /// A level, or levels by target: as it is now.
    fn current(&self) -> String;

    /// As it was configured, and will be again after the next start.
    fn configured(&self) -> String;

    /// Logs at another level from now on, or says what is wrong with it.
    fn set(&self, level: &str) -> Result<(), String>;
}

/// Looks into the running process. The server gives one where profiling is switched on.
#[async_trait]
pub trait Profiles: Send + Sync {
    /// Where it spends its time, as seen for so long: a profile in `pprof` form (protobuf, packed by gzip). One at a time.
    async fn cpu(&self, length: Duration) -> Result<Vec<u8>, NoProfile>;

    /// What holds its memory now, in the same form.
    async fn heap(&self) -> Result<Vec<u8>, NoProfile>;
}

/// Why there is no profile, in a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoProfile(pub String);
