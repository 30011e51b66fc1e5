//! What the front door counts.

use std::sync::{LazyLock, OnceLock};
use std::time::Duration;

use credit_core::{Code, Principal, UserId};
use metrics::{Counter, Gauge, Histogram};
use moka::sync::Cache;

use crate::route::Route;

/// The statuses that answers carry; others are counted together as `other`.
const STATUSES: [(u16, &str); 20] = [
    (200, "200"),
    (201, "201"),
    (202, "202"),
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

/// The methods that calls come with; others are counted together as `_OTHER`.
const METHODS: [&str; 8] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "_OTHER"];

/// What no route answers is counted under this one, whatever was asked for.
pub(crate) const UNMATCHED: &str = "unmatched";

/// For so long a user who has called is active.
const ACTIVE_FOR: Duration = Duration::from_secs(15 * 60);
/// So many are remembered.
const MOST_ACTIVE: u64 = 100_000;

/// Counts the requests of one row, by route template, so that the number of series stays bounded. Its instruments are
/// looked up once, at their first use: the recorder is to be installed before the first request.
pub(crate) struct Meter {
    method: &'static str,
    route: &'static str,
    active: OnceLock<Gauge>,
    cells: [Cell; STATUSES.len()],
}

/// The instruments of one status.
#[derive(Default)]
struct Cell {
    count: OnceLock<Counter>,
    duration: OnceLock<Histogram>,
}

/// A call that is being answered.
pub(crate) struct Active<'a>(&'a Gauge);

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

impl Meter {
    pub(crate) fn new(route: &Route) -> Self {
        Self::of(route.method.as_str(), route.path)
    }

    fn of(method: &'static str, route: &'static str) -> Self {
        let cells = std::array::from_fn(|_| Cell::default());
        Self { method, route, active: OnceLock::new(), cells }
    }

    /// Of calls that no route answers.
    pub(crate) fn unmatched(method: &str) -> &'static Self {
        static METERS: LazyLock<[Meter; METHODS.len()]> =
            LazyLock::new(|| METHODS.map(|method| Meter::of(method, UNMATCHED)));
        let other = METHODS.len() - 1;
        &METERS[METHODS.iter().position(|known| *known == method).unwrap_or(other)]
    }

    /// The method, as it is counted.
    pub(crate) fn method(&self) -> &'static str {
        self.method
    }

    /// Begins at zero what the row promises, and what it must never answer.
    pub(crate) fn begin(&self, route: &Route) {
        // Looked up again at the first use: here the recorder may not be there yet.
        for answer in &route.answers {
            let (_, status) = STATUSES[place(answer.status)];
            let _counter = self.counter(status);
            let _histogram = self.histogram(status);
        }
        let _counter = self.counter("500");
    }

    /// Notes that a call has come, until what is answered is dropped.
    pub(crate) fn enter(&self) -> Active<'_> {
        let gauge = self.active.get_or_init(
            || metrics::gauge!("http_server_active_requests", "http_request_method" => self.method),
        );
        gauge.increment(1.0);
        Active(gauge)
    }

    /// Notes an answer.
    pub(crate) fn record(&self, status: u16, elapsed: Duration) {
        let place = place(status);
        let (cell, (_, status)) = (&self.cells[place], STATUSES[place]);
        cell.count.get_or_init(|| self.counter(status)).increment(1);
        cell.duration.get_or_init(|| self.histogram(status)).record(elapsed.as_secs_f64());
    }

    fn counter(&self, status: &'static str) -> Counter {
        let labels = [("method", self.method), ("route", self.route), ("status", status)];
        metrics::counter!("credit_http_requests_total", &labels)
    }

    fn histogram(&self, status: &'static str) -> Histogram {
        let labels = [
            ("http_request_method", self.method),
            ("http_route", self.route),
            ("http_response_status_code", status),
            ("error_type", status),
        ];
        // What was answered as it should be has no kind of error.
        let labels = if status.starts_with('5') { &labels[..] } else { &labels[..3] };
        metrics::histogram!("http_server_request_duration_seconds", labels)
    }
}

fn place(status: u16) -> usize {
    STATUSES.iter().position(|(known, _)| *known == status).unwrap_or(STATUSES.len() - 1)
}

/// Counts a problem that was answered.
pub(crate) fn count_refusal(code: Code) {
    metrics::counter!("credit_refusals_total", "code" => code.as_str()).increment(1);
}

/// The users who have called lately: as many as are counted, and no more is known of them.
pub struct ActiveUsers(Cache<UserId, ()>);

impl Default for ActiveUsers {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(MOST_ACTIVE).time_to_idle(ACTIVE_FOR).build())
    }
}

impl ActiveUsers {
    /// Somebody has called.
    pub(crate) fn note(&self, principal: &Principal) {
        if let Principal::User { user, .. } = principal
            && self.0.get(user).is_none()
        {
            self.0.insert(*user, ());
        }
    }

    /// Sets the gauge to how many there are now.
    pub fn measure(&self) {
        self.0.run_pending_tasks();
        let count = u32::try_from(self.0.entry_count()).unwrap_or(u32::MAX);
        metrics::gauge!("credit_users_active").set(f64::from(count));
    }
}
