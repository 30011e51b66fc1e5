//! One request on its way in and out.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::http::Version;
use actix_web::http::header::{
    ACCEPT, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, IF_MATCH, TRANSFER_ENCODING,
};
use actix_web::web::{self, Bytes, BytesMut, Payload};
use actix_web::{HttpRequest, HttpResponse, guard};
use credit_core::{Code, IdSource, Principal, Problem};
use futures_util::{FutureExt, StreamExt};
use serde_json::{Map, Value};
use tracing::Instrument;

use super::access::Line;
use super::answer::{self, REQUEST_ID};
use super::limits::Standing;
use super::trace::Trace;
use super::{FrontDoor, Post, credentials, json, query};
use crate::metrics::count_refusal;
use crate::reply::Reply;
use crate::request::Request;
use crate::route::{BODY_LIMIT, Body, Knock, Method, Route};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A row for `GET` also answers `HEAD`: the server leaves the body out.
pub(super) fn actix_route(method: Method) -> actix_web::Route {
    match method {
        Method::Get => web::route().guard(guard::Any(guard::Get()).or(guard::Head())),
        Method::Post => web::post(),
        Method::Put => web::put(),
        Method::Patch => web::patch(),
        Method::Delete => web::delete(),
    }
}

/// What becomes known of a request on its way, whatever becomes of the request.
#[derive(Default)]
struct Seen {
    standing: Option<Standing>,
    principal: Option<Principal>,
}

/// Takes a request through the checks to its handler and the answer out again. A panic in a handler is a `500` for this
/// caller and nobody else.
pub(super) async fn pass(post: Arc<Post>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let Post { door, route, meter, .. } = &*post;
    let started = Instant::now();
    let _active = meter.enter();
    let id = request_id(door, &request);
    let span = tracing::info_span!(
        "request",
        otel.kind = "server",
        otel.name = tracing::field::Empty,
        otel.status_code = tracing::field::Empty,
        request_id = %id,
        trace_id = tracing::field::Empty,
        http.request.method = route.method.as_str(),
        http.route = route.path,
        http.response.status_code = tracing::field::Empty,
    );
    let trace = Trace::join(door, &request, &span, route.method.as_str(), route.path);
    let mut seen = Seen::default();
    let work = AssertUnwindSafe(admit(&post, &request, payload, &id, &mut seen)).catch_unwind();
    let outcome = work.instrument(span.clone()).await.unwrap_or_else(|_| {
        tracing::error!(parent: &span, "a handler panicked");
        Err(Problem::new(Code::Internal))
    });
    let mut response = match outcome {
        Ok(reply) => answer::reply(reply, &id),
        Err(problem) => {
            count_refusal(problem.code());
            let problem =
                if is_dry(route, request.query_string()) { problem.with("dry_run", true) } else { problem };
            if problem.code().status() >= 500 {
                span.record("otel.status_code", "ERROR");
                tracing::warn!(parent: &span, code = %problem.code(), detail = problem.detail(), "a call failed");
            }
            answer::problem(&problem, request.path(), &id)
        }
    };
    if let Some(standing) = seen.standing {
        standing.say(&mut response);
    }
    trace.say(&mut response);
    let (status, elapsed) = (response.status().as_u16(), started.elapsed());
    span.record("http.response.status_code", status);
    meter.record(status, elapsed);
    let line = Line {
        request_id: &id,
        trace_id: trace.id(),
        principal: seen.principal.as_ref(),
        method: request.method().as_str(),
        route: route.path,
        status,
        elapsed,
    };
    line.write();
    response
}

async fn admit(
    post: &Post,
    http: &HttpRequest,
    payload: Payload,
    id: &str,
    seen: &mut Seen,
) -> Result<Reply, Problem> {
    let Post { door, gate, route, .. } = post;
    if !route.always && !gate.is_open() {
        return Err(Problem::new(Code::ModuleUnavailable).retry_after(5));
    }
    let client = credentials::client(door, http);
    let identified = credentials::identify(door, route, http).await;
    if let Ok(Some(principal)) = &identified {
        door.active.note(principal);
        seen.principal = Some(principal.clone());
    }
    if let (Some(limits), Some(class)) = (&door.limits, route.class()) {
        let caller = match &identified {
            // Nobody can say who calls: the answer says so, and is charged to nobody.
            Err(problem) if problem.code().status() >= 500 => return Err(problem.clone()),
            other => other.as_ref().ok().and_then(Option::as_ref),
        };
        let (stands, admitted) = limits.check(class, caller, client.address).await;
        seen.standing = stands;
        admitted?;
    }
    let principal = identified?;
    if let Some(bouncer) = &route.bouncer {
        bouncer(&Knock { principal: principal.as_ref(), path_parameters: http.match_info() })?;
    }
    let body = read_body(route, http, payload, door.body_timeout).await?;
    let query = query::parse(route, http.query_string())?;
    let header = |name: &HeaderName| whole_header(http, name);
    let handler = route.handler.clone();
    let request = Request {
        route: route.clone(),
        principal,
        path: http.path().to_owned(),
        path_parameters: http
            .match_info()
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        query,
        body,
        idempotency_key: header(&IDEMPOTENCY_KEY),
        if_match: header(&IF_MATCH).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        id: id.to_owned(),
        wants_html: wants_html(http),
        client,
        cursor_key: door.cursor_key.clone(),
    };
    // A bad parameter comes before a bad body, which only the handler can see.
    if route.idempotent {
        request.is_dry_run()?;
    }
    if matches!(route.body, Body::None) && !takes_no_form(route.method) {
        request.form::<Nothing>().map(|_| ())?;
    }
    let service = tracing::debug_span!(target: "credit_trace", "service", operation = route.summary);
    handler(request).instrument(service).await
}

/// A header that stands several times is one list (RFC 9110 §5.3).
fn whole_header(request: &HttpRequest, name: &HeaderName) -> Option<Vec<u8>> {
    let mut values = request.headers().get_all(name);
    let mut whole = values.next()?.as_bytes().to_vec();
    for value in values {
        whole.extend_from_slice(b", ");
        whole.extend_from_slice(value.as_bytes());
    }
    Some(whole)
}

/// `415`, then `413`, then `408`, then `400 malformed_json`.
async fn read_body(
    route: &Route,
    request: &HttpRequest,
    payload: Payload,
    patience: Duration,
) -> Result<Value, Problem> {
    let (limit, may_be_empty) = match route.body {
        Body::None if takes_no_form(route.method) => {
            return discard_body(request, payload, patience).await.map(|()| Value::Null);
        }
        Body::None => (BODY_LIMIT, true),
        Body::Json { limit, .. } => (limit, false),
        Body::OptionalJson { limit, .. } => (limit, true),
    };
    let has_type = request.headers().contains_key(CONTENT_TYPE);
    let may_be_json = if has_type { is_json(request) } else { may_be_empty };
    if !may_be_json || is_packed(request) {
        return Err(Problem::new(Code::UnsupportedMediaType));
    }
    let collected = tokio::time::timeout(patience, collect(request, payload, limit)).await;
    let bytes = collected.unwrap_or_else(|_| Err(Problem::new(Code::RequestTimeout)))?;
    if bytes.is_empty() && may_be_empty {
        return Ok(Value::Object(Map::new()));
    }
    if !has_type {
        return Err(Problem::new(Code::UnsupportedMediaType));
    }
    json::parse_strict(&bytes).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        Problem::because(Code::MalformedJson, format!("The body is not JSON with each name once ({place})."))
    })
}

crate::form! {
    /// What a call says that has no form.
    struct Nothing {}
}

/// What reads and what deletes says everything in its path and query (RFC 9110 §9.3).
fn takes_no_form(method: Method) -> bool {
    matches!(method, Method::Get | Method::Delete)
}

/// A body that nobody asked for is let go by, unless it is too large.
async fn discard_body(request: &HttpRequest, payload: Payload, patience: Duration) -> Result<(), Problem> {
    let headers = request.headers();
    let may_have_one = headers.contains_key(CONTENT_LENGTH)
        || headers.contains_key(TRANSFER_ENCODING)
        || request.version() >= Version::HTTP_2;
    if !may_have_one {
        return Ok(());
    }
    let collected = tokio::time::timeout(patience, collect(request, payload, BODY_LIMIT)).await;
    collected.unwrap_or_else(|_| Err(Problem::new(Code::RequestTimeout))).map(|_| ())
}

/// Whether a call of this row only asks what would happen: its refusals say so too, wherever they come from.
fn is_dry(route: &Route, query: &str) -> bool {
    route.idempotent
        && form_urlencoded::parse(query.as_bytes()).any(|(name, value)| name == "dry_run" && value == "true")
}

/// Nothing here unpacks a body, so that nobody's small one becomes a large one.
fn is_packed(request: &HttpRequest) -> bool {
    let encoding = request.headers().get(CONTENT_ENCODING);
    encoding.is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

fn is_json(request: &HttpRequest) -> bool {
    let Some(value) = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let mut parts = value.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let utf8 = parts.all(|part| {
        let lower = part.to_ascii_lowercase();
        !lower.starts_with("charset=")
            || matches!(lower.trim_start_matches("charset=").trim_matches('"'), "utf-8" | "utf8")
    });
    utf8 && essence.eq_ignore_ascii_case("application/json")
}

async fn collect(request: &HttpRequest, mut payload: Payload, limit: usize) -> Result<Bytes, Problem> {
    let too_large =
        || Problem::because(Code::PayloadTooLarge, format!("A body here has at most {limit} bytes."));
    let announced =
        request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let broken = |_| Problem::because(Code::MalformedJson, "The body broke off.");
    let Some(first) = payload.next().await else { return Ok(Bytes::new()) };
    let first = first.map_err(broken)?;
    if first.len() > limit {
        return Err(too_large());
    }
    if announced == Some(first.len()) {
        return Ok(first);
    }
    let mut body = BytesMut::from(&first[..]);
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(broken)?;
        if body.len() + chunk.len() > limit {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// The caller's own request id if it is 1 to 128 of `[A-Za-z0-9._-]`, else a new one.
pub(super) fn request_id(door: &FrontDoor, request: &HttpRequest) -> String {
    own_request_id(&*door.ids, request)
}

/// The same, where there is no door yet.
pub(super) fn own_request_id(ids: &dyn IdSource, request: &HttpRequest) -> String {
    let own = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(|text| {
        (1..=128).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
    });
    own.map_or_else(|| format!("{:032x}", ids.mint()), str::to_owned)
}

/// Whether it is a browser that asks: HTML is named in `Accept`, and JSON is not.
fn wants_html(request: &HttpRequest) -> bool {
    let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accept.contains("text/html") && !accept.contains("json")
}
