//! `docs/metrics.md`, from the table of the metrics.

use std::fmt::Write;

use super::item;
use crate::metrics::table::{Label, METRICS, Metric, Shape, Start};

const INTRODUCTION: &str = "\
# Metrics

<!-- Made by `make docs` from bin/credit-server/src/metrics/table.rs. Change that, not this. -->

Prometheus' text format, at `/metrics` on a port of its own (`metrics.host`, `metrics.port`). Names of HTTP are those of
OpenTelemetry, the others begin with `credit_`. A counter that counts something known is there from the start, at 0, so
that `increase()` sees the first time. Each process tells of itself: add up counters and queues over processes; of what
all of them see alike (wallets, held, expiring, imbalance) take `max`.

No label takes what a caller chooses: a thousand calls of paths that do not exist add one series.
";

/// Which part of the house a metric is of, by the beginning of its name: the first that fits.
const PARTS: [(&str, &[&str]); 8] = [
    ("The build", &["credit_build_"]),
    ("Calls", &["http_server_", "credit_http_", "credit_refusals_", "credit_users_", "credit_rate_limit"]),
    ("The business", &["credit_transaction", "credit_wallets", "credit_credits_", "credit_business_"]),
    ("The ledger", &["credit_ledger_"]),
    (
        "The store, and what guards it",
        &["credit_store_", "credit_bulkhead_", "credit_breaker_", "credit_pool_"],
    ),
    ("Redis and caches", &["credit_redis_", "credit_cache_"]),
    ("Vault", &["credit_vault_"]),
    ("Background jobs", &["credit_jobs_", "credit_backup_"]),
];

/// The page.
pub(crate) fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    for (part, beginnings) in PARTS {
        let _ = write!(page, "\n## {part}\n\n");
        let is_here =
            |metric: &&Metric| beginnings.iter().any(|beginning| metric.name.starts_with(beginning));
        for metric in METRICS.iter().filter(is_here) {
            page.push_str(&item(&told(metric)));
            for label in metric.labels {
                page.push_str(&indented(&item(&of_label(label))));
            }
        }
    }
    page
}

fn told(metric: &Metric) -> String {
    let shape = match metric.shape {
        Shape::Counter => "counter",
        Shape::Gauge => "gauge",
        Shape::Histogram(_) => "histogram",
    };
    let buckets = match metric.shape {
        Shape::Histogram(bounds) => {
            let bounds: Vec<String> = bounds.iter().map(ToString::to_string).collect();
            format!(" Buckets: {}.", bounds.join(", "))
        }
        Shape::Counter | Shape::Gauge => String::new(),
    };
    let start = if metric.start == Start::InUse { ", once in use" } else { "" };
    format!("**`{}`** ({shape}, {}{start}): {}{buckets}", metric.name, metric.unit, metric.meaning)
}

fn of_label(label: &Label) -> String {
    format!("`{}`: {}.", label.name, label.values.told())
}

fn indented(text: &str) -> String {
    text.lines().fold(String::new(), |text, line| text + "  " + line + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_on_the_page_once_with_its_labels() {
        let page = page();
        for metric in METRICS {
            assert_eq!(page.matches(&format!("**`{}`**", metric.name)).count(), 1, "{}", metric.name);
        }
        assert!(page.contains("  - `route`: a route template of the contract, or `unmatched`."), "{page}");
        assert!(page.lines().all(|line| line.chars().count() <= 122), "lines are short");
    }
}
