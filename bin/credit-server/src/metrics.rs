//! What is counted, and what each metric means.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use credit_api::RenderMetrics;
use credit_infra::telemetry::{MetricKind, Metrics};

const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Every metric of the house.
const MEANINGS: [(MetricKind, &str, &str); 6] = [
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
];

/// Begins to collect, and keeps what is collected small. Once in the life of the process, on its runtime.
pub(crate) fn collect() -> Result<RenderMetrics> {
    let metrics = Metrics::install()?;
    for (kind, name, meaning) in MEANINGS {
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
