//! Where traces go.

use std::time::Duration;

use secrecy::SecretString;

use super::fault::Fault;
use super::settings::{JudgedKeys, Values, origin, text};

/// Traces, if they go anywhere.
#[derive(Debug, Clone)]
pub(crate) struct Telemetry {
    pub(crate) service_name: String,
    pub(crate) otlp: Option<Otlp>,
}

/// A collector.
#[derive(Debug, Clone)]
pub(crate) struct Otlp {
    pub(crate) endpoint: String,
    pub(crate) headers: Option<SecretString>,
    pub(crate) timeout: Duration,
    pub(crate) sample_percent: u8,
}

impl Telemetry {
    pub(super) fn of(values: &mut Values) -> Self {
        let service_name = values.text("telemetry.service_name").unwrap_or_default();
        let (headers, timeout, sample_percent) = (
            values.secret("telemetry.otlp.headers"),
            values.length("telemetry.otlp.timeout"),
            values.whole("telemetry.otlp.sample_percent"),
        );
        let endpoint = values.text("telemetry.otlp.endpoint");
        let otlp = endpoint.map(|endpoint| Otlp { endpoint, headers, timeout, sample_percent });
        Self { service_name, otlp }
    }
}

/// The endpoint is an address over HTTP, without credentials in it: they would stand in `config show`.
pub(super) fn judge(judged: &JudgedKeys, faults: &mut Vec<Fault>) {
    const PATH: &str = "telemetry.otlp.endpoint";
    let Some(endpoint) = text(judged, PATH) else { return };
    let rest = endpoint.strip_prefix("http://").or_else(|| endpoint.strip_prefix("https://"));
    let is_good = rest.is_some_and(|rest| {
        !rest.is_empty() && !rest.starts_with('/') && !rest.contains(['@', ' ', '?', '#'])
    });
    if !is_good {
        let complaint = "is no http:// or https:// address of a collector, without user and password";
        faults.push(Fault::new(PATH, origin(judged, PATH), complaint));
    }
}
