//! `transactions_module` of the contract, on the real program.
#![expect(unused_must_use, reason = "an expected status is often all that a step has to show")]
#![expect(clippy::too_many_lines, reason = "a table of cases is read at one go")]

use credit_tests::client::{Answer, Client};
use credit_tests::contract::{ALL_SCOPES, MAX, all_pages, from_now, invalid, other_app, refused, wait_until};
use credit_tests::story::{Owner, audit, purchase, register, transact, unique, wallet};
use serde_json::{Value, json};

#[track_caller]
fn spend(client: &Client, id: &str, amount: i64) -> Answer {
    transact(client, &json!({"type": "spend", "wallet_id": id, "amount": amount}))
}

#[track_caller]
fn refund(client: &Client, transaction: &Value, body: &Value) -> Answer {
    let id = transaction["id"].as_str().expect("an id");
    client.post_once(&format!("/v1/transactions/{id}/refund"), &unique("refund-"), body)
}

/// Opens a lot; answers its id.
#[track_caller]
fn lot(client: &Client, id: &str, kind: &str, amount: i64, more: &Value) -> String {
    let mut body = json!({"type": kind, "wallet_id": id, "amount": amount});
    for (name, value) in more.as_object().expect("members") {
        body[name] = value.clone();
    }
    let made = transact(client, &body).expect(201).json();
    let lots = lots(client, id);
    lots.iter().find(|lot| lot["transaction_id"] == made["id"]).expect("the lot")["id"]
        .as_str()
        .expect("an id")
        .to_owned()
}

fn lots(client: &Client, id: &str) -> Vec<Value> {
    all_pages(client, &format!("/v1/wallets/{id}/grants"), 50)
}

/// `(lot, amount)` of `taken_from`.
fn taken(body: &Value) -> Vec<(String, i64)> {
    let parts = body["taken_from"].as_array().expect("lots");
    parts
        .iter()
        .map(|part| {
            (
                part["grant_id"].as_str().expect("an id").to_owned(),
                part["amount"].as_i64().expect("an amount"),
            )
        })
        .collect()
}

/// `[balance, overdrawn, available]`.
fn figures(app: &Client, id: &str) -> [i64; 3] {
    let wallet = wallet(app, id);
    ["balance", "overdrawn", "available"].map(|name| wallet[name].as_i64().expect("a number"))
}

fn limit(app: &Client, id: &str, limit: i64) -> Answer {
    app.call("PATCH", &format!("/v1/wallets/{id}"), &[], Some(&json!({"overdraft_limit": limit})))
        .expect("an answer")
}

#[test]
fn each_type_has_its_form_and_its_shape() {
    let server = crate::start(&[]).expect("a server");
    let (app, admin) = (server.app(), server.admin());
    let (owner, friend) = (register(&app), register(&app));
    let w = owner.wallet.as_str();
    let end = "9999-12-31T23:59:59Z";
    for (body, at) in [
        (json!({"type": "purchase"}), vec!["/amount", "/wallet_id"]),
        (
            json!({"type": "purchase", "wallet_id": w, "amount": 1, "effective_at": from_now(9_000)}),
            vec!["/effective_at"],
        ),
        (
            json!({"type": "purchase", "wallet_id": w, "amount": 1, "external_id": 5, "priority": 101}),
            vec!["/external_id", "/priority"],
        ),
        (
            json!({"type": "purchase", "wallet_id": w, "amount": 1, "expires_at": from_now(-1)}),
            vec!["/expires_at"],
        ),
        (json!({"type": "grant", "wallet_id": w, "amount": 1, "external_id": "x"}), vec!["/external_id"]),
        (
            json!({"type": "grant", "wallet_id": w, "amount": 1, "priority": -1, "expires_at": "tomorrow"}),
            vec!["/expires_at", "/priority"],
        ),
        (
            json!({"type": "grant", "wallet_id": w, "amount": 1, "priority": 1.0, "effective_at": 5}),
            vec!["/effective_at", "/priority"],
        ),
        (
            json!({"type": "grant", "wallet_id": w, "amount": 1, "effective_at": from_now(9_000), "expires_at": from_now(8_000)}),
            vec!["/expires_at"],
        ),
        (
            json!({"type": "spend", "wallet_id": w, "amount": 1, "expires_at": end, "category": "paid"}),
            vec!["/category", "/expires_at"],
        ),
        (
            json!({"type": "transfer", "wallet_id": w, "amount": 1}),
            vec!["/destination_wallet_id", "/source_wallet_id", "/wallet_id"],
        ),
    ] {
        assert_eq!(invalid(&transact(&app, &body)), at, "{body}");
    }
    for (body, at) in [
        (json!({"type": "adjustment", "wallet_id": w, "amount": 1}), vec!["/direction", "/reason"]),
        (
            json!({"type": "adjustment", "wallet_id": w, "amount": 1, "direction": "up", "reason": ""}),
            vec!["/direction", "/reason"],
        ),
    ] {
        assert_eq!(invalid(&transact(&admin, &body)), at, "{body}");
    }
    let note = json!({"reference": "r".repeat(255), "metadata": {"k": "v"}});
    let noted = |mut body: Value| {
        body["reference"] = note["reference"].clone();
        body["metadata"] = note["metadata"].clone();
        body
    };
    let bodies = [
        (
            &app,
            noted(
                json!({"type": "purchase", "wallet_id": w, "amount": 50, "external_id": "pay_1", "expires_at": end, "priority": 0}),
            ),
        ),
        (
            &app,
            noted(
                json!({"type": "grant", "wallet_id": w, "amount": 20, "effective_at": "2020-01-01T00:00:00Z", "expires_at": end, "priority": 100}),
            ),
        ),
        (&owner.client, noted(json!({"type": "spend", "wallet_id": w, "amount": 5, "at_most": false}))),
        (
            &owner.client,
            noted(
                json!({"type": "transfer", "source_wallet_id": w, "destination_wallet_id": friend.wallet, "amount": 5}),
            ),
        ),
        (
            &admin,
            noted(
                json!({"type": "adjustment", "wallet_id": w, "direction": "credit", "amount": 5, "reason": "put right"}),
            ),
        ),
        (
            &admin,
            noted(
                json!({"type": "adjustment", "wallet_id": w, "direction": "debit", "amount": 4, "reason": "put right"}),
            ),
        ),
    ];
    for (client, body) in &bodies {
        let made = transact(client, body).expect(201).json();
        for member in [
            "id",
            "app_id",
            "type",
            "status",
            "amount",
            "asset",
            "wallet_version",
            "refunded_amount",
            "refund_of",
            "hold_id",
            "external_id",
            "reference",
            "metadata",
            "reason",
            "taken_from",
            "overdrawn",
            "created_by",
            "created_at",
            "entries",
        ] {
            assert!(made.get(member).is_some(), "{member}: {made}");
        }
        for member in [
            "type",
            "amount",
            "reference",
            "metadata",
            "wallet_id",
            "source_wallet_id",
            "destination_wallet_id",
        ] {
            assert_eq!(made.get(member), body.get(member), "{member}: {made}");
        }
        assert_eq!(
            (&made["status"], &made["asset"], &made["external_id"], &made["reason"]),
            (&json!("posted"), &json!("CREDIT"), &body["external_id"], &body["reason"])
        );
        assert_eq!(made["wallet_version"], wallet(&app, w)["version"]);
        let entries = made["entries"].as_array().expect("entries");
        let sum: i64 = entries
            .iter()
            .map(|entry| {
                assert!(
                    entry["id"].as_str().is_some_and(|id| id.starts_with("ent_"))
                        && entry.get("sequence").is_some()
                        && entry.get("balance_after").is_some()
                );
                let amount = entry["amount"].as_i64().expect("an amount");
                if entry["direction"] == "credit" { amount } else { -amount }
            })
            .sum();
        assert_eq!((entries.len(), sum), (2, 0));
        let id = made["id"].as_str().expect("an id");
        assert_eq!(client.get(&format!("/v1/transactions/{id}")).expect(200).json(), made);
    }
    let opened = lots(&app, w).into_iter().find(|lot| lot["priority"] == 100).expect("the lot");
    assert_eq!(
        (&opened["expires_at"], &opened["effective_at"]),
        (&json!("9999-12-31T23:59:59.000Z"), &json!("2020-01-01T00:00:00.000Z"))
    );
    for (filter, found) in [
        (format!("wallet_id={w}"), 6),
        (format!("user_id={}", owner.user), 6),
        (format!("user_id={}&wallet_id={}", owner.user, friend.wallet), 0),
        (format!("wallet_id={w}&type=adjustment"), 2),
        (format!("wallet_id={}&type=transfer", friend.wallet), 1),
        (format!("reference={}", "r".repeat(255)), 6),
        ("reference=nothing".to_owned(), 0),
        (format!("from={}", from_now(60_000)), 0),
        (format!("wallet_id={w}&from={}&to={}", from_now(-60_000), from_now(60_000)), 6),
        (format!("to={}", from_now(-60_000)), 0),
    ] {
        for client in [&app, &admin] {
            assert_eq!(all_pages(client, &format!("/v1/transactions?{filter}"), 4).len(), found, "{filter}");
        }
    }
    // At the instant itself: `from` counts it in, `to` does not.
    let newest = app.get(&format!("/v1/transactions?wallet_id={w}&limit=1")).json()["data"][0].clone();
    let at = newest["created_at"].as_str().expect("a time");
    let has = |filter: String| all_pages(&app, &filter, 50).iter().any(|row| row["id"] == newest["id"]);
    assert!(
        has(format!("/v1/transactions?wallet_id={w}&from={at}"))
            && !has(format!("/v1/transactions?wallet_id={w}&to={at}"))
    );
    audit(&admin);
}

#[test]
fn debits_draw_in_the_promised_order() {
    let server = crate::start(&[]).expect("a server");
    let app = server.app();
    let owner = register(&app);
    let w = owner.wallet.as_str();
    let (soon, late) = (from_now(3_600_000), from_now(7_200_000));
    // From last to first, so that the order of making alone would be wrong.
    let mut expected = vec![
        lot(&app, w, "grant", 1, &json!({"priority": 90, "expires_at": soon})),
        lot(&app, w, "purchase", 1, &json!({})),
        lot(&app, w, "grant", 1, &json!({"effective_at": "2022-01-01T00:00:00Z"})),
        lot(&app, w, "grant", 1, &json!({"effective_at": "2021-01-01T00:00:00Z"})),
        lot(&app, w, "purchase", 1, &json!({"expires_at": late})),
        lot(&app, w, "grant", 1, &json!({"expires_at": late})),
        lot(&app, w, "purchase", 1, &json!({"expires_at": soon})),
        lot(&app, w, "purchase", 1, &json!({"priority": 10})),
        lot(
            &app,
            w,
            "grant",
            1,
            &json!({"priority": 10, "expires_at": late, "effective_at": "2021-01-01T00:00:00Z"}),
        ),
        lot(&app, w, "purchase", 1, &json!({"priority": 0})),
    ];
    expected.reverse();
    // Same in everything: the oldest first.
    let twin = lot(&app, w, "purchase", 1, &json!({"priority": 0}));
    expected.insert(1, twin);
    lot(&app, w, "grant", 5, &json!({"priority": 0, "effective_at": from_now(600_000)}));
    let dry = app
        .post("/v1/transactions?dry_run=true", &json!({"type": "spend", "wallet_id": w, "amount": 11}))
        .expect(201)
        .json();
    let order: Vec<String> = taken(&dry).into_iter().map(|(lot, _)| lot).collect();
    assert_eq!(order, expected);
    refused(&spend(&app, w, 12), 402, "insufficient_funds");
    for (index, amount) in [(0, 1), (1, 2), (3, 3), (6, 5)] {
        let spent = spend(&owner.client, w, amount).expect(201).json();
        let order: Vec<String> = taken(&spent).into_iter().map(|(lot, _)| lot).collect();
        assert_eq!(order, expected[index..][..order.len()]);
    }
    audit(&server.admin());
}

#[test]
fn only_spends_overdraw_and_credits_repay_first() {
    let server = crate::start(&[]).expect("a server");
    let (app, admin) = (server.app(), server.admin());
    let (owner, friend) = (register(&app), register(&app));
    let w = owner.wallet.as_str();
    purchase(&app, w, 10);
    limit(&app, w, 20).expect(200);
    assert_eq!(figures(&app, w), [10, 0, 30]);
    let transfer = |amount: i64| {
        transact(
            &app,
            &json!({"type": "transfer", "source_wallet_id": w, "destination_wallet_id": friend.wallet, "amount": amount}),
        )
    };
    let adjust = |direction: &str, amount: i64| {
        transact(
            &admin,
            &json!({"type": "adjustment", "wallet_id": w, "direction": direction, "amount": amount, "reason": "r"}),
        )
    };
    for answer in [
        transfer(11),
        adjust("debit", 11),
        app.post_once(&format!("/v1/wallets/{w}/holds"), &unique("h"), &json!({"amount": 11})),
        spend(&app, w, 31),
    ] {
        let problem = refused(&answer, 402, "insufficient_funds");
        assert_eq!(problem["shortfall"], 1, "{problem}");
    }
    let most = |amount: i64| {
        transact(&app, &json!({"type": "spend", "wallet_id": w, "amount": amount, "at_most": true}))
    };
    assert_eq!(most(4).expect(201).number("amount"), 4);
    let rest = most(100).expect(201).json();
    assert_eq!((&rest["amount"], &rest["overdrawn"]), (&json!(6), &json!(0)));
    refused(&most(1), 402, "insufficient_funds");
    let spent = spend(&app, w, 15).expect(201).json();
    assert_eq!(
        (&spent["amount"], &spent["overdrawn"], &spent["taken_from"]),
        (&json!(15), &json!(15), &json!([]))
    );
    assert_eq!(figures(&app, w), [-15, 15, 5]);
    refused(&limit(&app, w, 14), 409, "overdraft_in_use");
    limit(&app, w, 15).expect(200);
    refused(&spend(&app, w, 1), 402, "insufficient_funds");
    limit(&app, w, 20).expect(200);
    // What is not effective yet does not repay.
    let pending = lot(&app, w, "grant", 7, &json!({"effective_at": from_now(1_000)}));
    assert_eq!(figures(&app, w), [-8, 15, 5]);
    // What is effective does.
    let paid = lot(&app, w, "purchase", 9, &json!({}));
    assert_eq!(figures(&app, w), [1, 6, 14]);
    let shown = lots(&app, w).into_iter().find(|lot| lot["id"] == paid.as_str()).expect("the lot");
    assert_eq!(
        (&shown["amount"], &shown["remaining"], &shown["state"]),
        (&json!(9), &json!(0), &json!("depleted"))
    );
    let given = lot(&app, w, "grant", 8, &json!({}));
    let shown = lots(&app, w).into_iter().find(|lot| lot["id"] == given.as_str()).expect("the lot");
    assert_eq!((&shown["remaining"], figures(&app, w)), (&json!(2), [9, 0, 22]));
    wait_until("the pending lot starts", 3, || figures(&app, w) == [9, 0, 29]);
    assert_eq!(most(100).expect(201).number("amount"), 9);
    assert!(!pending.is_empty());
    // A refund: the overdrawn part repays first.
    let spent = spend(&app, w, 12).expect(201).json();
    assert_eq!(figures(&app, w), [-12, 12, 8]);
    let back = refund(&app, &spent, &json!({"amount": 5})).expect(201).json();
    assert_eq!((&back["amount"], figures(&app, w)), (&json!(5), [-7, 7, 13]));
    // Repaid by others meanwhile: what is left of it opens a paid lot without expiry.
    adjust("credit", 7).expect(201);
    let back = refund(&app, &spent, &json!({})).expect(201).json();
    assert_eq!((&back["amount"], figures(&app, w)), (&json!(7), [7, 0, 27]));
    let opened = lots(&app, w).into_iter().find(|lot| lot["transaction_id"] == back["id"]).expect("the lot");
    assert_eq!(
        (&opened["category"], &opened["expires_at"], &opened["remaining"]),
        (&json!("paid"), &Value::Null, &json!(7))
    );
    limit(&app, w, 0).expect(200);
    transfer(7).expect(201);
    assert_eq!((figures(&app, w), figures(&app, &friend.wallet)[0]), ([0, 0, 0], 7));
    audit(&admin);
}

#[test]
fn transfers_keep_what_a_lot_is_and_stay_in_their_application_and_asset() {
    let server = crate::start(&[]).expect("a server");
    let (app, admin) = (server.app(), server.admin());
    let (owner, friend) = (register(&app), register(&app));
    let stranger = register(&other_app(&admin, &ALL_SCOPES));
    let ends = from_now(3_600_000);
    lot(&app, &owner.wallet, "purchase", 10, &json!({"priority": 60}));
    lot(
        &app,
        &owner.wallet,
        "grant",
        5,
        &json!({"priority": 20, "expires_at": ends, "effective_at": "2021-01-01T00:00:00Z"}),
    );
    admin.post("/v1/assets", &json!({"code": "GEMS", "scale": 2})).expect(201);
    let gems =
        app.post("/v1/wallets", &json!({"user_id": friend.user, "asset": "GEMS"})).expect(201).text("id");
    let transfer = |client: &Client, to: &str, amount: i64| {
        transact(
            client,
            &json!({"type": "transfer", "source_wallet_id": owner.wallet, "destination_wallet_id": to, "amount": amount}),
        )
    };
    refused(&transfer(&app, &gems, 1), 422, "asset_mismatch");
    refused(&transfer(&app, &owner.wallet, 1), 422, "same_wallet");
    refused(&transfer(&app, &stranger.wallet, 1), 404, "not_found");
    refused(&transfer(&friend.client, &friend.wallet, 1), 404, "not_found");
    let moved = transfer(&owner.client, &friend.wallet, 12).expect(201).json();
    assert_eq!(taken(&moved).iter().map(|(_, amount)| *amount).collect::<Vec<_>>(), [5, 7]);
    let got = lots(&app, &friend.wallet);
    let shape = |lot: &Value| {
        (lot["amount"].clone(), lot["priority"].clone(), lot["category"].clone(), lot["expires_at"].clone())
    };
    let mut shapes: Vec<_> = got.iter().map(shape).collect();
    shapes.sort_by_key(|(amount, ..)| amount.as_i64());
    assert_eq!(
        shapes,
        [
            (json!(5), json!(20), json!("promotional"), json!(ends)),
            (json!(7), json!(60), json!("paid"), Value::Null)
        ]
    );
    assert!(
        got.iter().any(|lot| lot["effective_at"] == "2021-01-01T00:00:00.000Z")
            && got.iter().all(|lot| lot["transaction_id"] == moved["id"])
    );
    refused(&refund(&app, &moved, &json!({})), 422, "not_refundable");
    let seen = friend
        .client
        .get(&format!("/v1/transactions/{}", moved["id"].as_str().expect("an id")))
        .expect(200)
        .json();
    assert_eq!(
        (&seen["amount"], &seen["wallet_version"]),
        (&json!(12), &wallet(&app, &friend.wallet)["version"])
    );
    audit(&admin);
}

#[test]
fn refunds_go_back_where_the_credits_came_from() {
    let server = crate::start(&[]).expect("a server");
    let (app, admin) = (server.app(), server.admin());
    let owner = register(&app);
    let w = owner.wallet.as_str();
    let first = lot(&app, w, "grant", 10, &json!({"priority": 1}));
    let second = lot(&app, w, "grant", 10, &json!({"priority": 2}));
    let third = lot(&app, w, "purchase", 10, &json!({"priority": 3}));
    let spent = spend(&app, w, 25).expect(201).json();
    assert_eq!(taken(&spent), [(first.clone(), 10), (second.clone(), 10), (third.clone(), 5)]);
    let remaining = || {
        [&first, &second, &third].map(|id| {
            lots(&app, w).iter().find(|lot| lot["id"] == id.as_str()).expect("the lot")["remaining"]
                .as_i64()
                .expect("a number")
        })
    };
    assert_eq!(remaining(), [0, 0, 5]);
    for (body, at) in [
        (json!({"amount": 0}), "/amount"),
        (json!({"amount": "1"}), "/amount"),
        (json!({"reason": 5}), "/reason"),
        (json!({"reference": "x"}), "/reference"),
    ] {
        assert_eq!(invalid(&refund(&app, &spent, &body)), [at]);
    }
    refused(&refund(&app, &spent, &json!({"amount": 26})), 422, "refund_exceeds_original");
    // Last taken first.
    let back = refund(&app, &spent, &json!({"amount": 8, "reason": "half"})).expect(201).json();
    assert_eq!(
        (&back["type"], &back["amount"], &back["refund_of"], &back["reason"], &back["refunded_amount"]),
        (&json!("refund"), &json!(8), &spent["id"], &json!("half"), &json!(0))
    );
    assert_eq!(remaining(), [0, 3, 10]);
    let now =
        app.get(&format!("/v1/transactions/{}", spent["id"].as_str().expect("an id"))).expect(200).json();
    assert_eq!(now["refunded_amount"], 8);
    refused(&refund(&app, &spent, &json!({"amount": 18})), 422, "refund_exceeds_original");
    assert_eq!(refund(&admin, &spent, &json!({"amount": 9})).expect(201).number("amount"), 9);
    assert_eq!(remaining(), [2, 10, 10]);
    assert_eq!(refund(&app, &spent, &json!({})).expect(201).number("amount"), 8);
    assert_eq!(remaining(), [10, 10, 10]);
    for body in [json!({}), json!({"amount": 1})] {
        refused(&refund(&app, &spent, &body), 422, "refund_exceeds_original");
    }
    refused(&refund(&app, &back, &json!({})), 422, "not_refundable");
    // Of a purchase: what is neither spent nor held.
    let other = register(&app);
    let bought = purchase(&app, &other.wallet, 30);
    spend(&app, &other.wallet, 10).expect(201);
    let hold = app
        .post_once(&format!("/v1/wallets/{}/holds", other.wallet), &unique("h"), &json!({"amount": 5}))
        .expect(201)
        .text("id");
    refused(&refund(&app, &bought, &json!({"amount": 31})), 422, "refund_exceeds_original");
    refused(&refund(&app, &bought, &json!({"amount": 16})), 422, "refund_exceeds_remaining");
    let back = refund(&app, &bought, &json!({"amount": 4})).expect(201).json();
    assert_eq!(
        (back["taken_from"][0]["amount"].clone(), figures(&app, &other.wallet)),
        (json!(4), [16, 0, 11])
    );
    assert_eq!(refund(&app, &bought, &json!({})).expect(201).number("amount"), 11);
    refused(&refund(&app, &bought, &json!({})), 422, "refund_exceeds_remaining");
    app.post_once(&format!("/v1/holds/{hold}/release"), &unique("k"), &json!({})).expect(200);
    assert_eq!(refund(&app, &bought, &json!({})).expect(201).number("amount"), 5);
    assert_eq!(figures(&app, &other.wallet), [0, 0, 0]);
    // Of a spend of a lot that has ended since.
    let late = register(&app);
    let ends = from_now(800);
    let short = lot(&app, &late.wallet, "grant", 10, &json!({"expires_at": ends, "priority": 4}));
    let spent = spend(&app, &late.wallet, 6).expect(201).json();
    wait_until("the lot ends", 3, || figures(&app, &late.wallet) == [0, 0, 0]);
    refund(&app, &spent, &json!({"amount": 2})).expect(201);
    refund(&app, &spent, &json!({})).expect(201);
    let successors: Vec<Value> =
        lots(&app, &late.wallet).into_iter().filter(|lot| lot["successor_of"] == short.as_str()).collect();
    assert_eq!(successors.iter().map(|lot| lot["remaining"].as_i64().expect("a number")).sum::<i64>(), 6);
    for lot in &successors {
        let ends = lot["expires_at"].as_str().expect("a time");
        assert!(ends > from_now(29 * 86_400_000).as_str() && ends <= from_now(30 * 86_400_000).as_str());
        assert_eq!((&lot["category"], &lot["state"]), (&json!("promotional"), &json!("active")));
    }
    for kind in ["grant", "expiry"] {
        let row = app.get(&format!("/v1/transactions?wallet_id={}&type={kind}", late.wallet)).json()["data"]
            [0]
        .clone();
        refused(&refund(&app, &row, &json!({})), 422, "not_refundable");
    }
    audit(&admin);
}

#[test]
fn a_payment_buys_once() {
    let server = crate::start(&[]).expect("a server");
    let (app, admin) = (server.app(), server.admin());
    let (owner, friend) = (register(&app), register(&app));
    let abroad = other_app(&admin, &ALL_SCOPES);
    let stranger = register(&abroad);
    let pay = |owner: &Owner, amount: i64, id: &str| json!({"type": "purchase", "wallet_id": owner.wallet, "amount": amount, "external_id": id});
    let first = transact(&app, &pay(&owner, 10, "pay_7")).expect(201).json();
    let again = transact(&app, &pay(&owner, 10, "pay_7")).expect(200);
    assert_eq!((again.json(), again.header("idempotent-replayed")), (first.clone(), None));
    assert_eq!(transact(&admin, &pay(&owner, 10, "pay_7")).expect(200).json(), first);
    refused(&transact(&app, &pay(&owner, 11, "pay_7")), 409, "external_id_reused");
    refused(&transact(&app, &pay(&friend, 10, "pay_7")), 409, "external_id_reused");
    transact(&app, &pay(&owner, 10, "PAY_7")).expect(201);
    transact(&abroad, &pay(&stranger, 99, "pay_7")).expect(201);
    refund(&app, &first, &json!({"amount": 4})).expect(201);
    assert_eq!(transact(&app, &pay(&owner, 10, "pay_7")).expect(200).json()["id"], first["id"]);
    assert_eq!(figures(&app, &owner.wallet)[0], 16);
    audit(&admin);
}

#[test]
fn balances_end_at_the_largest_amount() {
    let server = crate::start(&[]).expect("a server");
    let (app, admin) = (server.app(), server.admin());
    let (owner, friend) = (register(&app), register(&app));
    let w = owner.wallet.as_str();
    purchase(&app, w, MAX);
    purchase(&app, &friend.wallet, 5);
    let given = |amount: i64, more: &str| {
        let mut body = json!({"type": "grant", "wallet_id": w, "amount": amount});
        if !more.is_empty() {
            body["effective_at"] = json!(more);
        }
        transact(&app, &body)
    };
    for answer in [
        given(1, ""),
        given(MAX, ""),
        given(1, &from_now(60_000)),
        transact(&app, &json!({"type": "purchase", "wallet_id": w, "amount": 1})),
        transact(
            &admin,
            &json!({"type": "adjustment", "wallet_id": w, "amount": 1, "direction": "credit", "reason": "r"}),
        ),
        transact(
            &app,
            &json!({"type": "transfer", "source_wallet_id": friend.wallet, "destination_wallet_id": w, "amount": 1}),
        ),
    ] {
        refused(&answer, 422, "balance_overflow");
    }
    assert_eq!((figures(&app, w), figures(&app, &friend.wallet)), ([MAX, 0, MAX], [5, 0, 5]));
    limit(&app, w, MAX).expect(200);
    let spent = spend(&app, w, MAX).expect(201).json();
    spend(&app, w, MAX).expect(201);
    assert_eq!(figures(&app, w), [-MAX, MAX, 0]);
    refused(&spend(&app, w, 1), 402, "insufficient_funds");
    refund(&app, &spent, &json!({})).expect(201);
    assert_eq!(figures(&app, w), [0, MAX, MAX]);
    purchase(&app, w, MAX);
    refused(&given(1, ""), 422, "balance_overflow");
    assert_eq!(figures(&app, w)[0], MAX);
    audit(&admin);
}
