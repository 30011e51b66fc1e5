//! What the front door counts.

use std::sync::OnceLock;
use std::time::Duration;

use metrics::{Counter, Histogram};

use crate::route::Route;

/// The statuses that answers carry; others are counted together as `other`.
const STATUSES: [(u16, &str); 19] = [
    (200, "200"),
    (201, "201"),
    (204, "204"),
    (400, "400"),
    (401, "401"),
    (402, "402"),
    (403, "403"),
    (404, "404"),
    (405, "405"),
    (409, "409"),
    (412, "412"),
    (408, "408"),
    (413, "413"),
    (415, "415"),
    (422, "422"),
    (429, "429"),
    (500, "500"),
    (503, "503"),
    (0, "other"),
];

/// Counts the requests of one row, by route template, so that the number of series stays bounded. Its instruments are
/// looked up once, at their first use: the recorder is to be installed before the first request.
pub(crate) struct Meter {
    method: &'static str,
    route: &'static str,
    duration: OnceLock<Histogram>,
    counts: [OnceLock<Counter>; STATUSES.len()],
}

impl Meter {
    pub(crate) fn new(route: &Route) -> Self {
        Self {
            method: route.method.as_str(),
            route: route.path,
            duration: OnceLock::new(),
            counts: std::array::from_fn(|_| OnceLock::new()),
        }
    }

    /// Notes an answer.
    pub(crate) fn record(&self, status: u16, elapsed: Duration) {
        let place = STATUSES.iter().position(|(known, _)| *known == status).unwrap_or(STATUSES.len() - 1);
        self.counts[place].get_or_init(|| self.counter(STATUSES[place].1)).increment(1);
        self.duration.get_or_init(|| self.histogram()).record(elapsed.as_secs_f64());
    }

    fn counter(&self, status: &'static str) -> Counter {
        let labels = [("method", self.method), ("route", self.route), ("status", status)];
        metrics::counter!("credit_http_requests_total", &labels)
    }

    fn histogram(&self) -> Histogram {
        let labels = [("method", self.method), ("route", self.route)];
        metrics::histogram!("http_server_request_duration_seconds", &labels)
    }
}
