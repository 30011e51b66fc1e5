//! How answers leave: replies and problems with the headers that every answer carries.

use std::sync::Arc;
use std::time::Instant;

use actix_web::http::StatusCode;
use actix_web::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY,
    RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use credit_core::{Code, IdSource, Problem};
use serde_json::{Map, Value, json};

use super::access::Line;
use super::trace::Trace;
use super::{FrontDoor, pass};
use crate::metrics::{Meter, UNMATCHED, count_refusal};
use crate::reply::Reply;
use crate::route::Route;

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const POLICY: &str = "default-src 'none'; frame-ancestors 'none'";
const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// A reply on the wire.
pub(super) fn reply(reply: Reply, request_id: &str) -> HttpResponse {
    let mut response = start(reply.status, request_id);
    for (name, value) in reply.headers {
        response.insert_header((name, value));
    }
    if reply.status == 204 {
        return response.finish();
    }
    response.insert_header((CONTENT_TYPE, HeaderValue::from_static(reply.content_type)));
    response.body(reply.body)
}

/// A problem on the wire.
pub(super) fn problem(problem: &Problem, path: &str, request_id: &str) -> HttpResponse {
    let mut response = start(problem.code().status(), request_id);
    response.insert_header((CONTENT_TYPE, HeaderValue::from_static("application/problem+json")));
    if problem.code().status() == 401 {
        response.insert_header((
            WWW_AUTHENTICATE,
            HeaderValue::from_static("Bearer realm=\"credit\", ApiKey realm=\"credit\""),
        ));
    }
    if let Some(seconds) = problem.retry_after_seconds() {
        response.insert_header((RETRY_AFTER, seconds.to_string()));
    }
    // What is left of the body is not waited for.
    if problem.code() == Code::RequestTimeout {
        response.force_close();
    }
    if problem.first_request_id().is_some() {
        response.insert_header((IDEMPOTENT_REPLAYED, HeaderValue::from_static("true")));
    }
    response.json(body(problem, path, request_id))
}

fn start(status: u16, request_id: &str) -> HttpResponseBuilder {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    response.insert_header((REQUEST_ID, request_id));
    response.insert_header((CACHE_CONTROL, HeaderValue::from_static("no-store")));
    response.insert_header((X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")));
    response.insert_header((REFERRER_POLICY, HeaderValue::from_static("no-referrer")));
    // An answer is no page: it loads nothing and stands in no frame. The page at /docs has a policy of its own.
    response.insert_header((CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)));
    response.insert_header((X_FRAME_OPTIONS, HeaderValue::from_static("DENY")));
    response
}

/// `204` with the headers that every answer carries, for what is answered before any route.
pub fn empty_answer(ids: &dyn IdSource, request: &HttpRequest) -> HttpResponse {
    start(204, &pass::own_request_id(ids, request)).finish()
}

/// The body of a problem (RFC 9457). One that is replayed keeps the id of the request that it first answered.
pub fn body(problem: &Problem, path: &str, request_id: &str) -> Value {
    let code = problem.code();
    let mut members: Map<String, Value> = Map::new();
    members.insert("type".into(), format!("/problems/{code}").into());
    members.insert("title".into(), code.title().into());
    members.insert("status".into(), code.status().into());
    members.insert("detail".into(), problem.detail().into());
    members.insert("instance".into(), path.into());
    members.insert("code".into(), code.as_str().into());
    members.insert("request_id".into(), problem.first_request_id().unwrap_or(request_id).into());
    let faults: Vec<Value> = problem
        .faults()
        .iter()
        .map(|fault| json!({ "pointer": fault.pointer, "code": fault.code, "detail": fault.detail }))
        .collect();
    members.insert("errors".into(), faults.into());
    for (name, value) in problem.members() {
        members.insert(name.clone(), value.clone());
    }
    Value::Object(members)
}

/// `404 not_found` for a path that no route has.
pub async fn not_found(door: Arc<FrontDoor>, request: HttpRequest) -> HttpResponse {
    unmatched(&door, &request, &Problem::not_found())
}

/// Answers what no route answers. It counts, and has its line in the log, under one name for all of them.
fn unmatched(door: &FrontDoor, request: &HttpRequest, refusal: &Problem) -> HttpResponse {
    let began = Instant::now();
    let method = request.method().as_str();
    let meter = Meter::unmatched(method);
    let _active = meter.enter();
    let request_id = pass::request_id(door, request);
    let span = tracing::info_span!(
        "request",
        otel.kind = "server",
        otel.name = tracing::field::Empty,
        request_id = %request_id,
        trace_id = tracing::field::Empty,
        http.response.status_code = refusal.code().status(),
    );
    let trace = Trace::join(door, request, &span, meter.method(), UNMATCHED);
    let mut response = problem(refusal, request.path(), &request_id);
    trace.say(&mut response);
    count_refusal(refusal.code());
    let (status, elapsed) = (response.status().as_u16(), began.elapsed());
    meter.record(status, elapsed);
    // What is asked for may be anything, the method too: neither is told.
    let (trace_id, route) = (trace.id(), UNMATCHED);
    let method = meter.method();
    Line { request_id: &request_id, trace_id, principal: None, method, route, status, elapsed }.write();
    response
}

/// A problem for what fails before any route: a broken request head or body.
pub fn refuse_body(code: Code, path: &str, request_id: &str) -> HttpResponse {
    problem(&Problem::new(code), path, request_id)
}

pub(super) fn allow_header(routes: &[Arc<Route>]) -> String {
    let mut methods: Vec<&str> = routes.iter().map(|route| route.method.as_str()).collect();
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    methods.sort_unstable();
    methods.dedup();
    methods.join(", ")
}

/// `405 method_not_allowed` with what is allowed.
pub(super) fn method_not_allowed(door: &FrontDoor, allow: &str, request: &HttpRequest) -> HttpResponse {
    let mut response = unmatched(door, request, &Problem::new(Code::MethodNotAllowed));
    if let Ok(value) = HeaderValue::from_str(allow) {
        response.headers_mut().insert(ALLOW, value);
    }
    response
}
