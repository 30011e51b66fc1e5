//! Every metric of the house, once. `docs/metrics.md` is made of it, and a rule of the architecture test looks that the
//! code has no other one.

use credit_core::Code;

use super::registry::Known;

/// One metric.
#[derive(Debug)]
pub(crate) struct Metric {
    /// Its name, which ends in its unit.
    pub(crate) name: &'static str,
    /// What it is.
    pub(crate) shape: Shape,
    /// What is counted or measured.
    pub(crate) unit: &'static str,
    /// What tells its series apart.
    pub(crate) labels: &'static [Label],
    /// What it tells.
    pub(crate) meaning: &'static str,
    /// When it is there.
    pub(crate) start: Start,
}

/// What a metric is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How values are distributed over these buckets.
    Histogram(&'static [f64]),
}

/// When a metric is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// From the start, at zero, as far as its labels are known.
    Zero,
    /// Once there is something to tell: what it speaks of need not be there.
    InUse,
}

/// One label.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Label {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it can be.
    pub(crate) values: Values,
}

/// What a label can be. There is no label of which nobody knows how many values it will have.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Values {
    /// One of these.
    Of(&'static [&'static str]),
    /// A background job.
    Jobs,
    /// A code of a problem.
    Codes,
    /// A route template of the contract, or `unmatched`.
    Routes,
    /// The code of an asset; of more than a hundred, the rest is `other`.
    Assets,
    /// One, of this build.
    Build,
}

impl Values {
    /// Those that are known now.
    pub(super) fn known(self, known: &Known) -> Vec<&'static str> {
        match self {
            Self::Of(values) => values.to_vec(),
            Self::Jobs => known.jobs.clone(),
            Self::Codes => Code::ALL.iter().map(|code| code.as_str()).collect(),
            // The front door begins those of its routes.
            Self::Routes | Self::Build => Vec::new(),
            Self::Assets => vec!["CREDIT"],
        }
    }

    /// For the reference.
    pub(crate) fn told(self) -> String {
        match self {
            Self::Of(values) => {
                values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", ")
            }
            Self::Jobs => "the name of a background job (`GET /v1/jobs`)".into(),
            Self::Codes => "the code of a problem (`GET /problems`)".into(),
            Self::Routes => "a route template of the contract, or `unmatched`".into(),
            Self::Assets => "the code of an asset; beyond a hundred of them, `other`".into(),
            Self::Build => "one, of this build".into(),
        }
    }
}

const fn label(name: &'static str, values: Values) -> Label {
    Label { name, values }
}

/// As OpenTelemetry advises for the duration of requests.
const REQUEST_SECONDS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
/// A store answers from a tenth of a millisecond to a minute.
const STORE_SECONDS: &[f64] =
    &[0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];
const JOB_SECONDS: &[f64] = &[0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0];
/// A group takes 1,024 commands, and what is due before them.
const GROUP_RECORDS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1024.0, 2048.0];

const METHODS: Values = Values::Of(&["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "_OTHER"]);
/// The statuses that the contract has.
const STATUSES: Values = Values::Of(&[
    "200", "201", "202", "204", "400", "401", "402", "403", "404", "405", "408", "409", "412", "413", "415",
    "422", "429", "500", "503", "other",
]);
const KINDS: Values = Values::Of(&[
    "purchase",
    "grant",
    "spend",
    "transfer",
    "adjustment",
    "refund",
    "capture",
    "expiry",
    "void",
]);
const POLICIES: Values = Values::Of(&[
    "address-read",
    "address-write",
    "address-auth",
    "user-read",
    "user-write",
    "user-auth",
    "api_key-read",
    "api_key-write",
    "api_key-auth",
]);
const DEPENDENCIES: Values = Values::Of(&["documents", "journal", "cache", "vault"]);
const STORES: Values = Values::Of(&["documents", "journal"]);
const OPERATIONS: Values =
    Values::Of(&["get", "get_many", "query", "commit", "apps", "append", "read", "head", "books"]);
const HANDED_OVER: Values = Values::Of(&["answered", "not_there", "not_sent", "no_answer"]);
const OUTCOMES: Values = Values::Of(&["ok", "conflict", "unavailable", "unknown", "failed"]);
const VAULT_OUTCOMES: Values = Values::Of(&[
    "read",
    "gone",
    "slow",
    "untrusted",
    "sealed",
    "uninitialised",
    "standby",
    "login_refused",
    "forbidden",
    "missing",
    "garbage",
    "failing",
    "incomplete",
    "setup",
]);

/// Writes the table down: what it is, its name, its unit, its labels, when it is there, its meaning.
macro_rules! metrics {
    ($($shape:expr, $name:literal, $unit:literal, [$($label:literal: $values:expr),*], $start:ident, $meaning:literal;)*) => {
        &[$(Metric {
            name: $name,
            shape: $shape,
            unit: $unit,
            labels: &[$(label($label, $values)),*],
            meaning: $meaning,
            start: Start::$start,
        }),*]
    };
}

/// The table, by the part of the house that each is of.
pub(crate) const METRICS: &[Metric] = metrics! {
    Shape::Gauge, "credit_build_info", "builds", ["version": Values::Build, "revision": Values::Build], InUse,
        "Which build this is: always 1. `revision` is there if it was known when the program was built.";

    Shape::Histogram(REQUEST_SECONDS), "http_server_request_duration_seconds", "seconds",
        ["http_request_method": METHODS, "http_route": Values::Routes, "http_response_status_code": STATUSES,
         "error_type": Values::Of(&["500", "503"])], Zero,
        "How long answers took, named and measured as OpenTelemetry has it. `error_type` is there for a 5xx.";
    Shape::Gauge, "http_server_active_requests", "requests", ["http_request_method": METHODS], Zero,
        "Calls that are being answered now.";
    Shape::Counter, "credit_http_requests_total", "requests",
        ["method": METHODS, "route": Values::Routes, "status": STATUSES], Zero,
        "Calls answered. What no route answers (404, 405) is counted as route `unmatched`.";
    Shape::Counter, "credit_refusals_total", "calls", ["code": Values::Codes], Zero,
        "Calls answered with a problem, by its code.";
    Shape::Gauge, "credit_users_active", "users", [], Zero,
        "Users who have called this process within the last 15 minutes, up to 100,000 of them.";
    Shape::Counter, "credit_rate_limited_total", "calls", ["policy": POLICIES], Zero,
        "Calls refused by a rate limit, by its name.";
    Shape::Counter, "credit_rate_limit_bans_total", "callers", ["kind": Values::Of(&["address", "user"])], Zero,
        "Callers banned for calling on, by their kind.";
    Shape::Gauge, "credit_rate_limit_alone", "processes", [], Zero,
        "1 while this process counts calls by itself although Redis is configured, 0 else.";

    Shape::Counter, "credit_transactions_total", "transactions", ["type": KINDS, "asset": Values::Assets], Zero,
        "Transactions that this process has posted.";
    Shape::Counter, "credit_transaction_amount_total", "credits", ["type": KINDS, "asset": Values::Assets], Zero,
        "What they moved, in the smallest unit of the asset.";
    Shape::Gauge, "credit_wallets", "wallets", [], Zero,
        "Wallets that are not closed. Like what is held and what expires it is counted little by little: \
         `credit_business_figures_age_seconds` tells how long ago.";
    Shape::Gauge, "credit_credits_held", "credits", ["asset": Values::Assets], Zero,
        "Credits that holds keep, in the smallest unit of the asset.";
    Shape::Gauge, "credit_credits_expiring", "credits",
        ["asset": Values::Assets, "within": Values::Of(&["24h", "7d"])], Zero,
        "Credits that expire within this time if nobody spends them, in the smallest unit of the asset.";
    Shape::Gauge, "credit_business_figures_age_seconds", "seconds", [], InUse,
        "How long ago wallets, held and expiring credits were counted through. There once they were the first time.";

    Shape::Gauge, "credit_ledger_imbalance", "credits", ["asset": Values::Assets], Zero,
        "How far debits and credits are apart, added up over all books: must be 0.";
    Shape::Histogram(GROUP_RECORDS), "credit_ledger_group_records", "records", [], Zero,
        "Records in the groups that this process has appended to the journal.";
    Shape::Counter, "credit_ledger_slots_taken_total", "slots", [], Zero,
        "Slots of the journal that another process had filled; the commands were decided again.";
    Shape::Counter, "credit_ledger_handed_over_total", "commands", ["outcome": HANDED_OVER], Zero,
        "Commands that this process has handed to the one that usually writes their book, by what became of them: it \
         answered; it would not decide them; it could not be reached; or its answer did not come. All but the first \
         this process then decides by itself.";
    Shape::Gauge, "credit_ledger_view_lag_records", "records", [], Zero,
        "Records that the views do not show yet, of the book that is furthest behind.";
    Shape::Gauge, "credit_ledger_queue_commands", "commands", [], Zero,
        "Commands that wait for the lanes of all books. A lane takes 8,192; then callers wait.";
    Shape::Gauge, "credit_ledger_books", "books", [], Zero,
        "Books that are open in this process.";
    Shape::Gauge, "credit_ledger_broken_books", "books", [], Zero,
        "Books that take no more commands because what is kept cannot be right: must be 0.";
    Shape::Gauge, "credit_ledger_cached_wallets", "wallets", [], Zero,
        "Wallets in memory, of all books.";
    Shape::Counter, "credit_ledger_broken_invariants_total", "decisions", [], Zero,
        "Decisions thrown away because an invariant did not hold: must stay 0.";
    Shape::Gauge, "credit_ledger_drift", "wallets", [], Zero,
        "Wallets and groups whose views are not what the journal says, found by the job `reconciliation` and not yet found well \
         again; must be 0.";

    Shape::Histogram(STORE_SECONDS), "credit_store_operation_duration_seconds", "seconds",
        ["store": STORES, "operation": OPERATIONS, "outcome": OUTCOMES], InUse,
        "How long calls of the store took, the wait for a place included. `conflict`: another was faster, which is an \
         answer; `unavailable`: certainly not made; `unknown`: made, and nobody knows what became of it.";
    Shape::Gauge, "credit_bulkhead_calls", "calls", ["dependency": STORES], Zero,
        "Calls of the store under way.";
    Shape::Gauge, "credit_bulkhead_waiting", "calls", ["dependency": STORES], Zero,
        "Calls of the store that wait for a place.";
    Shape::Gauge, "credit_bulkhead_places", "calls", ["dependency": STORES], Zero,
        "How many calls of the store can be under way at a time.";
    Shape::Gauge, "credit_breaker_state", "state", ["dependency": DEPENDENCIES], InUse,
        "Circuit breakers: 0 closed, 1 half open, 2 open.";
    Shape::Counter, "credit_breaker_transitions_total", "transitions",
        ["dependency": DEPENDENCIES, "to": Values::Of(&["closed", "half_open", "open"])], Zero,
        "How often a circuit breaker turned, and to which state.";
    Shape::Counter, "credit_breaker_rejections_total", "calls",
        ["dependency": DEPENDENCIES, "reason": Values::Of(&["open", "full"])], Zero,
        "Calls that were not made: the breaker was open, or too many calls were under way.";
    Shape::Gauge, "credit_pool_connections", "connections",
        ["pool": Values::Of(&["mongodb", "redis"]), "state": Values::Of(&["idle", "used"])], InUse,
        "Connections of a pool. There where that pool is.";

    Shape::Counter, "credit_redis_round_trips_total", "commands",
        ["purpose": Values::Of(&["limits", "cache"])], Zero,
        "Commands sent to Redis, by what they were for.";
    Shape::Counter, "credit_cache_reads_total", "reads",
        ["what": Values::Of(&["session", "login_block"]), "outcome": Values::Of(&["hit", "miss"])], Zero,
        "Look-ups beside the store, by what was looked for and whether it was there.";
    Shape::Counter, "credit_vault_reads_total", "readings", ["outcome": VAULT_OUTCOMES], Zero,
        "Readings of the secret in Vault, by how they ended.";
    Shape::Gauge, "credit_vault_up", "readings", [], InUse,
        "1 if the last reading of the secret in Vault succeeded, 0 if not. There where secrets come from Vault.";
    Shape::Gauge, "credit_vault_secrets_age_seconds", "seconds", [], InUse,
        "How long ago the secret in Vault was read. There where secrets come from Vault.";

    Shape::Counter, "credit_jobs_runs_total", "runs",
        ["job": Values::Jobs, "outcome": Values::Of(&["succeeded", "failed", "stopped"])], Zero,
        "Runs of background jobs in this process.";
    Shape::Histogram(JOB_SECONDS), "credit_jobs_run_duration_seconds", "seconds", ["job": Values::Jobs], Zero,
        "How long runs of background jobs took.";
    Shape::Gauge, "credit_jobs_running", "runs", ["job": Values::Jobs], Zero,
        "1 while a background job runs in this process.";
    Shape::Gauge, "credit_jobs_last_success_timestamp_seconds", "seconds", ["job": Values::Jobs], InUse,
        "When a background job last succeeded in this process, as Unix time. There once it has.";
    Shape::Counter, "credit_jobs_leases_lost_total", "runs", ["job": Values::Jobs], Zero,
        "Runs that stopped because another process had taken their lease.";
    Shape::Gauge, "credit_backup_progress_ratio", "ratio", [], InUse,
        "How much of the backup that is being made, or was made last, is copied, from 0 to 1. There where `backup.directory` is.";
    Shape::Gauge, "credit_backup_last_began_timestamp_seconds", "seconds", [], InUse,
        "When the last backup that this process made began, as Unix time: what came later is not in it.";
};
