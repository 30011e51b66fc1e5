//! Metrics as Prometheus reads them.

use std::collections::BTreeSet;

use credit_tests::client::Client;
use credit_tests::server::Server;

/// One sample.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    /// The name of its family: without `_bucket`, `_sum` and `_count` of a histogram.
    pub(crate) family: String,
    pub(crate) name: String,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) value: f64,
}

/// What is collected now.
pub(crate) struct Scrape {
    pub(crate) text: String,
    pub(crate) samples: Vec<Sample>,
}

impl Scrape {
    pub(crate) fn of(server: &Server) -> Self {
        let base = server.metrics_base().expect("an address");
        let text = Client::nobody(&base).get("/metrics").expect(200).body;
        let histograms: BTreeSet<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" histogram"))
            .collect();
        let samples = text
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty())
            .map(|line| parse(line, &histograms))
            .collect();
        Self { text, samples }
    }

    /// The value of the one series with these labels, and any others.
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let fits = |sample: &&Sample| {
            sample.name == name
                && labels
                    .iter()
                    .all(|(label, value)| sample.labels.iter().any(|(l, v)| l == label && v == value))
        };
        let mut found = self.samples.iter().filter(fits);
        let first = found.next()?;
        assert!(found.next().is_none(), "{name}{labels:?} are several");
        Some(first.value)
    }

    /// How many series a metric has.
    pub(crate) fn series(&self, name: &str) -> usize {
        self.samples.iter().filter(|sample| sample.name == name).count()
    }
}

fn parse(line: &str, histograms: &BTreeSet<&str>) -> Sample {
    let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    let labels = labels.trim_end_matches('}').split("\",").filter(|pair| !pair.is_empty()).map(|pair| {
        let (label, value) = pair.split_once("=\"").unwrap_or_else(|| panic!("no label: {line}"));
        (label.to_owned(), value.trim_end_matches('"').to_owned())
    });
    let stem = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
    let family = stem.filter(|stem| histograms.contains(stem)).unwrap_or(name);
    Sample {
        family: family.to_owned(),
        name: name.to_owned(),
        labels: labels.collect(),
        value: value.parse().unwrap_or_else(|_| panic!("no number: {line}")),
    }
}
