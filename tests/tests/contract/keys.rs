//! Idempotency keys, dry runs and `If-Match` of the contract, on the real program.
#![expect(unused_must_use, reason = "an expected status is often all that a step has to show")]

use std::time::Duration;

use credit_tests::client::{Answer, Client};
use credit_tests::contract::{ALL_SCOPES, MAX, from_now, invalid, key_of, other_app, refused};
use credit_tests::story::{Owner, audit, purchase, register, transact, unique, wallet};
use serde_json::{Value, json};

const PATH: &str = "/v1/transactions";

fn spend(owner: &Owner, amount: i64) -> Value {
    json!({"type": "spend", "wallet_id": owner.wallet, "amount": amount})
}

/// Posts under a key and `If-Match`.
#[track_caller]
fn guarded(client: &Client, path: &str, key: &str, tag: &str, body: &Value) -> Answer {
    client.call("POST", path, &[("idempotency-key", key), ("if-match", tag)], Some(body)).expect("an answer")
}

/// What is asked once and again, and what it answers.
struct Call {
    path: String,
    body: Value,
    status: u16,
    code: &'static str,
}

fn call(path: &str, body: Value, status: u16, code: &'static str) -> Call {
    Call { path: path.to_owned(), body, status, code }
}

/// One of each outcome that a key keeps.
fn outcomes(app: &Client, lot_lasts_millis: i64) -> Vec<Call> {
    let (owner, rich, frozen) = (register(app), register(app), register(app));
    let bought = purchase(app, &owner.wallet, 1_000);
    let bought = bought["id"].as_str().expect("an id");
    purchase(app, &rich.wallet, MAX);
    app.post(&format!("/v1/wallets/{}/freeze", frozen.wallet), &json!({})).expect(200);
    let holds = format!("/v1/wallets/{}/holds", owner.wallet);
    let hold =
        |amount: i64| app.post_once(&holds, &unique("h"), &json!({"amount": amount})).expect(201).text("id");
    let (captured, released, extended, settled) = (hold(10), hold(10), hold(10), hold(10));
    app.post_once(&format!("/v1/holds/{settled}/release"), &unique("k"), &json!({})).expect(200);
    let payment = unique("pay-");
    let paid = |amount: i64| json!({"type": "purchase", "wallet_id": owner.wallet, "amount": amount, "external_id": payment});
    transact(app, &paid(5)).expect(201);
    let given =
        transact(app, &json!({"type": "grant", "wallet_id": owner.wallet, "amount": 3, "priority": 100}))
            .expect(201)
            .json();
    let grant = given["credited_to"][0]["grant_id"].as_str().map_or_else(
        || {
            app.get(&format!("/v1/wallets/{}/grants?limit=1", owner.wallet)).json()["data"][0]["id"]
                .as_str()
                .expect("a lot")
                .to_owned()
        },
        str::to_owned,
    );
    let spent = transact(app, &spend(&owner, 20)).expect(201).text("id");
    let given_id = given["id"].as_str().expect("an id");
    vec![
        call(PATH, spend(&owner, 1), 201, ""),
        call(
            PATH,
            json!({"type": "purchase", "wallet_id": owner.wallet, "amount": 1, "metadata": {"z": "1", "a": "2"}}),
            201,
            "",
        ),
        call(
            PATH,
            json!({"type": "grant", "wallet_id": owner.wallet, "amount": 1, "expires_at": from_now(lot_lasts_millis)}),
            201,
            "",
        ),
        call(
            PATH,
            json!({"type": "transfer", "source_wallet_id": owner.wallet, "destination_wallet_id": register(app).wallet, "amount": 2}),
            201,
            "",
        ),
        call(PATH, paid(5), 200, ""),
        call(&holds, json!({"amount": 1, "expires_in": 60}), 201, ""),
        call(&format!("/v1/holds/{captured}/capture"), json!({"amount": 4}), 201, ""),
        call(&format!("/v1/holds/{released}/release"), json!({}), 200, ""),
        call(&format!("/v1/holds/{extended}/extend"), json!({"expires_in": 90}), 200, ""),
        call(&format!("/v1/grants/{grant}/void"), json!({}), 201, ""),
        call(&format!("/v1/transactions/{spent}/refund"), json!({"amount": 7, "reason": "r"}), 201, ""),
        call(PATH, spend(&owner, 1_000_000), 402, "insufficient_funds"),
        call(&holds, json!({"amount": 1_000_000}), 402, "insufficient_funds"),
        call(PATH, spend(&frozen, 1), 409, "wallet_frozen"),
        call(PATH, paid(6), 409, "external_id_reused"),
        call(&format!("/v1/holds/{settled}/capture"), json!({}), 409, "hold_not_active"),
        call(&format!("/v1/holds/{extended}/capture"), json!({"amount": 11}), 422, "capture_exceeds_hold"),
        call(PATH, json!({"type": "grant", "wallet_id": rich.wallet, "amount": 1}), 422, "balance_overflow"),
        call(
            PATH,
            json!({"type": "transfer", "source_wallet_id": owner.wallet, "destination_wallet_id": owner.wallet, "amount": 1}),
            422,
            "same_wallet",
        ),
        call(&format!("/v1/transactions/{given_id}/refund"), json!({}), 422, "not_refundable"),
        call(
            &format!("/v1/transactions/{spent}/refund"),
            json!({"amount": 21}),
            422,
            "refund_exceeds_original",
        ),
        call(
            &format!("/v1/transactions/{bought}/refund"),
            json!({"amount": 1_000}),
            422,
            "refund_exceeds_remaining",
        ),
    ]
}

#[test]
fn every_outcome_sticks_to_its_key_to_the_byte_and_over_a_kill() {
    let mut server = crate::start(&[]).expect("a server");
    let app = server.app();
    let calls = outcomes(&app, 3_000);
    let ask = |app: &Client, index: usize| {
        let call = &calls[index];
        app.post_once(&call.path, &format!("once-{index}"), &call.body)
    };
    let first: Vec<Answer> = (0..calls.len())
        .map(|index| {
            let answer = ask(&app, index);
            if calls[index].code.is_empty() {
                assert_eq!(answer.status, calls[index].status, "{}", answer.body);
            } else {
                refused(&answer, calls[index].status, calls[index].code);
            }
            assert_eq!(answer.header("idempotent-replayed"), None);
            answer
        })
        .collect();
    let again = |app: &Client| {
        for (index, first) in first.iter().enumerate() {
            let answer = ask(app, index);
            assert_eq!((answer.status, &answer.body), (first.status, &first.body), "{}", calls[index].body);
            assert_eq!(answer.header("idempotent-replayed"), Some("true"));
            assert_eq!(answer.header("content-type"), first.header("content-type"));
            assert_eq!(answer.header("etag"), first.header("etag"));
            assert_ne!(answer.header("x-request-id"), first.header("x-request-id"));
            let other = app.post_once("/v1/wallets/x/holds", &format!("once-{index}"), &json!({"amount": 5}));
            refused(&other, 404, "not_found");
        }
    };
    again(&app);
    let wallets = app.get("/v1/wallets").expect(200).body;
    std::thread::sleep(Duration::from_secs(3));
    again(&app); // also of the lot that has expired since
    audit(&server.admin());
    server.kill_and_restart().expect("a server");
    let app = server.app();
    again(&app);
    assert_ne!(wallets, "");
    audit(&server.admin());
}

#[test]
fn what_is_no_outcome_leaves_its_key_free() {
    let server = crate::start(&[]).expect("a server");
    let (app, admin) = (server.app(), server.admin());
    let owner = register(&app);
    purchase(&app, &owner.wallet, 100);
    let app_id = wallet(&app, &owner.wallet)["app_id"].as_str().expect("an app").to_owned();
    let reader = key_of(&admin, &app_id, &["wallets:read"]);
    let key = "free";
    let json_type = ("content-type", "application/json");
    let body = spend(&owner, 3);
    let with_key = ("idempotency-key", key);

    refused(&app.raw("POST", PATH, &[json_type, with_key], b"{").expect("an answer"), 400, "malformed_json");
    refused(&app.post_once(&format!("{PATH}?x=1"), key, &body), 400, "unknown_parameter");
    refused(&server.nobody().post_once(PATH, key, &body), 401, "unauthenticated");
    refused(&reader.post_once(PATH, key, &body), 403, "forbidden");
    let unknown = format!("wal_{}", &owner.user[4..]);
    refused(
        &app.post_once(PATH, key, &json!({"type": "spend", "wallet_id": unknown, "amount": 3})),
        404,
        "not_found",
    );
    refused(&guarded(&app, PATH, key, "\"99\"", &body), 412, "version_mismatch");
    let large = format!("{{\"p\":\"{}\"}}", "x".repeat(300_000));
    refused(
        &app.raw("POST", PATH, &[json_type, with_key], large.as_bytes()).expect("an answer"),
        413,
        "payload_too_large",
    );
    refused(&app.raw("POST", PATH, &[with_key], b"{}").expect("an answer"), 415, "unsupported_media_type");
    invalid(&app.post_once(PATH, key, &json!({"type": "spend", "wallet_id": owner.wallet, "amount": 0})));
    let past =
        json!({"type": "grant", "wallet_id": owner.wallet, "amount": 1, "expires_at": from_now(-1_000)});
    assert_eq!(invalid(&app.post_once(PATH, key, &past)), ["/expires_at"]);
    app.post_once(&format!("{PATH}?dry_run=true"), key, &body).expect(201);

    let done = app.post_once(PATH, key, &body).expect(201);
    assert_eq!(done.header("idempotent-replayed"), None);
    assert_eq!(wallet(&app, &owner.wallet)["balance"], 97);
    audit(&admin);
}

#[test]
fn a_key_belongs_to_its_application_and_caller_and_call() {
    let server = crate::start(&[]).expect("a server");
    let (app, admin) = (server.app(), server.admin());
    let (one, two) = (register(&app), register(&app));
    let stranger_app = other_app(&admin, &ALL_SCOPES);
    let stranger = register(&stranger_app);
    for (client, owner) in [(&app, &one), (&app, &two), (&stranger_app, &stranger)] {
        purchase(client, &owner.wallet, 100);
    }
    let app_id = wallet(&app, &one.wallet)["app_id"].as_str().expect("an app").to_owned();
    let second_key = key_of(&admin, &app_id, &["transactions:write"]);
    let key = "shared";

    // The application, two users, another application and an operator each have their own.
    let by_app = app.post_once(PATH, key, &spend(&one, 1)).expect(201);
    for (client, body) in [
        (&one.client, spend(&one, 1)),
        (&two.client, spend(&two, 1)),
        (&stranger_app, spend(&stranger, 1)),
        (&admin, json!({"type": "grant", "wallet_id": one.wallet, "amount": 5})),
    ] {
        let answer = client.post_once(PATH, key, &body).expect(201);
        assert_eq!(answer.header("idempotent-replayed"), None);
    }
    // An operator's key counts in the application of the wallet.
    let abroad = admin
        .post_once(PATH, key, &json!({"type": "grant", "wallet_id": stranger.wallet, "amount": 5}))
        .expect(201);
    assert_eq!(abroad.header("idempotent-replayed"), None);
    // The application's keys share theirs.
    let shared = second_key.post_once(PATH, key, &spend(&one, 1)).expect(201);
    assert_eq!(
        (shared.body.as_str(), shared.header("idempotent-replayed").is_some()),
        (by_app.body.as_str(), true)
    );
    // The meaning counts and not the bytes; anything else is another use.
    let headers = [("content-type", "application/json"), ("idempotency-key", key)];
    let spaced =
        format!("{{ \"amount\" : 1,\n \"wallet_id\": \"{}\", \"type\":\"\\u0073pend\" }}", one.wallet);
    let answer = app.raw("POST", PATH, &headers, spaced.as_bytes()).expect("an answer").expect(201);
    assert_eq!(answer.header("idempotent-replayed"), Some("true"));
    for body in [
        spend(&one, 2),
        spend(&two, 1),
        json!({"type": "spend", "wallet_id": one.wallet, "amount": 1, "reference": "r"}),
    ] {
        refused(&app.post_once(PATH, key, &body), 422, "idempotency_key_reused");
    }
    refused(
        &app.post_once(&format!("/v1/wallets/{}/holds", one.wallet), key, &json!({"amount": 1})),
        422,
        "idempotency_key_reused",
    );
    // Quoted and bare are one key; the edges of its form.
    let quoted = app.post_once(PATH, "\"shared\"", &spend(&one, 1)).expect(201);
    assert_eq!(quoted.header("idempotent-replayed"), Some("true"));
    for right in ["!", &"k".repeat(255), &format!("\"{}\"", "q".repeat(255)), "a,b;c=d", "~"] {
        app.post_once(PATH, right, &spend(&one, 1)).expect(201);
    }
    for wrong in
        ["a b", &"k".repeat(256), &format!("\"{}\"", "q".repeat(256)), "\"\"", "\"a b\"", "", "k\u{e9}"]
    {
        refused(&app.post_once(PATH, wrong, &spend(&one, 1)), 400, "idempotency_key_invalid");
    }
    refused(&app.post(PATH, &spend(&one, 1)), 400, "idempotency_key_required");
    assert_eq!(wallet(&app, &one.wallet)["balance"], 100 - 2 + 5 - 5);
    audit(&admin);
}

#[test]
fn a_dry_run_tells_what_would_be_and_leaves_no_trace() {
    let server = crate::start(&[]).expect("a server");
    let app = server.app();
    let calls = outcomes(&app, 600_000);
    let list = |path: &str| app.get(path).expect(200).json()["data"].clone();
    let before = [list("/v1/wallets"), list("/v1/transactions"), list("/v1/holds")];
    for (index, call) in calls.iter().enumerate() {
        for with_key in [false, true] {
            let path = format!("{}?dry_run=true", call.path);
            let answer = if with_key {
                app.post_once(&path, &format!("dry-{index}"), &call.body)
            } else {
                app.post(&path, &call.body)
            };
            assert_eq!(answer.status, call.status, "{}", answer.body);
            assert_eq!(answer.json()["dry_run"], true, "{}", answer.body);
            if !call.code.is_empty() {
                refused(&answer, call.status, call.code);
            }
            assert_eq!(answer.header("idempotent-replayed"), None);
        }
    }
    assert_eq!([list("/v1/wallets"), list("/v1/transactions"), list("/v1/holds")], before);
    for (index, call) in calls.iter().enumerate() {
        let path = format!("{}?dry_run=false", call.path);
        let dry = app.post(&format!("{}?dry_run=true", call.path), &call.body).json();
        let answer = app.post_once(&path, &format!("dry-{index}"), &call.body);
        assert_eq!(
            (answer.status, answer.header("idempotent-replayed")),
            (call.status, None),
            "{}",
            answer.body
        );
        let real = answer.json();
        assert!(real.get("dry_run").is_none(), "{real}");
        for member in [
            "amount",
            "type",
            "state",
            "wallet_version",
            "taken_from",
            "overdrawn",
            "code",
            "required",
            "available",
            "shortfall",
            "remaining",
            "captured",
            "version",
        ] {
            assert_eq!(dry.get(member), real.get(member), "{member} of {real}");
        }
        // Spent now: a dry run still tells, and a repetition without it replays.
        let dry = app.post_once(&format!("{}?dry_run=true", call.path), &format!("dry-{index}"), &call.body);
        assert_eq!(dry.header("idempotent-replayed"), None);
        let again = app.post_once(&call.path, &format!("dry-{index}"), &call.body);
        assert_eq!(
            (again.body.as_str(), again.header("idempotent-replayed").is_some()),
            (answer.body.as_str(), true)
        );
    }
    refused(&app.post("/v1/wallets?dry_run=true", &json!({})), 400, "unknown_parameter");
    audit(&server.admin());
}

#[test]
fn if_match_guards_the_debited_else_the_credited_wallet() {
    let server = crate::start(&[]).expect("a server");
    let (app, admin) = (server.app(), server.admin());
    let (owner, friend) = (register(&app), register(&app));
    purchase(&app, &owner.wallet, 500);
    purchase(&app, &friend.wallet, 5);
    purchase(&app, &friend.wallet, 5);
    let w = owner.wallet.as_str();
    let version = || wallet(&app, w)["version"].as_u64().expect("a version");
    let answered = app.get(&format!("/v1/wallets/{w}"));
    assert_eq!(answered.header("etag"), Some(format!("\"{}\"", version()).as_str()));

    let holds = format!("/v1/wallets/{w}/holds");
    let hold = || app.post_once(&holds, &unique("h"), &json!({"amount": 10})).expect(201).text("id");
    let (captured, released, extended) = (hold(), hold(), hold());
    let spent = transact(&app, &spend(&owner, 10)).expect(201).text("id");
    let given =
        transact(&app, &json!({"type": "grant", "wallet_id": w, "amount": 9, "priority": 100})).expect(201);
    let grant = app.get(&format!("/v1/wallets/{w}/grants?limit=1")).json()["data"][0]["id"]
        .as_str()
        .expect("a lot")
        .to_owned();
    assert_eq!(given.number("wallet_version"), wallet(&app, w)["version"].as_i64().expect("a version"));
    for (client, path, body) in [
        (&app, PATH.to_owned(), spend(&owner, 1)),
        (&app, PATH.into(), json!({"type": "purchase", "wallet_id": w, "amount": 1})),
        (&app, PATH.into(), json!({"type": "grant", "wallet_id": w, "amount": 1})),
        (
            &app,
            PATH.into(),
            json!({"type": "transfer", "source_wallet_id": w, "destination_wallet_id": friend.wallet, "amount": 1}),
        ),
        (
            &admin,
            PATH.into(),
            json!({"type": "adjustment", "direction": "debit", "wallet_id": w, "amount": 1, "reason": "r"}),
        ),
        (&app, holds.clone(), json!({"amount": 1})),
        (&app, format!("/v1/holds/{captured}/capture"), json!({"amount": 1, "final": false})),
        (&app, format!("/v1/holds/{extended}/extend"), json!({"expires_in": 99})),
        (&app, format!("/v1/holds/{released}/release"), json!({})),
        (&app, format!("/v1/transactions/{spent}/refund"), json!({"amount": 1})),
        (&app, format!("/v1/grants/{grant}/void"), json!({})),
    ] {
        let key = unique("guard-");
        let now = version();
        for stale in [
            format!("\"{}\"", now - 1),
            format!("\"{}\"", now + 1),
            "W/\"1\"".into(),
            "x".into(),
            "\"x\"".into(),
        ] {
            refused(&guarded(client, &path, &key, &stale, &body), 412, "version_mismatch");
            refused(
                &guarded(client, &format!("{path}?dry_run=true"), &key, &stale, &body),
                412,
                "version_mismatch",
            );
        }
        assert_eq!(version(), now);
        let tag = format!("\"{now}\"");
        let dry = guarded(client, &format!("{path}?dry_run=true"), &key, &tag, &body);
        let done = guarded(client, &path, &key, &tag, &body);
        assert!(matches!(done.status, 200 | 201), "{}", done.body);
        assert_eq!(dry.status, done.status);
        assert_eq!(version(), now + 1);
        assert_eq!(done.number("wallet_version"), i64::try_from(now + 1).expect("small"), "{}", done.body);
        // The replay comes before 412.
        assert_eq!(guarded(client, &path, &key, &tag, &body).body, done.body);
    }
    guarded(&app, PATH, "any", "*", &spend(&owner, 1)).expect(201);
    let several = format!("\"1\", \"{}\"", version());
    guarded(&app, PATH, "several", &several, &spend(&owner, 1)).expect(201);
    // PATCH too.
    let patch = |tag: &str| {
        app.call(
            "PATCH",
            &format!("/v1/wallets/{w}"),
            &[("if-match", tag)],
            Some(&json!({"metadata": {"a": "b"}})),
        )
        .expect("an answer")
    };
    refused(&patch("\"1\""), 412, "version_mismatch");
    let tag = format!("\"{}\"", version());
    let patched = patch(&tag).expect(200);
    assert_eq!(patched.header("etag"), Some(format!("\"{}\"", version()).as_str()));
    refused(&patch(&tag), 412, "version_mismatch");
    audit(&admin);
}
