//! What the front door counts.

use std::time::Duration;

use crate::route::Route;

/// Counts a request by route template, so that the number of series stays bounded.
pub(crate) fn record_request(route: &Route, status: u16, elapsed: Duration) {
    let labels = [("method", route.method.as_str()), ("route", route.path), ("status", status_label(status))];
    metrics::counter!("credit_http_requests_total", &labels).increment(1);
    metrics::histogram!("http_server_request_duration_seconds", "route" => route.path)
        .record(elapsed.as_secs_f64());
}

/// The statuses that answers carry, as labels without allocation.
fn status_label(status: u16) -> &'static str {
    match status {
        200 => "200",
        201 => "201",
        204 => "204",
        304 => "304",
        400 => "400",
        401 => "401",
        402 => "402",
        403 => "403",
        404 => "404",
        405 => "405",
        409 => "409",
        412 => "412",
        413 => "413",
        415 => "415",
        422 => "422",
        429 => "429",
        500 => "500",
        503 => "503",
        _ => "other",
    }
}
