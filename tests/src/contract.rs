//! What tests of the contract share: refusals in their full shape, callers with few rights, waiting for the clock.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::story::unique;

/// The largest amount and balance.
pub const MAX: i64 = 9_007_199_254_740_991;

/// The answer is this refusal, and a whole problem document. Answers its body.
///
/// # Panics
/// If it is not.
#[track_caller]
pub fn refused(answer: &Answer, status: u16, code: &str) -> Value {
    let body = answer.json();
    assert_eq!((answer.status, body["code"].as_str().unwrap_or_default()), (status, code), "{}", answer.body);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{}", answer.body);
    assert_eq!(body["status"], status, "{}", answer.body);
    for member in ["type", "title", "detail", "instance", "request_id"] {
        assert!(body[member].as_str().is_some_and(|text| !text.is_empty()), "{member}: {}", answer.body);
    }
    assert!(answer.header("x-request-id").is_some_and(|id| !id.is_empty()), "{}", answer.body);
    if answer.header("idempotent-replayed").is_none() {
        assert_eq!(body["request_id"].as_str(), answer.header("x-request-id"), "{}", answer.body);
    }
    body
}

/// The pointers of a validation refusal, sorted.
///
/// # Panics
/// If it is none.
#[track_caller]
pub fn invalid(answer: &Answer) -> Vec<String> {
    let body = refused(answer, 422, "validation_failed");
    let mut pointers: Vec<String> = body["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .map(|error| {
            assert!(error["code"].is_string() && error["detail"].is_string(), "{error}");
            error["pointer"].as_str().expect("a pointer").to_owned()
        })
        .collect();
    assert!(!pointers.is_empty(), "{body}");
    pointers.sort();
    pointers
}

/// Another application with a key of these scopes.
///
/// # Panics
/// If it cannot be made.
#[track_caller]
pub fn other_app(admin: &Client, scopes: &[&str]) -> Client {
    admin.with_key(&other_app_key(admin, scopes))
}

/// The key of another application, with these scopes.
///
/// # Panics
/// If it cannot be made.
#[track_caller]
pub fn other_app_key(admin: &Client, scopes: &[&str]) -> String {
    let app = admin.post("/v1/apps", &json!({"name": unique("app-")})).expect(201).text("id");
    issued_key(admin, &app, scopes)
}

/// A new key of an application.
///
/// # Panics
/// If it cannot be made.
#[track_caller]
pub fn key_of(admin: &Client, app: &str, scopes: &[&str]) -> Client {
    admin.with_key(&issued_key(admin, app, scopes))
}

#[track_caller]
fn issued_key(admin: &Client, app: &str, scopes: &[&str]) -> String {
    let body = json!({"app_id": app, "name": unique("key-"), "scopes": scopes});
    admin.post("/v1/api-keys", &body).expect(201).text("secret")
}

/// Every scope.
pub const ALL_SCOPES: [&str; 7] = [
    "users:read",
    "users:write",
    "wallets:read",
    "wallets:write",
    "transactions:read",
    "transactions:write",
    "webhooks:write",
];

/// The instant so many milliseconds from now, as text.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the server under test reads the system's clock, and so must its tests"
)]
pub fn from_now(milliseconds: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(now.as_millis()).unwrap_or_default();
    credit_core::Timestamp::from_millis(now + milliseconds).to_string()
}

/// Waits until `done`, at most so many seconds.
///
/// # Panics
/// If it does not come about.
#[track_caller]
pub fn wait_until(what: &str, seconds: u64, done: impl Fn() -> bool) {
    let limit = Instant::now() + Duration::from_secs(seconds);
    while !done() {
        assert!(Instant::now() < limit, "{what}: not after {seconds} s");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// All rows of a list, page by page, checking the shape of each page.
///
/// # Panics
/// If a page is not what the contract says.
#[track_caller]
pub fn all_pages(client: &Client, path: &str, limit: usize) -> Vec<Value> {
    let join = if path.contains('?') { '&' } else { '?' };
    let mut next = format!("{path}{join}limit={limit}");
    let mut rows = Vec::new();
    loop {
        let answer = client.get(&next).expect(200);
        let page = answer.json();
        let data = page["data"].as_array().expect("data").clone();
        assert!(data.len() <= limit);
        rows.extend(data);
        let cursor = page["next_cursor"].as_str();
        assert_eq!(page["has_more"].as_bool(), Some(cursor.is_some()), "{page}");
        assert_eq!(answer.header("link").is_some(), cursor.is_some(), "{page}");
        let Some(cursor) = cursor else { return rows };
        let link = answer.header("link").unwrap_or_default();
        assert!(link.ends_with("; rel=\"next\"") && link.contains(cursor), "{link}");
        link[1..link.find('>').expect("a link")].clone_into(&mut next);
    }
}
