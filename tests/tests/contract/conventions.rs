//! "The promise on every answer", "Conventions" and "Callers" of the contract, on the real program.
#![expect(unused_must_use, reason = "an expected status is often all that a step has to show")]
#![expect(clippy::too_many_lines, reason = "a table of cases is read at one go")]

use credit_tests::client::{Answer, Client};
use credit_tests::contract::{ALL_SCOPES, all_pages, invalid, key_of, other_app, refused};
use credit_tests::story::{Owner, audit, purchase, register, transact, unique, wallet};
use serde_json::{Value, json};

const NOBODYS: &str = "0190a0a0a0a07000800000000000000f";
const JSON: (&str, &str) = ("content-type", "application/json");

fn spend(owner: &Owner, amount: i64) -> Value {
    json!({"type": "spend", "wallet_id": owner.wallet, "amount": amount})
}

/// Sends text as JSON under a key of its own.
#[track_caller]
fn post_text(client: &Client, path: &str, text: &str) -> Answer {
    let key = unique("text-");
    client.raw("POST", path, &[JSON, ("idempotency-key", &key)], text.as_bytes()).expect("an answer")
}

#[test]
fn bodies_are_json_of_the_known_form_and_nothing_else() {
    let server = crate::start(&[]).expect("a server");
    let app = server.app();
    let owner = register(&app);
    purchase(&app, &owner.wallet, 100);
    let wallet_id = &owner.wallet;
    let path = "/v1/transactions";

    for text in [
        "",
        "{",
        "amount=5",
        "{'type':'spend'}",
        "{\"type\":\"spend\"}{}",
        r#"{"type":"spend","type":"spend"}"#,
        &format!(r#"{{"type":"spend","wallet_id":"{wallet_id}","amount":1,"amount":1}}"#),
        &format!(r#"{{"type":"spend","wallet_id":"{wallet_id}","amount":1,"metadata":{{"a":"1","a":"2"}}}}"#),
        &format!(r#"{{"type":"spend","wallet_id":"{wallet_id}","amount":01}}"#),
        &format!(r#"{{"type":"spend","wallet_id":"{wallet_id}","amount":NaN}}"#),
    ] {
        refused(&post_text(&app, path, text), 400, "malformed_json");
    }
    for text in ["null", "[]", "5", "\"spend\"", "true", "{}"] {
        invalid(&post_text(&app, path, text));
    }
    for amount in [
        "1.0",
        "1.5",
        "1e2",
        "1E0",
        "\"5\"",
        "0",
        "-0",
        "-1",
        "9007199254740992",
        "1e300",
        "1e400",
        "null",
        "true",
        "[1]",
        "{}",
        "99999999999999999999999999",
    ] {
        let text = format!(r#"{{"type":"spend","wallet_id":"{wallet_id}","amount":{amount}}}"#);
        let answer = post_text(&app, path, &text);
        assert_eq!(invalid(&answer), ["/amount"], "{amount}");
        let text = format!(r#"{{"amount":{amount}}}"#);
        let answer = post_text(&app, &format!("/v1/wallets/{wallet_id}/holds"), &text);
        assert_eq!(invalid(&answer), ["/amount"], "{amount}");
    }
    let smuggled = json!({"type": "spend", "wallet_id": wallet_id, "amount": 0, "roles": ["admin"], "priority": 1,
        "reference": 5, "metadata": {"a": 1}, "at_most": "yes"});
    let pointers = invalid(&transact(&app, &smuggled));
    assert_eq!(pointers, ["/amount", "/at_most", "/metadata/a", "/priority", "/reference", "/roles"]);
    let long = "r".repeat(256);
    assert_eq!(
        invalid(&transact(
            &app,
            &json!({"type": "spend", "wallet_id": wallet_id, "amount": 1, "reference": long})
        )),
        ["/reference"]
    );
    assert_eq!(
        invalid(&transact(&app, &json!({"type": "gift", "wallet_id": wallet_id, "amount": 1}))),
        ["/type"]
    );
    for kind in ["refund", "capture", "expiry", "void"] {
        invalid(&transact(&app, &json!({"type": kind, "wallet_id": wallet_id, "amount": 1})));
    }

    let body = spend(&owner, 1).to_string();
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonx",
    ] {
        let headers = [("content-type", kind), ("idempotency-key", "k")];
        refused(
            &app.raw("POST", path, &headers, body.as_bytes()).expect("an answer"),
            415,
            "unsupported_media_type",
        );
    }
    refused(
        &app.raw("POST", path, &[("idempotency-key", "k")], body.as_bytes()).expect("an answer"),
        415,
        "unsupported_media_type",
    );
    let large = format!("{{\"pad\":\"{}\"}}", "x".repeat(256 * 1024));
    refused(&post_text(&app, path, &large), 413, "payload_too_large");
    let charset = [("content-type", "application/json; charset=utf-8"), ("idempotency-key", "charset")];
    app.raw("POST", path, &charset, body.as_bytes()).expect("an answer").expect(201);
    assert_eq!(wallet(&app, wallet_id)["balance"], 99);
    audit(&server.admin());
}

#[test]
fn parameters_are_known_and_valid() {
    let server = crate::start(&[]).expect("a server");
    let app = server.app();
    let owner = register(&app);
    let own = |path: &str| path.replace("{w}", &owner.wallet);

    for path in [
        "/v1/wallets",
        "/v1/wallets/{w}/entries",
        "/v1/wallets/{w}/grants",
        "/v1/holds",
        "/v1/transactions",
        "/v1/assets",
    ] {
        let path = own(path);
        for limit in ["0", "201", "-1", "1.5", "abc", "", "%2B5", "1e1", "99999999999999999999"] {
            refused(&app.get(&format!("{path}?limit={limit}")), 400, "invalid_parameter");
        }
        for limit in ["1", "200"] {
            app.get(&format!("{path}?limit={limit}")).expect(200);
        }
        for cursor in ["x", "", "!!!", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
            refused(&app.get(&format!("{path}?cursor={cursor}")), 400, "invalid_cursor");
        }
        let problem = refused(&app.get(&format!("{path}?limti=1&roles=admin")), 400, "unknown_parameter");
        assert_eq!(problem["errors"].as_array().map(Vec::len), Some(2), "{problem}");
        refused(&app.get(&format!("{path}?limit=1&limit=2")), 400, "invalid_parameter");
    }
    for path in [
        "/v1/wallets?status=open",
        "/v1/wallets/{w}/grants?state=gone",
        "/v1/holds?state=gone",
        "/v1/transactions?type=gift",
        "/v1/transactions?from=yesterday",
        "/v1/transactions?to=2026-13-01T00:00:00Z",
        "/v1/wallets/{w}/balance?at=now",
        "/v1/wallets/{w}/balance?at=2026-11-22",
    ] {
        refused(&app.get(&own(path)), 400, "invalid_parameter");
    }
    for path in
        ["/v1/wallets/{w}?x=1", "/v1/wallets/{w}/balance?on=1", "/v1/wallets/{w}/entries?state=active"]
    {
        refused(&app.get(&own(path)), 400, "unknown_parameter");
    }
    let path = own("/v1/wallets/{w}/holds");
    refused(&app.post(&format!("{path}?dry_run=perhaps"), &json!({"amount": 1})), 400, "invalid_parameter");
    refused(&app.post(&format!("{path}?dryrun=true"), &json!({"amount": 1})), 400, "unknown_parameter");
    refused(&app.post("/v1/transactions?limit=1", &json!({})), 400, "unknown_parameter");
}

#[test]
fn ids_that_are_malformed_unknown_or_not_ones_own_are_all_not_found() {
    let server = crate::start(&[]).expect("a server");
    let (app, admin) = (server.app(), server.admin());
    let (owner, neighbour) = (register(&app), register(&app));
    let stranger_app = other_app(&admin, &ALL_SCOPES);
    let stranger = register(&stranger_app);
    let bought = purchase(&app, &owner.wallet, 50);
    let transaction = bought["id"].as_str().expect("an id").to_owned();
    let hold = app
        .post_once(&format!("/v1/wallets/{}/holds", owner.wallet), "h", &json!({"amount": 5}))
        .expect(201)
        .text("id");
    let grant = app.get(&format!("/v1/wallets/{}/grants", owner.wallet)).json()["data"][0]["id"]
        .as_str()
        .expect("a lot")
        .to_owned();

    let none = format!("wal_{NOBODYS}");
    let upper = owner.wallet.to_uppercase();
    let dashed = "wal_0190a0a0-a0a0-7000-8000-00000000000f";
    for id in [
        none.as_str(),
        "wal_",
        "x",
        "wal_123",
        upper.as_str(),
        dashed,
        hold.as_str(),
        owner.user.as_str(),
        &owner.wallet[4..],
        "%20",
        "..%2F",
    ] {
        for rest in ["", "/balance", "/entries", "/grants"] {
            refused(&app.get(&format!("/v1/wallets/{id}{rest}")), 404, "not_found");
        }
        let path = format!("/v1/wallets/{id}/holds");
        refused(&app.post_once(&path, &unique("k"), &json!({"amount": 1})), 404, "not_found");
        for call in ["freeze", "unfreeze", "close"] {
            refused(&app.post(&format!("/v1/wallets/{id}/{call}"), &json!({})), 404, "not_found");
        }
        refused(
            &app.call("PATCH", &format!("/v1/wallets/{id}"), &[], Some(&json!({}))).expect("an answer"),
            404,
            "not_found",
        );
        for path in ["/v1/holds", "/v1/transactions"] {
            let page = app.get(&format!("{path}?wallet_id={id}")).expect(200).json();
            assert_eq!(
                (&page["data"], &page["has_more"], &page["next_cursor"]),
                (&json!([]), &json!(false), &Value::Null)
            );
        }
        assert_eq!(
            app.get(&format!("/v1/wallets?user_id={id}")).expect(200).json()["data"],
            if id == owner.user { json!([wallet(&app, &owner.wallet)]) } else { json!([]) }
        );
    }
    for id in [none.as_str(), "", "x", upper.as_str(), hold.as_str(), stranger.wallet.as_str()] {
        for body in [
            json!({"type": "purchase", "wallet_id": id, "amount": 1}),
            json!({"type": "grant", "wallet_id": id, "amount": 1}),
            json!({"type": "spend", "wallet_id": id, "amount": 1}),
            json!({"type": "transfer", "source_wallet_id": id, "destination_wallet_id": owner.wallet, "amount": 1}),
            json!({"type": "transfer", "source_wallet_id": owner.wallet, "destination_wallet_id": id, "amount": 1}),
        ] {
            refused(&transact(&app, &body), 404, "not_found");
        }
        refused(&app.post("/v1/wallets", &json!({"user_id": id})), 404, "not_found");
    }
    // The neighbour, and the other application, see nothing of it.
    for client in [&neighbour.client, &stranger.client, &stranger_app] {
        for path in [
            format!("/v1/wallets/{}", owner.wallet),
            format!("/v1/wallets/{}/balance", owner.wallet),
            format!("/v1/wallets/{}/entries", owner.wallet),
            format!("/v1/wallets/{}/grants", owner.wallet),
            format!("/v1/holds/{hold}"),
            format!("/v1/transactions/{transaction}"),
        ] {
            refused(&client.get(&path), 404, "not_found");
        }
        for (path, body) in [
            (format!("/v1/wallets/{}/holds", owner.wallet), json!({"amount": 1})),
            (format!("/v1/holds/{hold}/capture"), json!({})),
            (format!("/v1/holds/{hold}/release"), json!({})),
            (format!("/v1/holds/{hold}/extend"), json!({"expires_in": 60})),
            ("/v1/transactions".to_owned(), spend(&owner, 1)),
        ] {
            refused(&client.post_once(&path, &unique("k"), &body), 404, "not_found");
            refused(&client.post(&format!("{path}?dry_run=true"), &body), 404, "not_found");
        }
        for list in ["/v1/holds?wallet_id=", "/v1/transactions?wallet_id="] {
            assert_eq!(client.get(&format!("{list}{}", owner.wallet)).expect(200).json()["data"], json!([]));
        }
        for list in ["/v1/wallets?user_id=", "/v1/transactions?user_id="] {
            assert_eq!(client.get(&format!("{list}{}", owner.user)).expect(200).json()["data"], json!([]));
        }
    }
    for path in [format!("/v1/grants/{grant}/void"), format!("/v1/transactions/{transaction}/refund")] {
        refused(&stranger_app.post_once(&path, &unique("k"), &json!({})), 404, "not_found");
    }
    for path in [
        format!("/v1/grants/grt_{NOBODYS}/void"),
        "/v1/grants/x/void".into(),
        format!("/v1/transactions/txn_{NOBODYS}/refund"),
        format!("/v1/transactions/{hold}/refund"),
    ] {
        refused(&app.post_once(&path, &unique("k"), &json!({})), 404, "not_found");
    }
    for path in ["/v1/nothing", "/v1/wallets/", "/v1/transactions/x", "/v1/holds/x"] {
        refused(&app.get(path), 404, "not_found");
    }
    assert_eq!(wallet(&app, &owner.wallet)["version"], 3);
    audit(&admin);
}

#[test]
fn checks_come_in_the_order_of_the_contract() {
    let server = crate::start(&[]).expect("a server");
    let (app, admin) = (server.app(), server.admin());
    let owner = register(&app);
    purchase(&app, &owner.wallet, 10);
    let path = "/v1/transactions";
    let app_id = wallet(&app, &owner.wallet)["app_id"].as_str().expect("an app").to_owned();
    let reader = key_of(&admin, &app_id, &["transactions:read"]);
    let plain = ("content-type", "text/plain");
    let huge = "x".repeat(300 * 1024);

    // 401 before everything, with WWW-Authenticate.
    for client in [server.nobody(), server.nobody().with_key("ck_wrong"), server.nobody().with_token("abc")] {
        for (method, path) in [
            ("POST", path),
            ("GET", "/v1/wallets?limit=x"),
            ("GET", "/v1/wallets/x"),
            ("POST", "/v1/holds/x/capture"),
        ] {
            let answer = client
                .raw(method, path, &[plain], if method == "POST" { b"{" } else { b"" })
                .expect("an answer");
            refused(&answer, 401, "unauthenticated");
            assert!(answer.header("www-authenticate").is_some());
        }
    }
    // 403 before the form.
    refused(&reader.raw("POST", path, &[plain], huge.as_bytes()).expect("an answer"), 403, "forbidden");
    refused(&reader.post("/v1/wallets/x/holds?x=1", &json!({})), 403, "forbidden");
    refused(&reader.get("/v1/wallets?limit=x"), 403, "forbidden");
    refused(
        &owner.client.post_once(path, "k", &json!({"type": "purchase", "amount": "x"})),
        403,
        "forbidden",
    );
    refused(&app.post_once(path, "k", &json!({"type": "adjustment", "amount": "x"})), 403, "forbidden");
    // 415 before 413 before 400 before 422 before the key.
    refused(
        &app.raw("POST", path, &[plain], huge.as_bytes()).expect("an answer"),
        415,
        "unsupported_media_type",
    );
    refused(
        &app.raw("POST", &format!("{path}?x=1"), &[JSON], huge.as_bytes()).expect("an answer"),
        413,
        "payload_too_large",
    );
    refused(&app.raw("POST", path, &[JSON], b"{").expect("an answer"), 400, "malformed_json");
    refused(&app.post(&format!("{path}?x=1"), &json!({"type": "spend"})), 400, "unknown_parameter");
    assert_eq!(invalid(&app.post(path, &json!({"type": "spend"}))), ["/amount", "/wallet_id"]);
    // The key before 404.
    let unknown = json!({"type": "spend", "wallet_id": format!("wal_{NOBODYS}"), "amount": 1});
    refused(&app.post(path, &unknown), 400, "idempotency_key_required");
    refused(&app.post_once(path, "a b", &unknown), 400, "idempotency_key_invalid");
    for call in ["holds/x/capture", "holds/x/release", "grants/x/void", "transactions/x/refund"] {
        refused(&app.post(&format!("/v1/{call}"), &json!({})), 400, "idempotency_key_required");
        assert_eq!(invalid(&app.post(&format!("/v1/{call}"), &json!({"roles": []}))), ["/roles"]);
    }
    // 404 before the replay, the replay before 412, 412 before 409 before 402 before 422.
    let answer = app.post_once(path, "first", &spend(&owner, 1)).expect(201);
    refused(&app.post_once(path, "first", &unknown), 404, "not_found");
    let stale = [("idempotency-key", "first"), ("if-match", "\"1\"")];
    let again = app.call("POST", path, &stale, Some(&spend(&owner, 1))).expect("an answer").expect(201);
    assert_eq!(again.body, answer.body);
    refused(
        &app.call("POST", path, &stale, Some(&spend(&owner, 2))).expect("an answer"),
        422,
        "idempotency_key_reused",
    );
    app.post(&format!("/v1/wallets/{}/freeze", owner.wallet), &json!({})).expect(200);
    let poor = [("idempotency-key", "poor"), ("if-match", "\"1\"")];
    refused(
        &app.call("POST", path, &poor, Some(&spend(&owner, 100))).expect("an answer"),
        412,
        "version_mismatch",
    );
    refused(&app.post_once(path, "poor", &spend(&owner, 100)), 409, "wallet_frozen");
    app.post(&format!("/v1/wallets/{}/unfreeze", owner.wallet), &json!({})).expect(200);
    let to_self = json!({"type": "transfer", "source_wallet_id": owner.wallet, "destination_wallet_id": owner.wallet, "amount": 100});
    refused(&app.post_once(path, "self", &to_self), 402, "insufficient_funds");
    // A wrong method, an unknown path.
    for (method, path) in [
        ("DELETE", path),
        ("PUT", "/v1/wallets"),
        ("GET", "/v1/holds/x/capture"),
        ("DELETE", "/v1/wallets/x"),
    ] {
        let answer = app.raw(method, path, &[], b"").expect("an answer");
        refused(&answer, 405, "method_not_allowed");
        assert!(answer.header("allow").is_some_and(|allow| !allow.is_empty()));
    }
    audit(&admin);
}

#[test]
fn callers_move_what_their_role_or_scope_allows() {
    let server = crate::start(&[]).expect("a server");
    let (app, admin) = (server.app(), server.admin());
    let (owner, friend) = (register(&app), register(&app));
    purchase(&app, &owner.wallet, 1_000);
    let app_id = wallet(&app, &owner.wallet)["app_id"].as_str().expect("an app").to_owned();
    let support = register(&app);
    admin
        .call("PUT", &format!("/v1/users/{}/roles", support.user), &[], Some(&json!({"roles": ["support"]})))
        .expect("an answer")
        .expect(200);
    let scoped = |scope: &str| key_of(&admin, &app_id, &[scope]);
    let reads = [
        "wallets:read",
        "transactions:read",
        "users:read",
        "users:write",
        "webhooks:write",
        "wallets:write",
        "transactions:write",
    ]
    .map(|scope| (scope, scoped(scope)));
    let money = |kind: &str| json!({"type": kind, "wallet_id": owner.wallet, "amount": 1});
    let transfer = json!({"type": "transfer", "source_wallet_id": owner.wallet, "destination_wallet_id": friend.wallet, "amount": 1});
    let adjustment = json!({"type": "adjustment", "wallet_id": owner.wallet, "amount": 1, "direction": "credit", "reason": "r"});
    let status = |client: &Client, body: &Value| transact(client, body).status;

    for (scope, key) in &reads {
        let moves = if *scope == "transactions:write" { 201 } else { 403 };
        for body in [money("purchase"), money("grant"), money("spend"), transfer.clone()] {
            assert_eq!(status(key, &body), moves, "{scope} {body}");
        }
        assert_eq!(status(key, &adjustment), 403, "{scope}");
        let held = key
            .post_once(&format!("/v1/wallets/{}/holds", owner.wallet), &unique("k"), &json!({"amount": 1}))
            .status;
        assert_eq!(held, moves, "{scope}");
        let sees_wallets = if *scope == "wallets:read" { 200 } else { 403 };
        for path in ["", "/balance", "/entries", "/grants"] {
            assert_eq!(
                key.get(&format!("/v1/wallets/{}{path}", owner.wallet)).status,
                sees_wallets,
                "{scope} {path}"
            );
        }
        assert_eq!(key.get("/v1/wallets").status, sees_wallets, "{scope}");
        assert_eq!(
            key.get("/v1/transactions").status,
            if *scope == "transactions:read" { 200 } else { 403 },
            "{scope}"
        );
        let writes = if *scope == "wallets:write" { 200 } else { 403 };
        let patched = key
            .call("PATCH", &format!("/v1/wallets/{}", owner.wallet), &[], Some(&json!({"metadata": {}})))
            .expect("an answer");
        assert_eq!(patched.status, writes, "{scope}");
        for call in ["freeze", "unfreeze"] {
            assert_eq!(
                key.post(&format!("/v1/wallets/{}/{call}", owner.wallet), &json!({})).status,
                writes,
                "{scope}"
            );
        }
        assert_eq!(key.post("/v1/assets", &json!({"code": "GOLD", "scale": 0})).status, 403, "{scope}");
        key.get("/v1/assets").expect(200);
    }
    // Owners: spends, transfers, holds; nothing that makes credits.
    assert_eq!((status(&owner.client, &money("spend")), status(&owner.client, &transfer)), (201, 201));
    for body in [money("purchase"), money("grant"), adjustment.clone()] {
        assert_eq!((status(&owner.client, &body), status(&support.client, &body)), (403, 403));
    }
    let id =
        app.get(&format!("/v1/transactions?wallet_id={}&type=spend&limit=1", owner.wallet)).json()["data"][0]
            ["id"]
            .as_str()
            .expect("a spend")
            .to_owned();
    for (method, path, body) in [
        ("POST", format!("/v1/transactions/{id}/refund"), json!({})),
        ("POST", format!("/v1/wallets/{}/freeze", owner.wallet), json!({})),
        ("POST", format!("/v1/wallets/{}/close", owner.wallet), json!({})),
        ("PATCH", format!("/v1/wallets/{}", owner.wallet), json!({"overdraft_limit": 5})),
        ("POST", "/v1/wallets".to_owned(), json!({"user_id": owner.user})),
        ("POST", "/v1/assets".to_owned(), json!({"code": "GOLD", "scale": 0})),
    ] {
        let answer =
            owner.client.call(method, &path, &[("idempotency-key", "no")], Some(&body)).expect("an answer");
        refused(&answer, 403, "forbidden");
    }
    // Operators see all; support freezes, an admin also pays in; neither spends what is another's.
    for client in [&support.client, &admin] {
        for path in ["", "/balance", "/entries", "/grants"] {
            client.get(&format!("/v1/wallets/{}{path}", owner.wallet)).expect(200);
        }
        client.get(&format!("/v1/transactions/{id}")).expect(200);
        for call in ["freeze", "unfreeze"] {
            client.post(&format!("/v1/wallets/{}/{call}", owner.wallet), &json!({})).expect(200);
        }
        assert_eq!((status(client, &money("spend")), status(client, &transfer)), (403, 403));
    }
    assert_eq!(
        (status(&admin, &money("purchase")), status(&admin, &money("grant")), status(&admin, &adjustment)),
        (201, 201, 201)
    );
    // Of a transfer, who got it sees no more than that it came.
    let seen =
        friend.client.get("/v1/transactions?type=transfer&limit=1").expect(200).json()["data"][0].clone();
    assert_eq!(seen["destination_wallet_id"], friend.wallet.as_str());
    refused(&friend.client.get(&format!("/v1/transactions/{id}")), 404, "not_found");
    // Lists of a user are its own, whatever it asks for.
    assert_eq!(all_pages(&owner.client, "/v1/wallets", 1).len(), 1);
    for row in all_pages(&owner.client, "/v1/transactions", 3) {
        assert!(
            row["wallet_id"] == owner.wallet.as_str() || row["source_wallet_id"] == owner.wallet.as_str(),
            "{row}"
        );
    }
    audit(&admin);
}

#[test]
fn lists_page_newest_first_and_hold_still_while_rows_are_added() {
    let server = crate::start(&[]).expect("a server");
    let app = server.app();
    let owner = register(&app);
    purchase(&app, &owner.wallet, 100);
    for index in 1..=6 {
        let body = json!({"type": "grant", "wallet_id": owner.wallet, "amount": index, "reference": "bonus"});
        transact(&app, &body).expect(201);
        app.post_once(
            &format!("/v1/wallets/{}/holds", owner.wallet),
            &unique("h"),
            &json!({"amount": index}),
        )
        .expect(201);
    }
    let w = &owner.wallet;
    let ids = |rows: &[Value]| {
        rows.iter().map(|row| row["id"].as_str().expect("an id").to_owned()).collect::<Vec<_>>()
    };
    for path in [
        format!("/v1/wallets/{w}/entries"),
        format!("/v1/wallets/{w}/grants"),
        format!("/v1/wallets/{w}/grants?state=active"),
        format!("/v1/holds?wallet_id={w}&state=active"),
        format!("/v1/transactions?wallet_id={w}"),
        "/v1/transactions?reference=bonus".to_owned(),
        format!("/v1/transactions?user_id={}&type=grant", owner.user),
    ] {
        let whole = ids(&all_pages(&app, &path, 200));
        assert!(whole.len() >= 6, "{path}");
        assert_eq!(ids(&all_pages(&app, &path, 2)), whole, "{path}");
        assert_eq!(ids(&all_pages(&owner.client, &path, 3)), whole, "{path}");
        let times: Vec<String> = all_pages(&app, &path, 200)
            .iter()
            .map(|row| row["created_at"].as_str().unwrap_or_default().to_owned())
            .collect();
        assert!(times.is_sorted_by(|one, other| one >= other), "{path}: {times:?}");
        // A cursor is bound to its list, its filters and its reader; it goes with any limit.
        let join = if path.contains('?') { '&' } else { '?' };
        let first = app.get(&format!("{path}{join}limit=2")).json();
        let cursor = first["next_cursor"].as_str().expect("more").to_owned();
        let next = app.get(&format!("{path}{join}cursor={cursor}")).expect(200).json();
        let page = [&first, &next]
            .iter()
            .flat_map(|page| ids(page["data"].as_array().expect("data")))
            .collect::<Vec<_>>();
        assert_eq!(page, whole, "{path}");
        refused(&owner.client.get(&format!("{path}{join}cursor={cursor}")), 400, "invalid_cursor");
        refused(&app.get(&format!("/v1/wallets?cursor={cursor}")), 400, "invalid_cursor");
        refused(&app.get(&format!("{path}{join}cursor={cursor}A")), 400, "invalid_cursor");
        if path.contains("active") {
            let other = path.replace("active", "pending");
            refused(&app.get(&format!("{other}{join}cursor={cursor}")), 400, "invalid_cursor");
        }
        // New rows between two pages neither repeat nor hide older ones.
        transact(&app, &json!({"type": "grant", "wallet_id": w, "amount": 1, "reference": "bonus"}))
            .expect(201);
        app.post_once(&format!("/v1/wallets/{w}/holds"), &unique("h"), &json!({"amount": 1})).expect(201);
        let later = app.get(&format!("{path}{join}cursor={cursor}")).expect(200).json();
        assert_eq!(ids(later["data"].as_array().expect("data")), whole[2..], "{path}");
    }
    let fifty = app.get(&format!("/v1/wallets/{w}/entries")).json()["data"].as_array().expect("data").len();
    assert!(fifty <= 50);
    audit(&server.admin());
}

#[test]
fn every_answer_carries_its_request_id_and_problems_explain_themselves() {
    let server = crate::start(&[]).expect("a server");
    let app = server.app();
    for (own, kept) in [
        ("my-Id.7_x", true),
        (&*"x".repeat(128), true),
        (&*"x".repeat(129), false),
        ("a b", false),
        ("", false),
    ] {
        for path in ["/v1/wallets", "/v1/nothing", "/health/live"] {
            let answer = app.call("GET", path, &[("x-request-id", own)], None).expect("an answer");
            let id = answer.header("x-request-id").expect("an id");
            assert_eq!(id == own, kept, "{own} {id}");
            assert!(!id.is_empty());
        }
    }
    let problem = refused(&app.get("/v1/wallets/x"), 404, "not_found");
    assert_eq!(problem["instance"], "/v1/wallets/x");
    let kind = problem["type"].as_str().expect("a type");
    let explained = app.get(kind).expect(200);
    assert!(explained.body.contains("not_found"), "{}", explained.body);
    refused(&app.get("/problems/no_such_code"), 404, "not_found");
    assert_eq!(problem["errors"], json!([]));
}
