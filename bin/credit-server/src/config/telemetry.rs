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

#[cfg(test)]
mod tests {
    use super::super::{Sources, load};

    fn with(endpoint: &str) -> Result<Option<String>, String> {
        let mut sources = Sources::default();
        sources.environment.insert("CREDIT_TELEMETRY__OTLP__ENDPOINT".into(), endpoint.into());
        let settings = load(&sources).map_err(|faults| faults.to_string())?;
        Ok(settings.telemetry.otlp.map(|otlp| otlp.endpoint))
    }

    #[test]
    fn traces_go_to_an_address_without_credentials_or_nowhere() {
        assert_eq!(with(""), Ok(None), "an empty variable is not set");
        for good in ["http://collector:4318", "https://traces.example/otlp/"] {
            assert_eq!(with(good), Ok(Some(good.to_owned())));
        }
        for wrong in
            ["collector:4318", "grpc://collector", "http://", "http://me:hunter2@collector", "http://a b"]
        {
            let faults = with(wrong).expect_err("a fault");
            assert!(faults.contains("telemetry.otlp.endpoint"), "{faults}");
            assert!(!faults.contains("hunter2"), "{faults}");
        }
    }
}
