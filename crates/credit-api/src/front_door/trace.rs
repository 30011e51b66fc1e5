//! Where a request stands among the traces of its caller (W3C Trace Context).

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::http::header::{HeaderName, HeaderValue};
use tracing::Span;

use super::FrontDoor;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The trace of one request.
pub(super) struct Trace {
    id: Option<String>,
    /// What goes out with the answer: the span of this service.
    own: Option<String>,
}

impl Trace {
    /// Puts the span of a request into the trace of its caller, or begins one, if traces are exported. If they are not,
    /// the caller's trace is known by its id all the same.
    pub(super) fn join(
        door: &FrontDoor,
        request: &HttpRequest,
        span: &Span,
        method: &str,
        route: &str,
    ) -> Self {
        let header = |name: &HeaderName| {
            request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
        };
        let (parent, state) = (header(&TRACEPARENT), header(&TRACESTATE));
        let own = door.traces.as_ref().and_then(|traces| {
            span.record("otel.name", format!("{method} {route}"));
            traces.join(span, parent, state)
        });
        let id = id(own.as_deref().unwrap_or(parent)).map(str::to_owned);
        if let Some(id) = &id {
            span.record("trace_id", id.as_str());
        }
        Self { id, own }
    }

    /// Its id, 32 hexadecimal digits.
    pub(super) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Tells the caller which span answered it.
    pub(super) fn say(&self, response: &mut HttpResponse) {
        if let Some(Ok(own)) = self.own.as_deref().map(HeaderValue::from_str) {
            response.headers_mut().insert(TRACEPARENT, own);
        }
    }
}

/// The trace id of a `traceparent`: `00-<32 hex>-<16 hex>-<2 hex>`.
fn id(traceparent: &str) -> Option<&str> {
    let id = traceparent.split('-').nth(1)?;
    (id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(id)
}
