//! Traces: spans of this process, sent to a collector by OTLP over HTTP, and the W3C context in which they stand.

use std::collections::HashMap;
use std::time::Duration;

use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider};
use secrecy::{ExposeSecret, SecretString};
use tracing::{Level, Metadata, Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

/// Under which every target of ours begins; spans of libraries are not sent.
const OURS: &str = "credit_";
/// Spans that wait to be sent; more are lost.
const QUEUE: usize = 8192;
/// Spans in one message.
const BATCH: usize = 512;
/// How long a span waits for others.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the last spans may take at the end.
const FAREWELL: Duration = Duration::from_secs(3);

/// Where traces go.
#[derive(Debug, Clone)]
pub struct TraceSettings {
    /// The base address of the collector: `http://collector:4318`.
    pub endpoint: String,
    /// `name=value` with commas between them.
    pub headers: Option<SecretString>,
    /// How long sending a batch may take.
    pub timeout: Duration,
    /// Of how many in a hundred traces that begin here something is kept.
    pub sample_percent: u8,
    /// As what this service stands in traces.
    pub service_name: String,
    /// Its version.
    pub service_version: &'static str,
}

/// Traces cannot be sent.
#[derive(Debug, thiserror::Error)]
#[error("telemetry.otlp: {0}")]
pub struct CannotTrace(String);

/// Sends spans in the background, on a thread of its own.
#[derive(Clone)]
pub struct Tracing {
    provider: SdkTracerProvider,
}

impl Tracing {
    /// Begins to send what its [`layer`](Self::layer) is given. Not to be called on a thread of a runtime: its client
    /// waits for answers.
    pub fn start(settings: &TraceSettings) -> Result<Self, CannotTrace> {
        let endpoint = format!("{}/v1/traces", settings.endpoint.trim_end_matches('/'));
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(endpoint)
            .with_timeout(settings.timeout)
            .with_headers(headers(settings.headers.as_ref())?)
            .build()
            .map_err(|_| CannotTrace("the exporter cannot be made of this endpoint".to_owned()))?;
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(PAUSE)
            .build();
        let resource = Resource::builder_empty()
            .with_service_name(settings.service_name.clone())
            .with_attribute(KeyValue::new("service.version", settings.service_version))
            .build();
        let begun_here = Sampler::TraceIdRatioBased(f64::from(settings.sample_percent) / 100.0);
        let provider = SdkTracerProvider::builder()
            .with_span_processor(BatchSpanProcessor::builder(exporter).with_batch_config(batches).build())
            .with_sampler(Sampler::ParentBased(Box::new(begun_here)))
            .with_resource(resource)
            .build();
        Ok(Self { provider })
    }

    /// What takes our spans, whatever is logged. Events stay in the log: they are not written for others.
    pub fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        let tracer = self.provider.tracer("credit-server");
        tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(filter_fn(is_sent))
    }

    /// Puts a span into the trace that a W3C `traceparent` and `tracestate` tell, or, if they are empty or broken, lets
    /// one begin with it. Answers the `traceparent` of the span.
    pub fn join(&self, span: &Span, traceparent: &str, tracestate: &str) -> Option<String> {
        let carried = HashMap::from([
            ("traceparent".to_owned(), traceparent.to_owned()),
            ("tracestate".to_owned(), tracestate.to_owned()),
        ]);
        let parent = TraceContextPropagator::new().extract_with_context(&Context::new(), &carried);
        if parent.span().span_context().is_valid() {
            span.set_parent(parent).ok()?;
        }
        let context = span.context();
        let own = context.span().span_context().clone();
        own.is_valid()
            .then(|| format!("00-{}-{}-{:02x}", own.trace_id(), own.span_id(), own.trace_flags().to_u8() & 1))
    }

    /// Sends what waits, and takes nothing more. Waits for some seconds at most.
    pub fn shut_down(&self) {
        if let Err(error) = self.provider.shutdown_with_timeout(FAREWELL) {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

impl std::fmt::Debug for Tracing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tracing")
    }
}

/// Our own spans.
fn is_sent(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && *metadata.level() <= Level::DEBUG && metadata.target().starts_with(OURS)
}

/// Of a text like `authorization=Bearer abc,x-tenant=shop`. The complaint has no value in it.
fn headers(given: Option<&SecretString>) -> Result<HashMap<String, String>, CannotTrace> {
    let text = given.map_or("", |given| given.expose_secret());
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').ok_or_else(|| {
                CannotTrace("headers: each is name=value, with commas between them".to_owned())
            })?;
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    /// Sends to where nobody listens.
    fn tracing() -> Tracing {
        let settings = TraceSettings {
            endpoint: "http://127.0.0.1:9".to_owned(),
            headers: None,
            timeout: Duration::from_secs(1),
            sample_percent: 100,
            service_name: "test".to_owned(),
            service_version: "1.2.3",
        };
        Tracing::start(&settings).expect("an exporter")
    }

    #[test]
    fn a_span_joins_the_trace_of_its_caller_or_begins_one() {
        let tracing = tracing();
        let subscriber = tracing_subscriber::registry().with(tracing.layer());
        tracing::subscriber::with_default(subscriber, || {
            let joined = tracing::info_span!(target: "credit_test", "joined");
            let own = tracing.join(&joined, PARENT, "").expect("it is sampled");
            assert_eq!(&own[..36], &PARENT[..36], "the same trace");
            assert_ne!(own, PARENT, "another span");
            for broken in ["", "00-xyz", "00-00000000000000000000000000000000-00f067aa0ba902b7-01"] {
                let begun = tracing::info_span!(target: "credit_test", "begun");
                let own = tracing.join(&begun, broken, "").expect("one of its own");
                assert!(own.len() == 55 && !own.contains("4bf92f3577b34da6"), "{broken}: {own}");
            }
            let foreign = tracing::info_span!(target: "hyper", "foreign");
            assert_eq!(tracing.join(&foreign, PARENT, ""), None, "spans of libraries are not sent");
        });
    }

    #[test]
    fn headers_are_pairs_and_a_complaint_does_not_tell_them() {
        let given = |text: &str| headers(Some(&SecretString::from(text)));
        let all = given("authorization=Bearer a=b, x-tenant = shop,").expect("pairs");
        assert_eq!(
            (all.len(), all["authorization"].as_str(), all["x-tenant"].as_str()),
            (2, "Bearer a=b", "shop")
        );
        let refused = given("hunter2").expect_err("no pair").to_string();
        assert!(!refused.contains("hunter2"), "{refused}");
        assert!(headers(None).expect("none").is_empty());
    }
}
