use credit_tests::server::Server;
use credit_tests::story::{register, unique};
use serde_json::json;

use crate::collector::{Arrived, Collector};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

fn start(collector: &Collector) -> Server {
    Server::start(&[
        ("CREDIT_TELEMETRY__OTLP__ENDPOINT", collector.endpoint()),
        ("CREDIT_TELEMETRY__OTLP__HEADERS", "x-tenant=shop"),
        ("CREDIT_TELEMETRY__SERVICE_NAME", "credits"),
        ("CREDIT_LOG__LEVEL", "warn"),
    ])
    .expect("a server")
}

fn named<'a>(trace: &'a [Arrived], name: &str) -> &'a Arrived {
    trace.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no {name} in {trace:#?}"))
}

#[test]
fn a_call_is_followed_from_the_caller_to_the_disk() {
    let collector = Collector::start();
    let server = start(&collector);
    let owner = register(&server.app());
    let parent = format!("00-{TRACE}-{CALLER}-01");
    let body = json!({"type": "purchase", "wallet_id": owner.wallet, "amount": 5});
    let key = unique("traced-");
    let headers = [("idempotency-key", key.as_str()), ("traceparent", parent.as_str())];
    let answer =
        server.app().call("POST", "/v1/transactions", &headers, Some(&body)).expect("an answer").expect(201);

    let is_whole = |trace: &[Arrived]| {
        let has = |name: &str| trace.iter().any(|span| span.name == name);
        has("POST /v1/transactions") && has("ledger.append") && has("store")
    };
    let trace = collector.until(TRACE, is_whole);
    let request = named(&trace, "POST /v1/transactions");
    assert_eq!((request.parent_id.as_str(), request.service.as_str()), (CALLER, "credits"));
    let told = answer.header("traceparent").expect("the answer tells its span");
    assert_eq!(told, format!("00-{TRACE}-{}-01", request.span_id));
    let has = |name: &str, value: &str| request.attributes.iter().any(|(n, v)| n == name && v == value);
    assert!(has("http.route", "/v1/transactions") && has("http.request.method", "POST"), "{request:#?}");

    // Each within the one before.
    let service = named(&trace, "service");
    let submit = named(&trace, "ledger.submit");
    let append = named(&trace, "ledger.append");
    assert_eq!(service.parent_id, request.span_id);
    assert_eq!(submit.parent_id, service.span_id);
    assert_eq!(append.parent_id, submit.span_id);
    let stored = trace.iter().find(|span| span.parent_id == append.span_id).expect("the journal's");
    assert!(stored.attributes.contains(&("operation".to_owned(), "append".to_owned())), "{stored:#?}");
    assert!(collector.headers().iter().any(|header| header.eq_ignore_ascii_case("x-tenant: shop")));
}

#[test]
fn the_last_spans_are_sent_before_the_program_ends() {
    let collector = Collector::start();
    let mut server = start(&collector);
    let answer = server.nobody().get("/version");
    let told = answer.header("traceparent").expect("a trace of its own").to_owned();
    assert_eq!(server.terminate().expect("stopped"), Some(0));
    let id = told.split('-').nth(1).expect("an id");
    let trace = collector.trace(id);
    assert_eq!(named(&trace, "GET /version").parent_id, "", "it begins here");
}

#[test]
fn a_collector_that_is_away_is_in_nobodys_way() {
    let nowhere =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|taken| taken.local_addr()).expect("a port");
    let endpoint = format!("http://{nowhere}");
    let mut server =
        Server::start(&[("CREDIT_TELEMETRY__OTLP__ENDPOINT", endpoint.as_str())]).expect("a server");
    let owner = register(&server.app());
    credit_tests::story::purchase(&server.app(), &owner.wallet, 5);
    assert_eq!(server.terminate().expect("stopped"), Some(0));
}
