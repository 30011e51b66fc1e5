//! What is counted, and what each metric means.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use credit_api::RenderMetrics;
use credit_infra::telemetry::{MetricKind, Metrics};

const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Every metric of the house.
const MEANINGS: &[(MetricKind, &str, &str)] = &[
    (MetricKind::Counter, "credit_http_requests_total", "Requests answered, by method, route and status."),
    (MetricKind::Histogram, "http_server_request_duration_seconds", "How long answers took, by route."),
    (MetricKind::Histogram, "credit_ledger_group_records", "Records in a group of the journal."),
    (
        MetricKind::Counter,
        "credit_ledger_slots_taken_total",
        "Slots of the journal that another process had filled.",
    ),
    (MetricKind::Gauge, "credit_ledger_view_lag_records", "Records that the views do not show yet."),
    (
        MetricKind::Counter,
        "credit_ledger_broken_invariants_total",
        "Groups refused because an invariant did not hold.",
    ),
    (
        MetricKind::Gauge,
        "credit_ledger_drift",
        "Wallets whose views were not what the journal says, found by the job `reconciliation` since the start.",
    ),
    (
        MetricKind::Gauge,
        "credit_breaker_state",
        "Circuit breakers, by dependency: 0 closed, 1 half open, 2 open.",
    ),
    (
        MetricKind::Counter,
        "credit_breaker_transitions_total",
        "How often a circuit breaker turned, by dependency and to which state.",
    ),
    (
        MetricKind::Counter,
        "credit_breaker_rejections_total",
        "Calls that were not made, by dependency: its breaker was open, or too many calls were under way.",
    ),
    (
        MetricKind::Counter,
        "credit_redis_round_trips_total",
        "Commands sent to Redis, by purpose: rate limits or the cache.",
    ),
    (
        MetricKind::Counter,
        "credit_cache_reads_total",
        "Look-ups beside the store, by what was looked for and whether it was there.",
    ),
    (MetricKind::Counter, "credit_rate_limited_total", "Calls refused by a rate limit, by its name."),
    (MetricKind::Counter, "credit_rate_limit_bans_total", "Callers banned for calling on, by their kind."),
    (
        MetricKind::Gauge,
        "credit_rate_limit_alone",
        "1 while this process counts calls by itself, 0 while it shares the count on Redis.",
    ),
    (MetricKind::Counter, "credit_jobs_runs_total", "Runs of background jobs, by job and outcome."),
    (MetricKind::Histogram, "credit_jobs_run_duration_seconds", "How long runs of background jobs took."),
    (
        MetricKind::Counter,
        "credit_jobs_leases_lost_total",
        "Runs that stopped because another process had taken their lease.",
    ),
];

/// Begins to collect, and keeps what is collected small. Once in the life of the process, on its runtime.
pub(crate) fn collect() -> Result<RenderMetrics> {
    let metrics = Metrics::install()?;
    for &(kind, name, meaning) in MEANINGS {
        metrics.describe(kind, name, meaning);
    }
    let kept = metrics.clone();
    actix_web::rt::spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP_EVERY).await;
            kept.run_upkeep();
        }
    });
    Ok(Arc::new(move || metrics.render()))
}
