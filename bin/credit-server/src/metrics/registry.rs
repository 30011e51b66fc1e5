//! The metrics of this process: begun from the table, asked for what is only known when somebody looks, rendered.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use credit_api::RenderMetrics;
use credit_infra::telemetry::{Label, MetricKind, Metrics};
use parking_lot::RwLock;

use super::table::{METRICS, Metric, Shape, Start};

const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Sets gauges to what they are now.
pub(crate) type Observer = Box<dyn Fn() + Send + Sync>;

/// What of the labels is known once the house is put together.
pub(crate) struct Known {
    /// The names of the background jobs.
    pub(crate) jobs: Vec<&'static str>,
}

/// What is collected in this process.
pub(crate) struct Registry {
    metrics: Metrics,
    observers: RwLock<Vec<Observer>>,
}

impl Registry {
    /// Begins to collect, and keeps what is collected small. Once in the life of the process, on its runtime.
    pub(crate) fn collect() -> Result<Arc<Self>> {
        let buckets = METRICS.iter().filter_map(|metric| match metric.shape {
            Shape::Histogram(buckets) => Some((metric.name, buckets)),
            Shape::Counter | Shape::Gauge => None,
        });
        let metrics = Metrics::install(buckets)?;
        for metric in METRICS {
            metrics.describe(metric.shape.kind(), metric.name, metric.meaning);
        }
        metrics.set("credit_build_info", &build(), 1.0);
        let registry = Arc::new(Self { metrics, observers: RwLock::default() });
        let kept = registry.clone();
        actix_web::rt::spawn(async move {
            loop {
                tokio::time::sleep(UPKEEP_EVERY).await;
                kept.metrics.run_upkeep();
            }
        });
        Ok(registry)
    }

    /// Begins every series whose labels are known at zero, so that the first time something happens is an increase.
    pub(crate) fn begin(&self, known: &Known) {
        for metric in METRICS.iter().filter(|metric| metric.start == Start::Zero) {
            for labels in series(metric, known) {
                self.metrics.begin(metric.shape.kind(), metric.name, &labels);
            }
        }
    }

    /// Asks this one too, each time somebody looks.
    pub(crate) fn observe(&self, observer: Observer) {
        self.observers.write().push(observer);
    }

    /// Renders what is so now.
    pub(crate) fn renderer(self: &Arc<Self>) -> RenderMetrics {
        let registry = self.clone();
        Arc::new(move || {
            for observer in registry.observers.read().iter() {
                observer();
            }
            registry.metrics.render()
        })
    }
}

/// The labels of every series that is known; none if a label is known only once something has happened.
fn series(metric: &Metric, known: &Known) -> Vec<Vec<Label>> {
    let mut all: Vec<Vec<Label>> = vec![Vec::new()];
    for label in metric.labels {
        let values = label.values.known(known);
        all = all
            .iter()
            .flat_map(|begun| {
                values.iter().map(|value| {
                    let mut more = begun.clone();
                    more.push((label.name, (*value).to_owned()));
                    more
                })
            })
            .collect();
    }
    all
}

/// Which build this is.
fn build() -> Vec<Label> {
    let revision = option_env!("CREDIT_REVISION").filter(|revision| !revision.is_empty());
    let version = ("version", env!("CARGO_PKG_VERSION").to_owned());
    std::iter::once(version).chain(revision.map(|revision| ("revision", revision.to_owned()))).collect()
}

impl Shape {
    fn kind(self) -> MetricKind {
        match self {
            Self::Counter => MetricKind::Counter,
            Self::Gauge => MetricKind::Gauge,
            Self::Histogram(_) => MetricKind::Histogram,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::metrics::table::Values;

    const KNOWN: fn() -> Known = || Known { jobs: vec!["sweep", "dust"] };

    fn named(name: &str) -> &'static Metric {
        METRICS.iter().find(|metric| metric.name == name).expect("it is in the table")
    }

    #[test]
    fn each_metric_stands_once_with_a_name_that_tells_what_it_is() {
        let mut seen = BTreeSet::new();
        for metric in METRICS {
            let name = metric.name;
            assert!(seen.insert(name), "{name} stands twice");
            assert!(name.starts_with("credit_") || name.starts_with("http_server_"), "{name}");
            assert_eq!(matches!(metric.shape, Shape::Counter), name.ends_with("_total"), "{name}");
            assert_eq!(metric.unit == "seconds", name.contains("_seconds"), "{name} is in {}", metric.unit);
            assert!(metric.meaning.ends_with('.') && metric.meaning.len() > 20, "{name}");
            if let Shape::Histogram(buckets) = metric.shape {
                assert!(buckets.windows(2).all(|pair| pair[0] < pair[1]) && buckets.len() > 3, "{name}");
            }
            for label in metric.labels {
                assert!(!matches!(label.name, "le" | "quantile" | "instance" | "job_name"), "{name}");
                if let Values::Of(values) = label.values {
                    assert!(!values.is_empty() && values.len() <= 40, "{name}{{{}}}", label.name);
                }
            }
        }
    }

    #[test]
    fn what_is_known_begins_at_zero_and_what_is_not_waits() {
        let known = KNOWN();
        assert_eq!(series(named("credit_ledger_slots_taken_total"), &known), [Vec::new()]);
        let runs = series(named("credit_jobs_runs_total"), &known);
        assert_eq!(runs.len(), 2 * 3, "two jobs, three outcomes: {runs:?}");
        assert_eq!(runs[0], [("job", "sweep".to_owned()), ("outcome", "succeeded".to_owned())]);
        assert!(series(named("credit_refusals_total"), &known).len() > 20, "every code");
        assert_eq!(series(named("credit_http_requests_total"), &known), Vec::<Vec<Label>>::new());
    }

    #[test]
    fn all_that_begins_at_zero_is_few() {
        let begun: usize = METRICS.iter().map(|metric| series(metric, &KNOWN()).len()).sum();
        assert!((50..600).contains(&begun), "{begun} series");
    }
}
