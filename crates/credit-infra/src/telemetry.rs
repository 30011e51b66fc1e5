//! Metrics in Prometheus' text form.

use metrics::Unit;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Where durations fall that nobody has said more of, in seconds.
const SECONDS_BUCKETS: [f64; 14] =
    [0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// A label of a series: its name and its value.
pub type Label = (&'static str, String);

/// Metrics are collected already, or cannot be.
#[derive(Debug, thiserror::Error)]
#[error("metrics cannot be collected: {0}")]
pub struct MetricsError(String);

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How values are distributed.
    Histogram,
}

/// The collected metrics of this process.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
}

impl Metrics {
    /// Begins to collect, histograms in these buckets. Once a process.
    pub fn install(
        buckets: impl IntoIterator<Item = (&'static str, &'static [f64])>,
    ) -> Result<Self, MetricsError> {
        let refused = |error: metrics_exporter_prometheus::BuildError| MetricsError(error.to_string());
        let mut builder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS_BUCKETS)
            .map_err(refused)?;
        for (name, bounds) in buckets {
            builder =
                builder.set_buckets_for_metric(Matcher::Full(name.to_owned()), bounds).map_err(refused)?;
        }
        let handle = builder.install_recorder().map_err(refused)?;
        Ok(Self { handle })
    }

    /// Begins a series at zero, so that the first time something happens is an increase.
    pub fn begin(&self, kind: MetricKind, name: &'static str, labels: &[Label]) {
        match kind {
            MetricKind::Counter => drop(metrics::counter!(name, labels)),
            MetricKind::Gauge => drop(metrics::gauge!(name, labels)),
            MetricKind::Histogram => drop(metrics::histogram!(name, labels)),
        }
    }

    /// Sets a gauge.
    pub fn set(&self, name: &'static str, labels: &[Label], value: f64) {
        metrics::gauge!(name, labels).set(value);
    }

    /// Says what a metric is, for the `# HELP` line. Names end in their unit.
    pub fn describe(&self, kind: MetricKind, name: &'static str, help: &'static str) {
        let unit = if name.ends_with("_seconds") {
            Unit::Seconds
        } else if name.ends_with("_bytes") {
            Unit::Bytes
        } else {
            Unit::Count
        };
        match kind {
            MetricKind::Counter => metrics::describe_counter!(name, unit, help),
            MetricKind::Gauge => metrics::describe_gauge!(name, unit, help),
            MetricKind::Histogram => metrics::describe_histogram!(name, unit, help),
        }
    }

    /// The text that Prometheus scrapes.
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// Folds what was recorded into the histograms. To be called every few seconds, scraped or not: until then every
    /// value is kept by itself.
    pub fn run_upkeep(&self) {
        self.handle.run_upkeep();
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_rendered_with_its_help() {
        let metrics =
            Metrics::install([("test_group_records", &[1.0, 10.0][..])]).expect("the only one here");
        metrics.begin(MetricKind::Counter, "test_refusals_total", &[("code", "conflict".to_owned())]);
        metrics.begin(MetricKind::Histogram, "test_waits_seconds", &[]);
        metrics::histogram!("test_group_records").record(7.0);
        metrics.describe(MetricKind::Counter, "test_calls_total", "Calls of the test.");
        metrics::counter!("test_calls_total", "route" => "/a").increment(3);
        metrics::histogram!("test_duration_seconds").record(0.003);
        metrics.run_upkeep();
        let text = metrics.render();
        for line in [
            "# HELP test_calls_total Calls of the test.",
            "# TYPE test_calls_total counter",
            "test_calls_total{route=\"/a\"} 3",
            "test_duration_seconds_bucket{le=\"0.005\"} 1",
            "test_group_records_bucket{le=\"1\"} 0",
            "test_group_records_bucket{le=\"10\"} 1",
            "test_refusals_total{code=\"conflict\"} 0",
            "test_waits_seconds_count 0",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert!(Metrics::install([]).is_err());
    }
}
