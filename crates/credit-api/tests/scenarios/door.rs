//! What the front door promises on every route.

use std::sync::Arc;

use actix_web::http::Method;
use credit_api::front_door::TrustedProxies;
use credit_api::testkit::{TestAnswer, TestAuthenticator, TestHouse};
use credit_core::{AppId, Role, Scope, UserId};
use serde_json::{Value, json};

use super::probe::Probe;

async fn house() -> TestHouse {
    house_behind(&[]).await
}

async fn house_behind(proxies: &[&str]) -> TestHouse {
    let tokens = Arc::new(TestAuthenticator::default());
    tokens.learn_user("admin", AppId::SYSTEM, UserId::from_u128(1), &[Role::Admin]);
    tokens.learn_user("user", AppId::SYSTEM, UserId::from_u128(2), &[]);
    let api_keys = Arc::new(TestAuthenticator::default());
    api_keys.learn_key("writer", AppId::SYSTEM, &[Scope::WalletsWrite]);
    api_keys.learn_key("reader", AppId::SYSTEM, &[Scope::WalletsRead]);
    let proxies = TrustedProxies::try_new(proxies.iter().copied()).expect("networks");
    let house = TestHouse::with(vec![Arc::new(Probe)]).tokens(tokens).api_keys(api_keys);
    house.trusted_proxies(proxies).open().await
}

fn problem(answer: &TestAnswer) -> (u16, String) {
    let body = answer.json();
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{body}");
    for member in ["type", "title", "status", "detail", "instance", "code", "request_id", "errors"] {
        assert!(!body[member].is_null(), "{member} is missing in {body}");
    }
    assert_eq!(body["type"], format!("/problems/{}", answer.code()));
    assert_eq!(body["status"], answer.status);
    assert_eq!(body["request_id"].as_str(), answer.header("x-request-id"));
    (answer.status, answer.code())
}

type Headers<'a> = &'a [(&'a str, &'a str)];

#[actix_web::test]
async fn checks_come_in_the_order_of_the_contract() {
    const WHO: (&str, &str) = ("x-api-key", "writer");
    const JSON: (&str, &str) = ("content-type", "application/json");
    let house = house().await;
    let large = format!("{{\"amount\":{}1", " ".repeat(300_000));
    let wrong = r#"{"amount":0,"extra":1}"#;
    let right = r#"{"amount":5}"#;
    let missing = "/v1/things/missing?bogus=1&dry_run=maybe";
    // Each case mends what the one before was refused for.
    let cases: [(&str, Headers, &str, u16, &str); 10] = [
        (missing, &[("content-type", "text/plain")], &large, 401, "unauthenticated"),
        (missing, &[("x-api-key", "reader"), ("content-type", "text/plain")], &large, 403, "forbidden"),
        (missing, &[WHO, ("content-type", "text/plain")], &large, 415, "unsupported_media_type"),
        (missing, &[WHO, JSON], &large, 413, "payload_too_large"),
        (missing, &[WHO, JSON], "{\"amount\":0", 400, "malformed_json"),
        (missing, &[WHO, JSON], wrong, 400, "unknown_parameter"),
        ("/v1/things/missing?dry_run=maybe", &[WHO, JSON], wrong, 400, "invalid_parameter"),
        ("/v1/things/missing", &[WHO, JSON], wrong, 422, "validation_failed"),
        ("/v1/things/missing", &[WHO, JSON], right, 400, "idempotency_key_required"),
        ("/v1/things/missing", &[WHO, JSON, ("idempotency-key", "k")], right, 404, "not_found"),
    ];
    for (path, headers, body, status, code) in cases {
        let answer = house.call_raw("POST", path, headers, body.to_owned()).await;
        assert_eq!(problem(&answer), (status, code.to_owned()));
    }
    let headers = &[WHO, JSON, ("idempotency-key", "k")];
    let answer = house.call_raw("POST", "/v1/things/a", headers, right).await;
    assert_eq!((answer.status, answer.json()["amount"].clone()), (201, json!(5)));
    let answer = house.call_raw("POST", "/v1/things/a?dry_run=true", &[WHO, JSON], right).await;
    assert_eq!((answer.status, answer.json()["dry_run"].clone()), (201, json!(true)));
}

#[actix_web::test]
async fn a_call_without_a_form_takes_nothing_or_an_object_of_nothing() {
    const WHO: (&str, &str) = ("x-api-key", "writer");
    const JSON: (&str, &str) = ("content-type", "application/json");
    let house = house().await;
    let large = " ".repeat(300_000);
    let cases: [(Headers, &str, u16, &str); 11] = [
        (&[WHO], "", 204, ""),
        (&[WHO, JSON], "", 204, ""),
        (&[WHO, JSON], "{}", 204, ""),
        (&[WHO, JSON], r#"{"deep":true}"#, 422, "validation_failed"),
        (&[WHO, JSON], "[]", 422, "validation_failed"),
        (&[WHO, JSON], "{", 400, "malformed_json"),
        (&[WHO, ("content-type", "text/plain")], "{}", 415, "unsupported_media_type"),
        (&[WHO], "{}", 415, "unsupported_media_type"),
        (&[WHO, JSON, ("content-encoding", "gzip")], "{}", 415, "unsupported_media_type"),
        (&[WHO, JSON, ("content-encoding", "identity")], "{}", 204, ""),
        (&[WHO, JSON], &large, 413, "payload_too_large"),
    ];
    for (headers, body, status, code) in cases {
        let answer = house.call_raw("POST", "/v1/things/a/tidy", headers, body.to_owned()).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{headers:?} {body:.20}");
    }
}

#[actix_web::test]
async fn what_reads_or_deletes_ignores_a_body_unless_it_is_too_large() {
    let house = house().await;
    let large = "x".repeat(300_000);
    for (method, path, status) in [("GET", "/v1/things/a", 200), ("DELETE", "/v1/relics/a", 204)] {
        for headers in [&[("x-api-key", "writer"), ("content-length", "8")][..], &[("x-api-key", "writer")]] {
            let ignored = house.call_raw(method, path, headers, "not json").await;
            assert_eq!(ignored.status, status, "{method}");
        }
        for (name, value) in [("content-length", "300000"), ("transfer-encoding", "chunked")] {
            let headers = [("x-api-key", "writer"), (name, value)];
            let refused = house.call_raw(method, path, &headers, large.clone()).await;
            assert_eq!(problem(&refused), (413, "payload_too_large".to_owned()), "{method} {name}");
        }
    }
}

#[actix_web::test]
async fn who_is_turned_away_is_so_before_the_form() {
    let house = house().await;
    let key = [("x-api-key", "writer"), ("content-type", "text/plain")];
    let refused = house.call_raw("PUT", "/v1/relics/a", &key, "{").await;
    assert_eq!(problem(&refused), (403, "forbidden".to_owned()));
    let admin = [("authorization", "Bearer admin"), ("content-type", "text/plain")];
    assert_eq!(house.call_raw("PUT", "/v1/relics/a", &admin, "{").await.status, 415);
    let sacred = house.call_raw("DELETE", "/v1/relics/sacred", &key, "x".repeat(300_000)).await;
    assert_eq!(problem(&sacred), (403, "forbidden".to_owned()));
    assert_eq!(house.call("DELETE", "/v1/relics/a", &key[..1], None).await.status, 204);
}

#[actix_web::test]
async fn every_refusal_of_a_dry_run_says_that_it_was_one() {
    let house = house().await;
    let key = [("x-api-key", "writer")];
    let cases = [
        ("missing", json!({ "amount": 5 }), 404),
        ("a", json!({ "amount": 0 }), 422),
        ("a", json!({ "amount": 5, "extra": 1 }), 422),
    ];
    for (id, body, status) in cases {
        let path = format!("/v1/things/{id}");
        let dry = house.call("POST", &format!("{path}?dry_run=true"), &key, Some(&body)).await;
        assert_eq!((dry.status, &dry.json()["dry_run"]), (status, &json!(true)), "{body}");
        let keyed = [key[0], ("idempotency-key", "k")];
        for path in [path.clone(), format!("{path}?dry_run=false")] {
            let real = house.call("POST", &path, &keyed, Some(&body)).await;
            assert_eq!((real.status, real.json().get("dry_run")), (status, None), "{body}");
        }
    }
}

#[actix_web::test]
async fn nobody_is_told_how_to_say_who_they_are() {
    let house = house().await;
    let cases: [(&str, &str); 6] = [
        ("authorization", "Bearer stale"),
        ("authorization", "Basic YTpi"),
        ("authorization", "Bearer"),
        ("authorization", ""),
        ("x-api-key", "unknown"),
        ("x-api-key", ""),
    ];
    for header in cases {
        let answer = house.call("POST", "/v1/things/a", &[header], None).await;
        assert_eq!(problem(&answer), (401, "unauthenticated".to_owned()), "{header:?}");
        assert!(answer.header("www-authenticate").is_some_and(|value| value.starts_with("Bearer")));
    }
}

#[actix_web::test]
async fn an_open_route_takes_a_stale_token_for_nobody_and_refuses_a_wrong_key() {
    let house = house().await;
    let caller = async |headers: Headers<'_>| {
        let answer = house.call("GET", "/v1/things/a", headers, None).await;
        (answer.status, answer.json()["caller"].clone())
    };
    assert_eq!(caller(&[]).await, (200, Value::Null));
    assert_eq!(caller(&[("authorization", "Bearer stale")]).await, (200, Value::Null));
    assert_eq!(caller(&[("x-api-key", "unknown")]).await.0, 401);
    let (status, who) = caller(&[("authorization", "bearer admin")]).await;
    assert_eq!((status, who.as_str().map(|who| who.starts_with("usr_"))), (200, Some(true)));
    let (status, who) = caller(&[("x-api-key", "reader")]).await;
    assert_eq!((status, who.as_str().map(|who| who.starts_with("key_"))), (200, Some(true)));
}

#[actix_web::test]
async fn bodies_are_json_with_each_name_once_and_every_fault_is_named() {
    let house = house().await;
    let post = async |kind: &str, body: &str| {
        let headers = [("x-api-key", "writer"), ("content-type", kind), ("idempotency-key", "k")];
        house.call_raw("POST", "/v1/things/a", &headers, body.to_owned()).await
    };
    for kind in ["application/json", "application/json; charset=utf-8", "Application/JSON;charset=\"UTF-8\""]
    {
        assert_eq!(post(kind, r#"{"amount":1}"#).await.status, 201, "{kind}");
    }
    let untyped = [("x-api-key", "writer")];
    for body in [String::new(), "{}".to_owned(), " ".repeat(300_000)] {
        assert_eq!(problem(&house.call_raw("POST", "/v1/things/a", &untyped, body).await).0, 415);
    }
    for kind in ["text/json", "application/jsonp", "application/json; charset=latin1", "", "application/xml"]
    {
        assert_eq!(problem(&post(kind, r#"{"amount":1}"#).await).0, 415, "{kind}");
    }
    let deep = "[".repeat(100_000);
    for body in [
        deep.as_str(),
        "",
        "{",
        "nope",
        r#"{"amount":1}{}"#,
        r#"{"amount":1,"amount":2}"#,
        "{\"amount\":NaN}",
    ] {
        let answer = post("application/json", body).await;
        assert_eq!(problem(&answer), (400, "malformed_json".to_owned()), "{body}");
    }
    for body in ["null", "[]", "1", "\"text\"", r#"{"amount":1.0}"#, r#"{"amount":1e2}"#, r#"{"amount":"1"}"#]
    {
        let answer = post("application/json", body).await;
        assert_eq!(problem(&answer), (422, "validation_failed".to_owned()), "{body}");
    }
    let answer = post("application/json", r#"{"amuont":1,"name":"too long"}"#).await;
    let errors: Vec<(Value, Value)> = answer.json()["errors"]
        .as_array()
        .expect("faults")
        .iter()
        .map(|fault| (fault["pointer"].clone(), fault["code"].clone()))
        .collect();
    let expected = [("/amuont", "unknown_field"), ("/amount", "required"), ("/name", "invalid_length")];
    assert_eq!(errors, expected.map(|(pointer, code)| (json!(pointer), json!(code))));
}

#[actix_web::test]
async fn a_body_is_counted_when_its_length_was_not_announced() {
    let house = house().await;
    let headers = [("x-api-key", "writer"), ("content-type", "application/json"), ("idempotency-key", "k")];
    let body = |spaces: usize| format!("{{\"amount\":{}1}}", " ".repeat(spaces));
    let limit = 256 * 1024;
    let fits = body(limit - body(0).len());
    assert_eq!(house.call_raw("POST", "/v1/things/a", &headers, fits.clone()).await.status, 201);
    let answer = house.call_raw("POST", "/v1/things/a", &headers, format!("{fits} ")).await;
    assert_eq!(problem(&answer), (413, "payload_too_large".to_owned()));
}

#[actix_web::test]
async fn parameters_are_known_and_stand_once() {
    let house = house().await;
    let cases = [
        ("/v1/things/a?x=1", "unknown_parameter"),
        ("/v1/things/a?limit=1", "unknown_parameter"),
        ("/v1/panic?=", "unknown_parameter"),
    ];
    for (path, code) in cases {
        let answer = house.call("GET", path, &[], None).await;
        assert_eq!(problem(&answer), (400, code.to_owned()), "{path}");
    }
    let headers = [("x-api-key", "writer")];
    let twice = "/v1/things/a?dry_run=true&dry_run=true";
    let answer = house.call("POST", twice, &headers, Some(&json!({ "amount": 1 }))).await;
    assert_eq!(problem(&answer), (400, "invalid_parameter".to_owned()));
}

#[actix_web::test]
async fn two_keys_are_no_key() {
    let house = house().await;
    let headers = [("x-api-key", "writer"), ("idempotency-key", "a"), ("idempotency-key", "b")];
    let answer = house.call("POST", "/v1/things/a", &headers, Some(&json!({ "amount": 1 }))).await;
    assert_eq!(problem(&answer), (400, "idempotency_key_invalid".to_owned()));
}

#[actix_web::test]
async fn every_answer_carries_a_request_id_and_a_good_one_of_the_callers_own_comes_back() {
    let house = house().await;
    let longest = "x".repeat(128);
    for own in ["a", "A-1_b.2", longest.as_str()] {
        for path in ["/v1/things/a", "/v1/panic", "/nowhere"] {
            let answer = house.call("GET", path, &[("x-request-id", own)], None).await;
            assert_eq!(answer.header("x-request-id"), Some(own), "{path}");
        }
    }
    let too_long = "x".repeat(129);
    for strange in ["", "a b", "a/b", "ü", too_long.as_str()] {
        let answer = house.call("GET", "/v1/things/a", &[("x-request-id", strange)], None).await;
        let id = answer.header("x-request-id").expect("an id");
        assert!(id != strange && id.len() == 32, "{id}");
    }
}

#[actix_web::test]
async fn what_is_not_there_is_a_problem_too() {
    let house = house().await;
    for path in ["/nowhere", "/v1/things", "/v1/things/", "/v1/things/a/", "//", "/v1/things/a/b", "/%ff"] {
        for method in ["GET", "POST", "DELETE", "OPTIONS"] {
            let answer = house.call(method, path, &[], None).await;
            assert_eq!(problem(&answer), (404, "not_found".to_owned()), "{method} {path}");
        }
    }
    for method in [Method::PUT, Method::DELETE, Method::OPTIONS, Method::TRACE] {
        let answer = house.call(method.as_str(), "/v1/things/a", &[], None).await;
        assert_eq!(problem(&answer), (405, "method_not_allowed".to_owned()), "{method}");
        assert_eq!(answer.header("allow"), Some("GET, HEAD, POST"));
    }
}

#[actix_web::test]
async fn head_answers_like_get() {
    let house = house().await;
    let answer = house.call("HEAD", "/v1/things/a", &[], None).await;
    assert_eq!((answer.status, answer.header("etag")), (200, Some("\"7\"")));
    assert_eq!(house.call("HEAD", "/nowhere", &[], None).await.status, 404);
}

#[actix_web::test]
async fn a_panic_is_a_problem_that_tells_nothing_and_the_house_goes_on() {
    let house = house().await;
    let answer = house.call("GET", "/v1/panic", &[], None).await;
    assert_eq!(problem(&answer), (500, "internal_error".to_owned()));
    assert!(!String::from_utf8_lossy(&answer.body).contains("secret"));
    assert_eq!(house.call("GET", "/v1/things/a", &[], None).await.status, 200);
}

#[actix_web::test]
async fn forwarded_addresses_count_only_as_far_as_known_proxies_wrote_them() {
    let client = async |proxies: &[&str], forwarded: &[&str]| {
        let headers: Vec<(&str, &str)> = forwarded.iter().map(|value| ("x-forwarded-for", *value)).collect();
        let house = house_behind(proxies).await;
        let answer = house.call("GET", "/v1/things/a", &headers, None).await;
        answer.json()["client"].as_str().expect("an address").to_owned()
    };
    // The test house is called from 127.0.0.1.
    assert_eq!(client(&[], &["9.9.9.9"]).await, "127.0.0.1");
    assert_eq!(client(&["127.0.0.0/8"], &[]).await, "127.0.0.1");
    assert_eq!(client(&["127.0.0.0/8"], &["9.9.9.9"]).await, "9.9.9.9");
    assert_eq!(client(&["127.0.0.0/8"], &["1.1.1.1, 9.9.9.9"]).await, "9.9.9.9", "the left part is hearsay");
    assert_eq!(client(&["127.0.0.0/8", "9.9.9.9"], &["1.1.1.1", "9.9.9.9"]).await, "1.1.1.1");
    assert_eq!(client(&["127.0.0.0/8"], &["1.1.1.1, unknown"]).await, "127.0.0.1");
}
