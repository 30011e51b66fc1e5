//! `connection_api` of the contract, from outside: the house's own pages, applications, API keys and their scopes.
#![expect(unused_must_use, reason = "an expected status is often all that a step has to show")]

use std::time::Duration;

use credit_tests::client::{Answer, Client};
use credit_tests::contract::{ALL_SCOPES, all_pages, from_now, invalid, key_of, other_app, refused};
use credit_tests::server::binary;
use credit_tests::story::{register, unique};
use serde_json::{Value, json};

const MODULES: [&str; 4] = ["connection_api", "user_management", "wallet_module", "transactions_module"];

fn ask(client: &Client, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    client.call(method, path, headers, None).expect("an answer")
}

fn delete(client: &Client, path: &str) -> Answer {
    ask(client, "DELETE", path, &[])
}

#[test]
fn the_house_tells_what_it_is_and_how_it_is() {
    let server = crate::start(&[]).expect("a server");
    let (nobody, admin) = (server.nobody(), server.admin());
    for path in ["/", "/version"] {
        let about = nobody.get(path).expect(200).json();
        assert!(about["name"].is_string() && about["version"].is_string() && about["links"].is_object());
        for link in about["links"].as_object().expect("links").values() {
            nobody.get(link.as_str().expect("a path")).expect(200);
        }
    }
    nobody.get("/health/live").expect(200);
    nobody.get("/health/ready").expect(200);

    let shown = |client: &Client| client.get("/health").expect(200).json();
    for client in [&nobody, &nobody.with_key("ck_unknown"), &nobody.with_token("x"), &server.app()] {
        let health = shown(client);
        assert_eq!(health["status"], "healthy");
        assert!(health["dependencies"][0].get("latency_ms").is_none(), "{health}");
    }
    let health = shown(&admin);
    assert!(health["dependencies"][0]["latency_ms"].is_number(), "{health}");
    assert!(health["dependencies"][0].get("breaker").is_some(), "{health}");
    let names: Vec<&Value> =
        health["modules"].as_array().expect("modules").iter().map(|row| &row["name"]).collect();
    assert_eq!(names, MODULES);

    let modules = nobody.get("/modules/status").expect(200).json();
    for (index, (row, name)) in
        modules["modules"].as_array().expect("modules").iter().zip(MODULES).enumerate()
    {
        assert_eq!(
            (row["name"].as_str(), row["load_order"].as_u64()),
            (Some(name), u64::try_from(index + 1).ok())
        );
        assert!(row["state"].is_string() && row["dependencies"].is_array() && row["uptime_seconds"].is_u64());
        assert_eq!(nobody.get(&format!("/modules/{name}/health")).expect(200).json()["status"], "healthy");
    }
    refused(&nobody.get("/modules/cellar/health"), 404, "not_found");

    // Metrics have a port of their own, and nothing else is there.
    refused(&nobody.get("/metrics"), 404, "not_found");
    let scrape = Client::nobody(&server.metrics_base().expect("an address"));
    let metrics = scrape.get("/metrics").expect(200);
    assert!(metrics.header("content-type").is_some_and(|value| value.starts_with("text/plain")));
    assert!(metrics.body.contains("# TYPE "));
    refused(&scrape.get("/v1/users"), 404, "not_found");
}

#[test]
fn the_contract_is_published_and_every_code_in_it_explained() {
    let server = crate::start(&[]).expect("a server");
    let nobody = server.nobody();
    let published = nobody.get("/openapi.json").expect(200).json();
    for (path, methods) in published["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let takes_a_form = ["post", "put", "patch"].contains(&method.as_str());
            assert_eq!(takes_a_form, operation["requestBody"].is_object(), "{method} {path}");
        }
    }
    assert!(published["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
    let printed =
        std::process::Command::new(binary().expect("built")).arg("openapi").output().expect("output");
    assert_eq!(serde_json::from_slice::<Value>(&printed.stdout).expect("JSON"), published);

    let page = nobody.get("/docs").expect(200);
    assert!(!page.body.contains("http://") && !page.body.contains("https://") && !page.body.contains("\"//"));
    let mut loaded = 0;
    for part in page.body.split(['"']).filter(|text| text.starts_with("docs/") && !text.contains("favicon")) {
        nobody.get(&format!("/{part}")).expect(200);
        loaded += 1;
    }
    assert!(loaded > 0);

    let refusal = refused(&nobody.get("/v1/users"), 401, "unauthenticated");
    let explained = nobody.get(refusal["type"].as_str().expect("a path")).expect(200).json();
    assert_eq!((&explained["code"], &explained["status"]), (&json!("unauthenticated"), &json!(401)));
    for code in [
        "validation_failed",
        "malformed_json",
        "unknown_parameter",
        "invalid_parameter",
        "invalid_cursor",
        "forbidden",
        "not_found",
        "method_not_allowed",
        "payload_too_large",
        "unsupported_media_type",
        "rate_limited",
        "idempotency_key_required",
        "idempotency_key_invalid",
        "idempotency_key_reused",
        "idempotency_in_progress",
        "version_mismatch",
        "insufficient_funds",
        "username_taken",
        "email_taken",
        "invalid_credentials",
        "refresh_token_reused",
        "wallet_not_empty",
        "last_admin",
        "outcome_unknown",
        "balance_overflow",
    ] {
        assert_eq!(nobody.get(&format!("/problems/{code}")).expect(200).text("code"), code);
    }
    refused(&nobody.get("/problems/nonsense"), 404, "not_found");
}

#[test]
fn every_answer_has_a_request_id_and_every_refusal_is_a_problem() {
    let server = crate::start(&[]).expect("a server");
    let nobody = server.nobody();
    let long = "a".repeat(128);
    for own in ["a", "A.b_c-9", &long] {
        let answer = ask(&nobody, "GET", "/version", &[("x-request-id", own)]);
        assert_eq!(answer.header("x-request-id"), Some(own));
    }
    let longer = "a".repeat(129);
    for other in ["", "a b", "a/b", &longer] {
        let answer = ask(&nobody, "GET", "/nowhere", &[("x-request-id", other)]);
        assert_ne!(answer.header("x-request-id"), Some(other));
        refused(&answer, 404, "not_found");
    }
    for (method, path, status, code) in [
        ("GET", "/nowhere", 404, "not_found"),
        ("POST", "/v1/users/", 404, "not_found"),
        ("GET", "//v1/users", 404, "not_found"),
        ("GET", "/v1/auth/login", 405, "method_not_allowed"),
        ("DELETE", "/v1/users", 405, "method_not_allowed"),
        ("OPTIONS", "/v1/users", 405, "method_not_allowed"),
        ("GET", "/version?x=1", 400, "unknown_parameter"),
        ("GET", "/v1/wallets", 401, "unauthenticated"),
    ] {
        let answer = ask(&nobody, method, path, &[]);
        refused(&answer, status, code);
        assert_eq!(answer.header("allow").is_some(), status == 405, "{method} {path}");
    }
    let head = ask(&nobody, "HEAD", "/version", &[]).expect(200);
    assert!(head.body.is_empty() && head.header("x-request-id").is_some());
}

#[test]
fn applications_and_their_keys_belong_to_admins() {
    let server = crate::start(&[("CREDIT_AUTH__API_KEY_GRACE", "1s")]).expect("a server");
    let (nobody, admin) = (server.nobody(), server.admin());
    for path in ["/v1/apps", "/v1/api-keys", "/v1/ledger/trial-balance"] {
        refused(&nobody.get(path), 401, "unauthenticated");
        refused(&server.app().get(path), 403, "forbidden");
        refused(&register(&server.app()).client.get(path), 403, "forbidden");
        admin.get(path).expect(200);
    }
    let app = admin.post("/v1/apps", &json!({"name": "shop"})).expect(201).json();
    let mut members: Vec<&String> = app.as_object().expect("an app").keys().collect();
    members.sort();
    assert_eq!(members, ["created_at", "id", "name"]);
    assert_eq!(invalid(&admin.post("/v1/apps", &json!({"name": "", "x": 1}))), ["/name", "/x"]);

    let body = json!({"app_id": app["id"], "name": "till", "scopes": ["users:read"]});
    let made = admin.post("/v1/api-keys", &body).expect(201);
    let (id, secret) = (made.text("id"), made.text("secret"));
    assert!(secret.starts_with("ck_") && id.starts_with("key_"));
    let listed = all_pages(&admin, "/v1/api-keys", 1);
    assert!(
        listed.iter().any(|row| row["id"] == json!(id))
            && listed.iter().all(|row| row.get("secret").is_none())
    );
    let bad = json!({"app_id": app["id"], "name": "", "scopes": ["users:fly"], "expires_at": "soon", "x": 1});
    assert_eq!(invalid(&admin.post("/v1/api-keys", &bad)), ["/expires_at", "/name", "/scopes/0", "/x"]);
    for unknown in ["app_00000000000000000000000000000000", "nonsense"] {
        let body = json!({"app_id": unknown, "name": "till", "scopes": ["users:read"]});
        refused(&admin.post("/v1/api-keys", &body), 404, "not_found");
    }

    // Rotated: both for the grace, then the new one alone.
    let old = nobody.with_key(&secret);
    let rotated = ask(&admin, "POST", &format!("/v1/api-keys/{id}/rotate"), &[]).expect(200);
    let new = nobody.with_key(&rotated.text("secret"));
    for client in [&old, &new] {
        client.get("/v1/users").expect(200);
    }
    std::thread::sleep(Duration::from_millis(1200));
    refused(&old.get("/v1/users"), 401, "unauthenticated");
    new.get("/v1/users").expect(200);
    delete(&admin, &format!("/v1/api-keys/{id}")).expect(204);
    refused(&new.get("/v1/users"), 401, "unauthenticated");
    for (method, path) in
        [("DELETE", format!("/v1/api-keys/{id}")), ("POST", "/v1/api-keys/nonsense/rotate".to_owned())]
    {
        refused(&ask(&admin, method, &path, &[]), 404, "not_found");
    }

    let body =
        json!({"app_id": app["id"], "name": "brief", "scopes": ["users:read"], "expires_at": from_now(900)});
    let brief = nobody.with_key(&admin.post("/v1/api-keys", &body).expect(201).text("secret"));
    brief.get("/v1/users").expect(200);
    std::thread::sleep(Duration::from_millis(1_010));
    refused(&brief.get("/v1/users"), 401, "unauthenticated");
}

#[test]
fn a_key_does_what_its_scopes_say_for_its_own_application() {
    let server = crate::start(&[]).expect("a server");
    let admin = server.admin();
    let owner = register(&server.app());
    let (user, wallet) = (format!("/v1/users/{}", owner.user), format!("/v1/wallets/{}", owner.wallet));
    let app = admin.get(&user).expect(200).text("app_id");
    let calls: [(&[&str], &str, String); 14] = [
        (&["users:read"], "GET", "/v1/users".to_owned()),
        (&["users:read"], "GET", user.clone()),
        (&["users:write"], "POST", "/v1/users".to_owned()),
        (&["users:write"], "PATCH", user.clone()),
        (&["wallets:read"], "GET", "/v1/wallets".to_owned()),
        (&["wallets:read"], "GET", wallet.clone()),
        (&["wallets:read"], "GET", format!("{wallet}/balance")),
        (&["wallets:read"], "GET", format!("{wallet}/entries")),
        (&["wallets:read"], "GET", format!("{wallet}/grants")),
        (&["wallets:write"], "PATCH", wallet.clone()),
        (&["transactions:read"], "GET", "/v1/transactions".to_owned()),
        (&["transactions:write"], "POST", "/v1/transactions".to_owned()),
        (&["transactions:write"], "POST", format!("{wallet}/holds")),
        (&["wallets:write"], "POST", format!("{wallet}/freeze")),
    ];
    let wrong = json!({"no_such_field": 1});
    for scope in ALL_SCOPES {
        let key = key_of(&admin, &app, &[scope]);
        for (enough, method, path) in &calls {
            let body = (*method != "GET").then_some(&wrong);
            let answer =
                key.call(method, path, &[("idempotency-key", &unique("k"))], body).expect("an answer");
            let expected = match (enough.contains(&scope), body) {
                (false, _) => 403,
                (true, Some(_)) => 422,
                (true, None) => 200,
            };
            assert_eq!(answer.status, expected, "{scope} {method} {path}: {}", answer.body);
        }
        for (method, path) in [("POST", format!("{user}/suspend")), ("POST", "/v1/assets".to_owned())] {
            assert_eq!(ask(&key, method, &path, &[]).status, 403, "{scope} {path}");
        }
        key.get("/v1/assets").expect(200);
    }

    let foreign = other_app(&admin, &ALL_SCOPES);
    for (_, method, path) in calls.iter().filter(|(_, _, path)| path.contains('_')) {
        let body = match *method {
            "PATCH" if path.contains("users") => Some(json!({"profile": {}})),
            "PATCH" => Some(json!({"metadata": {}})),
            "POST" if path.ends_with("holds") => Some(json!({"amount": 1})),
            _ => None,
        };
        let key = unique("foreign-");
        let answer =
            foreign.call(method, path, &[("idempotency-key", &key)], body.as_ref()).expect("an answer");
        refused(&answer, 404, "not_found");
    }
    for list in ["/v1/users", "/v1/wallets", "/v1/transactions"] {
        assert!(all_pages(&foreign, list, 50).is_empty(), "{list}");
    }
}
