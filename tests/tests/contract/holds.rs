//! Holds of the contract, on the real program.
#![expect(unused_must_use, reason = "an expected status is often all that a step has to show")]
#![expect(clippy::too_many_lines, reason = "a table of cases is read at one go")]

use std::time::Duration;

use credit_tests::client::{Answer, Client};
use credit_tests::contract::{all_pages, from_now, invalid, refused, wait_until};
use credit_tests::story::{Owner, audit, purchase, register, transact, unique, wallet};
use serde_json::{Value, json};

#[track_caller]
fn hold(client: &Client, owner: &Owner, body: &Value) -> Answer {
    client.post_once(&format!("/v1/wallets/{}/holds", owner.wallet), &unique("hold-"), body)
}

#[track_caller]
fn settle(client: &Client, hold: &str, how: &str, body: &Value) -> Answer {
    client.post_once(&format!("/v1/holds/{hold}/{how}"), &unique("settle-"), body)
}

/// `[balance, held, available]`.
fn figures(app: &Client, id: &str) -> [i64; 3] {
    let wallet = wallet(app, id);
    ["balance", "held", "available"].map(|name| wallet[name].as_i64().expect("a number"))
}

fn shown(client: &Client, id: &str) -> Value {
    client.get(&format!("/v1/holds/{id}")).expect(200).json()
}

#[test]
fn a_hold_reserves_and_is_captured_released_or_extended() {
    let server = crate::start(&[]).expect("a server");
    let app = server.app();
    let owner = register(&app);
    purchase(&app, &owner.wallet, 100);
    let lot = app.get(&format!("/v1/wallets/{}/grants", owner.wallet)).json()["data"][0]["id"].clone();

    for (body, at) in [
        (json!({}), vec!["/amount"]),
        (json!({"amount": 1, "expires_in": 0}), vec!["/expires_in"]),
        (json!({"amount": 1, "expires_in": 2_678_401}), vec!["/expires_in"]),
        (json!({"amount": 1, "expires_in": 1.5}), vec!["/expires_in"]),
        (json!({"amount": 1, "expires_in": "60"}), vec!["/expires_in"]),
        (
            json!({"amount": 1, "reference": "r".repeat(256), "metadata": {"k".repeat(65): ""}}),
            vec!["/metadata/kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk", "/reference"],
        ),
        (json!({"amount": 1, "at_most": true}), vec!["/at_most"]),
    ] {
        assert_eq!(invalid(&hold(&app, &owner, &body)), at);
    }
    let made = hold(
        &owner.client,
        &owner,
        &json!({"amount": 40, "expires_in": 2_678_400, "reference": "r".repeat(255), "metadata": {"a": "b"}}),
    )
    .expect(201);
    let body = made.json();
    let mut names: Vec<&String> = body.as_object().expect("a hold").keys().collect();
    names.sort();
    let mut promised = [
        "id",
        "app_id",
        "wallet_id",
        "amount",
        "captured",
        "remaining",
        "state",
        "expires_at",
        "reserved_from",
        "reference",
        "metadata",
        "created_by",
        "created_at",
        "wallet_version",
        "version",
    ];
    promised.sort_unstable();
    assert_eq!(names, promised);
    assert_eq!(
        (&body["amount"], &body["captured"], &body["remaining"], &body["state"]),
        (&json!(40), &json!(0), &json!(40), &json!("active"))
    );
    assert_eq!(body["reserved_from"], json!([{"grant_id": lot, "amount": 40}]));
    assert_eq!((&body["created_by"], &body["metadata"]), (&json!(owner.user), &json!({"a": "b"})));
    assert_eq!(body["wallet_version"], wallet(&app, &owner.wallet)["version"]);
    assert_eq!(figures(&app, &owner.wallet), [100, 40, 60]);
    let id = body["id"].as_str().expect("an id").to_owned();
    assert_eq!(shown(&owner.client, &id), body);
    let usual = hold(&app, &owner, &json!({"amount": 60})).expect(201).json();
    let ends = usual["expires_at"].as_str().expect("a time");
    assert!(
        ends > from_now(7 * 86_400_000 - 60_000).as_str() && ends <= from_now(7 * 86_400_000).as_str(),
        "{ends}"
    );
    let problem = refused(&hold(&app, &owner, &json!({"amount": 1})), 402, "insufficient_funds");
    assert_eq!(
        (&problem["required"], &problem["available"], &problem["held"], &problem["shortfall"]),
        (&json!(1), &json!(0), &json!(100), &json!(1))
    );

    // Captures in parts.
    for amount in [json!(0), json!(1.0), json!("1")] {
        assert_eq!(invalid(&settle(&app, &id, "capture", &json!({"amount": amount}))), ["/amount"]);
    }
    assert_eq!(
        invalid(&settle(&app, &id, "capture", &json!({"final": "no", "reference": "x"}))),
        ["/final", "/reference"]
    );
    refused(&settle(&app, &id, "capture", &json!({"amount": 41})), 422, "capture_exceeds_hold");
    let part = settle(&app, &id, "capture", &json!({"amount": 10, "final": false})).expect(201).json();
    assert_eq!(
        (&part["type"], &part["amount"], &part["hold_id"], &part["wallet_id"], &part["status"]),
        (&json!("capture"), &json!(10), &json!(id), &json!(owner.wallet), &json!("posted"))
    );
    assert_eq!(
        (part["taken_from"][0]["grant_id"].clone(), &part["taken_from"][0]["amount"]),
        (lot.clone(), &json!(10))
    );
    let now = shown(&app, &id);
    assert_eq!(
        (&now["state"], &now["captured"], &now["remaining"], &now["amount"]),
        (&json!("active"), &json!(10), &json!(30), &json!(40))
    );
    refused(
        &settle(&app, &id, "capture", &json!({"amount": 31, "final": false})),
        422,
        "capture_exceeds_hold",
    );
    let extended = settle(&owner.client, &id, "extend", &json!({"expires_in": 60})).expect(200);
    assert!(
        extended.text("expires_at") <= from_now(60_000) && extended.text("expires_at") > from_now(30_000)
    );
    assert_eq!(extended.header("etag"), Some(format!("\"{}\"", extended.number("version")).as_str()));
    for body in [json!({}), json!({"expires_in": 2_678_401}), json!({"expires_in": 0})] {
        assert_eq!(invalid(&settle(&app, &id, "extend", &body)), ["/expires_in"]);
    }
    settle(&app, &id, "capture", &json!({"amount": 30, "final": false})).expect(201);
    let now = shown(&app, &id);
    assert_eq!(
        (&now["state"], &now["captured"], &now["remaining"]),
        (&json!("captured"), &json!(40), &json!(0))
    );
    for (how, body) in [("capture", json!({})), ("release", json!({})), ("extend", json!({"expires_in": 60}))]
    {
        refused(&settle(&app, &id, how, &body), 409, "hold_not_active");
    }
    assert_eq!(figures(&app, &owner.wallet), [60, 60, 0]);
    // Final by default: the rest goes back.
    let other = usual["id"].as_str().expect("an id");
    let last = settle(&owner.client, other, "capture", &json!({"amount": 25})).expect(201).json();
    assert_eq!(last["refunded_amount"], 0);
    assert_eq!(figures(&app, &owner.wallet), [35, 0, 35]);
    let now = shown(&app, other);
    assert_eq!(
        (&now["state"], &now["captured"], &now["remaining"]),
        (&json!("captured"), &json!(25), &json!(0))
    );
    // Without amount: all of it. And a release.
    let whole = hold(&app, &owner, &json!({"amount": 5})).expect(201).text("id");
    assert_eq!(
        app.raw("POST", &format!("/v1/holds/{whole}/capture"), &[("idempotency-key", "bare")], b"")
            .expect("an answer")
            .expect(201)
            .number("amount"),
        5
    );
    let back = hold(&app, &owner, &json!({"amount": 30})).expect(201).text("id");
    let released = settle(&owner.client, &back, "release", &json!({})).expect(200).json();
    assert_eq!(
        (&released["state"], &released["remaining"], &released["captured"]),
        (&json!("released"), &json!(0), &json!(0))
    );
    assert_eq!(released["wallet_version"], wallet(&app, &owner.wallet)["version"]);
    assert_eq!(figures(&app, &owner.wallet), [30, 0, 30]);
    refused(&settle(&app, &back, "release", &json!({})), 409, "hold_not_active");
    for (state, count) in [("active", 0), ("captured", 3), ("released", 1), ("expired", 0)] {
        assert_eq!(all_pages(&owner.client, &format!("/v1/holds?state={state}"), 2).len(), count, "{state}");
    }
    // A capture is refunded like a spend.
    let refund = app
        .post_once(
            &format!("/v1/transactions/{}/refund", last["id"].as_str().expect("an id")),
            "back",
            &json!({}),
        )
        .expect(201)
        .json();
    assert_eq!(
        (&refund["type"], &refund["amount"], &refund["refund_of"]),
        (&json!("refund"), &json!(25), &last["id"])
    );
    assert_eq!(figures(&app, &owner.wallet), [55, 0, 55]);
    audit(&server.admin());
}

#[test]
fn a_hold_reserves_and_captures_in_draw_order_and_never_overdraws() {
    let server = crate::start(&[]).expect("a server");
    let app = server.app();
    let owner = register(&app);
    let w = owner.wallet.as_str();
    let give = |kind: &str, amount: i64, priority: i64| {
        let given =
            transact(&app, &json!({"type": kind, "wallet_id": w, "amount": amount, "priority": priority}))
                .expect(201)
                .json();
        let lots = all_pages(&app, &format!("/v1/wallets/{w}/grants"), 50);
        lots.iter().find(|lot| lot["transaction_id"] == given["id"]).expect("the lot")["id"].clone()
    };
    let (late, early, middle) = (give("purchase", 10, 90), give("grant", 10, 10), give("purchase", 10, 50));
    app.call("PATCH", &format!("/v1/wallets/{w}"), &[], Some(&json!({"overdraft_limit": 100})))
        .expect("an answer")
        .expect(200);
    let problem = refused(&hold(&app, &owner, &json!({"amount": 31})), 402, "insufficient_funds");
    assert_eq!(problem["shortfall"], 1);
    let made = hold(&app, &owner, &json!({"amount": 25})).expect(201).json();
    assert_eq!(
        made["reserved_from"],
        json!([{"grant_id": early, "amount": 10}, {"grant_id": middle, "amount": 10}, {"grant_id": late, "amount": 5}])
    );
    let id = made["id"].as_str().expect("an id");
    let taken = |answer: &Answer| {
        answer.json()["taken_from"]
            .as_array()
            .expect("lots")
            .iter()
            .map(|part| (part["grant_id"].clone(), part["amount"].as_i64()))
            .collect::<Vec<_>>()
    };
    let first = settle(&app, id, "capture", &json!({"amount": 12, "final": false})).expect(201);
    assert_eq!(taken(&first), [(early.clone(), Some(10)), (middle.clone(), Some(2))]);
    // A spend in between takes what is not held.
    let spent = transact(&app, &json!({"type": "spend", "wallet_id": w, "amount": 8})).expect(201);
    assert_eq!((taken(&spent), spent.number("overdrawn")), (vec![(late.clone(), Some(5))], 3));
    let second = settle(&app, id, "capture", &json!({"amount": 9})).expect(201);
    assert_eq!(taken(&second), [(middle, Some(8)), (late.clone(), Some(1))]);
    assert_eq!(second.number("overdrawn"), 0);
    let after = wallet(&app, w);
    assert_eq!(
        (&after["balance"], &after["overdrawn"], &after["held"], &after["available"]),
        (&json!(1), &json!(3), &json!(0), &json!(101))
    );
    audit(&server.admin());
}

#[test]
fn a_hold_ends_by_itself() {
    let server = crate::start(&[("CREDIT_LEDGER__SWEEP_INTERVAL", "1s")]).expect("a server");
    let app = server.app();
    let (owner, other) = (register(&app), register(&app));
    for owner in [&owner, &other] {
        purchase(&app, &owner.wallet, 50);
    }
    let ends = hold(&app, &owner, &json!({"amount": 20, "expires_in": 1})).expect(201).text("id");
    let kept = hold(&app, &owner, &json!({"amount": 5, "expires_in": 1})).expect(201).text("id");
    let frozen = hold(&app, &other, &json!({"amount": 5, "expires_in": 1})).expect(201).text("id");
    app.post(&format!("/v1/wallets/{}/freeze", other.wallet), &json!({})).expect(200);
    settle(&app, &kept, "extend", &json!({"expires_in": 600})).expect(200);
    std::thread::sleep(Duration::from_millis(1_020));
    let seen = shown(&owner.client, &ends);
    assert_eq!(
        (&seen["state"], &seen["remaining"], &seen["captured"]),
        (&json!("expired"), &json!(0), &json!(0))
    );
    assert_eq!(figures(&app, &owner.wallet), [50, 5, 45]);
    assert_eq!(figures(&app, &other.wallet), [50, 0, 50]);
    assert_eq!(shown(&app, &frozen)["state"], "expired");
    assert_eq!(shown(&app, &kept)["state"], "active");
    for (state, found) in [("active", vec![&kept]), ("expired", vec![&ends])] {
        let rows = all_pages(&app, &format!("/v1/holds?wallet_id={}&state={state}", owner.wallet), 9);
        assert_eq!(
            rows.iter().map(|row| row["id"].as_str().expect("an id")).collect::<Vec<_>>(),
            found,
            "{state}"
        );
    }
    for (how, body) in [("capture", json!({})), ("release", json!({})), ("extend", json!({"expires_in": 60}))]
    {
        refused(&settle(&app, &ends, how, &body), 409, "hold_not_active");
    }
    // The read that showed it as done and what is posted are the same state.
    let version = wallet(&app, &owner.wallet)["version"].clone();
    std::thread::sleep(Duration::from_millis(1_500));
    assert_eq!(wallet(&app, &owner.wallet)["version"], version);
    assert_eq!(shown(&app, &ends), seen);
    audit(&server.admin());
}

#[test]
fn what_is_released_goes_back_to_its_lot_and_its_expiry() {
    let server = crate::start(&[]).expect("a server");
    let app = server.app();
    let owner = register(&app);
    let w = owner.wallet.as_str();
    purchase(&app, w, 10);
    let ends = from_now(1_000);
    transact(&app, &json!({"type": "grant", "wallet_id": w, "amount": 30, "expires_at": ends})).expect(201);
    let (early, late, captured) = (
        hold(&app, &owner, &json!({"amount": 5})).expect(201).text("id"),
        hold(&app, &owner, &json!({"amount": 10})).expect(201).text("id"),
        hold(&app, &owner, &json!({"amount": 8})).expect(201).text("id"),
    );
    settle(&app, &early, "release", &json!({})).expect(200);
    assert_eq!(wallet(&app, w)["expiring"][0]["expires_at"], ends.as_str());
    std::thread::sleep(Duration::from_millis(1_020));
    // 30 - 10 - 8 are free and gone; what is held is honoured.
    assert_eq!(figures(&app, w), [28, 18, 10]);
    let lots = |state: &str| all_pages(&app, &format!("/v1/wallets/{w}/grants?state={state}"), 9);
    assert_eq!((lots("expired").len(), &lots("expired")[0]["held"]), (1, &json!(18)));
    let taken = settle(&app, &captured, "capture", &json!({})).expect(201).json();
    assert_eq!((&taken["amount"], &taken["taken_from"][0]["expires_at"]), (&json!(8), &json!(ends)));
    settle(&app, &late, "extend", &json!({"expires_in": 1})).expect(200);
    wait_until("the hold and with it the rest of the lot ends", 3, || figures(&app, w) == [10, 0, 10]);
    assert_eq!(shown(&app, &late)["state"], "expired");
    // A refund of the capture cannot go back to the lot: a successor lives 30 days.
    app.post_once(
        &format!("/v1/transactions/{}/refund", taken["id"].as_str().expect("an id")),
        "back",
        &json!({}),
    )
    .expect(201);
    let successor =
        lots("active").into_iter().find(|lot| lot["successor_of"].is_string()).expect("a successor");
    assert_eq!(
        (&successor["successor_of"], &successor["category"], &successor["remaining"]),
        (&taken["taken_from"][0]["grant_id"], &json!("promotional"), &json!(8))
    );
    assert_eq!(figures(&app, w), [18, 0, 18]);
    let expired = all_pages(&app, &format!("/v1/transactions?wallet_id={w}&type=expiry"), 9);
    assert_eq!(expired.iter().map(|row| row["amount"].as_i64().expect("an amount")).sum::<i64>(), 22);
    audit(&server.admin());
}

#[test]
fn operators_see_holds_and_lots_and_only_an_admin_voids() {
    let server = crate::start(&[]).expect("a server");
    let (app, admin) = (server.app(), server.admin());
    let (owner, support) = (register(&app), register(&app));
    let roles = json!({"roles": ["support"]});
    let path = format!("/v1/users/{}/roles", support.user);
    admin.call("PUT", &path, &[], Some(&roles)).expect("an answer").expect(200);
    purchase(&app, &owner.wallet, 50);
    let held = hold(&owner.client, &owner, &json!({"amount": 20})).expect(201).json();
    let (id, lot) =
        (held["id"].as_str().expect("an id"), held["reserved_from"][0]["grant_id"].as_str().expect("a lot"));
    for operator in [&support.client, &admin] {
        assert_eq!(shown(operator, id), held);
        assert_eq!(
            all_pages(operator, &format!("/v1/holds?wallet_id={}", owner.wallet), 9),
            std::slice::from_ref(&held)
        );
        refused(&hold(operator, &owner, &json!({"amount": 1})), 403, "forbidden");
        for (how, body) in
            [("capture", json!({})), ("release", json!({})), ("extend", json!({"expires_in": 60}))]
        {
            refused(&settle(operator, id, how, &body), 403, "forbidden");
        }
    }
    let void =
        |client: &Client| client.post_once(&format!("/v1/grants/{lot}/void"), &unique("void-"), &json!({}));
    refused(&void(&owner.client), 403, "forbidden");
    refused(&void(&support.client), 403, "forbidden");
    assert_eq!(void(&admin).expect(201).number("amount"), 30);
    assert_eq!(figures(&app, &owner.wallet), [20, 20, 0]);
    audit(&admin);
}
