//! `wallet_module` of the contract without holds: assets, wallets, balances, entries, lots and their expiry.
#![expect(unused_must_use, reason = "an expected status is often all that a step has to show")]
#![expect(clippy::too_many_lines, reason = "a table of cases is read at one go")]

use std::time::Duration;

use credit_tests::client::{Answer, Client};
use credit_tests::contract::{ALL_SCOPES, MAX, all_pages, from_now, invalid, other_app, refused, wait_until};
use credit_tests::story::{audit, purchase, register, transact, unique, wallet};
use serde_json::{Value, json};

#[track_caller]
fn patch(client: &Client, id: &str, body: &Value) -> Answer {
    client.call("PATCH", &format!("/v1/wallets/{id}"), &[], Some(body)).expect("an answer")
}

#[track_caller]
fn grant(app: &Client, id: &str, amount: i64, more: &Value) -> Value {
    let mut body = json!({"type": "grant", "wallet_id": id, "amount": amount});
    for (name, value) in more.as_object().expect("members") {
        body[name] = value.clone();
    }
    transact(app, &body).expect(201).json()
}

fn lots(app: &Client, id: &str, state: &str) -> Vec<Value> {
    let filter = if state.is_empty() { String::new() } else { format!("?state={state}") };
    all_pages(app, &format!("/v1/wallets/{id}/grants{filter}"), 50)
}

/// `[balance, held, scheduled, overdrawn, available]`.
fn figures(app: &Client, id: &str) -> [i64; 5] {
    let wallet = wallet(app, id);
    ["balance", "held", "scheduled", "overdrawn", "available"]
        .map(|name| wallet[name].as_i64().expect("a number"))
}

fn balance_at(app: &Client, id: &str, at: &str) -> [i64; 3] {
    let answer = app.get(&format!("/v1/wallets/{id}/balance?at={at}")).expect(200).json();
    assert_eq!(answer["wallet_id"], id);
    ["balance", "held", "available"].map(|name| answer[name].as_i64().expect("a number"))
}

#[test]
fn assets_and_wallets_are_opened_looked_at_and_changed() {
    let server = crate::start(&[]).expect("a server");
    let (app, admin) = (server.app(), server.admin());
    for (body, at) in [
        (json!({"code": "gold", "scale": 0}), vec!["/code"]),
        (json!({"code": "A", "scale": 19}), vec!["/code", "/scale"]),
        (json!({"code": "ABCDEFGHIJKLMNOPQ", "scale": -1}), vec!["/code", "/scale"]),
        (json!({"code": "_AB", "scale": 1.5}), vec!["/code", "/scale"]),
        (json!({"x": 1}), vec!["/code", "/scale", "/x"]),
    ] {
        assert_eq!(invalid(&admin.post("/v1/assets", &body)), at);
    }
    for code in ["AB", "ABCDEFGHIJKLMNOP", "G0_LD"] {
        admin.post("/v1/assets", &json!({"code": code, "scale": 18})).expect(201);
    }
    refused(&admin.post("/v1/assets", &json!({"code": "G0_LD", "scale": 2})), 409, "asset_exists");
    refused(&admin.post("/v1/assets", &json!({"code": "CREDIT", "scale": 0})), 409, "asset_exists");
    let assets = all_pages(&app, "/v1/assets", 2);
    assert!(
        assets.len() == 4 && assets.iter().any(|asset| asset["code"] == "CREDIT" && asset["scale"] == 0),
        "{assets:?}"
    );

    let owner = register(&app);
    owner.client.get("/v1/assets").expect(200);
    refused(&server.nobody().get("/v1/assets"), 401, "unauthenticated");
    let opened = app
        .post("/v1/wallets", &json!({"user_id": owner.user, "asset": "G0_LD", "metadata": {"tier": "b"}}))
        .expect(201);
    let gold = opened.json();
    let mut names: Vec<&String> = gold.as_object().expect("a wallet").keys().collect();
    names.sort();
    let mut promised = [
        "id",
        "app_id",
        "user_id",
        "asset",
        "status",
        "balance",
        "held",
        "scheduled",
        "overdrawn",
        "available",
        "overdraft_limit",
        "low_balance_threshold",
        "expiring",
        "metadata",
        "created_at",
        "updated_at",
        "version",
    ];
    promised.sort_unstable();
    assert_eq!(names, promised);
    assert_eq!(
        (&gold["status"], &gold["version"], &gold["metadata"]),
        (&json!("active"), &json!(1), &json!({"tier": "b"}))
    );
    assert!(gold["created_at"].as_str().is_some_and(|time| time.ends_with('Z')));
    assert_eq!(opened.header("etag"), Some("\"1\""));
    let gold = gold["id"].as_str().expect("an id");
    assert_eq!(owner.client.get(&format!("/v1/wallets/{gold}")).expect(200).body, opened.body);
    for asset in [json!({"user_id": owner.user, "asset": "G0_LD"}), json!({"user_id": owner.user})] {
        refused(&app.post("/v1/wallets", &asset), 409, "wallet_exists");
        refused(&admin.post("/v1/wallets", &asset), 409, "wallet_exists");
    }
    refused(&app.post("/v1/wallets", &json!({"user_id": owner.user, "asset": "SILVER"})), 404, "not_found");
    assert_eq!(
        invalid(&app.post("/v1/wallets", &json!({"asset": "silver", "roles": []}))),
        ["/asset", "/roles", "/user_id"]
    );
    let stranger = register(&other_app(&admin, &ALL_SCOPES));
    refused(&app.post("/v1/wallets", &json!({"user_id": stranger.user, "asset": "AB"})), 404, "not_found");
    admin.post("/v1/wallets", &json!({"user_id": stranger.user, "asset": "AB"})).expect(201);

    let user = &owner.user;
    for (filter, found) in [
        ("", 2),
        ("&asset=G0_LD", 1),
        ("&asset=AB", 0),
        ("&status=active", 2),
        ("&status=frozen", 0),
        ("&asset=G0_LD&status=active", 1),
    ] {
        assert_eq!(
            all_pages(&app, &format!("/v1/wallets?user_id={user}{filter}"), 1).len(),
            found,
            "{filter}"
        );
        assert_eq!(
            all_pages(&admin, &format!("/v1/wallets?user_id={user}{filter}"), 1).len(),
            found,
            "{filter}"
        );
    }

    let pairs = |count: usize| {
        (0..count).map(|index| (format!("k{index}"), json!("v"))).collect::<serde_json::Map<_, _>>()
    };
    let one = |key: String, value: String| json!({"metadata": {key: value}});
    for (body, at) in [
        (json!({"metadata": pairs(51)}), "/metadata".to_owned()),
        (one("k".repeat(65), "v".into()), format!("/metadata/{}", "k".repeat(65))),
        (one("k".into(), "v".repeat(513)), "/metadata/k".into()),
        (json!({"metadata": {"k": 5}}), "/metadata/k".into()),
        (json!({"metadata": "k"}), "/metadata".into()),
        (json!({"overdraft_limit": -1}), "/overdraft_limit".into()),
        (json!({"overdraft_limit": MAX + 1}), "/overdraft_limit".into()),
        (json!({"low_balance_threshold": "5"}), "/low_balance_threshold".into()),
        (json!({"balance": 5}), "/balance".into()),
        (json!({"status": "closed"}), "/status".into()),
    ] {
        assert_eq!(invalid(&patch(&app, gold, &body)), [at]);
    }
    patch(&app, gold, &json!({"metadata": pairs(50)})).expect(200);
    patch(&app, gold, &one("k".repeat(64), "\u{e4}".repeat(512))).expect(200);
    let patched =
        patch(&app, gold, &json!({"overdraft_limit": MAX, "low_balance_threshold": 10})).expect(200).json();
    assert_eq!(
        (
            &patched["overdraft_limit"],
            &patched["available"],
            &patched["low_balance_threshold"],
            &patched["version"]
        ),
        (&json!(MAX), &json!(MAX), &json!(10), &json!(4))
    );
    let patched = patch(&app, gold, &json!({"low_balance_threshold": null})).expect(200).json();
    assert_eq!(patched["low_balance_threshold"], Value::Null);
    assert_eq!(patch(&app, gold, &json!({})).expect(200).json()["version"], 5);
    audit(&admin);
}

#[test]
fn frozen_and_closed_wallets_move_nothing() {
    let server = crate::start(&[]).expect("a server");
    let (app, admin) = (server.app(), server.admin());
    let (owner, friend) = (register(&app), register(&app));
    let w = owner.wallet.as_str();
    let bought = purchase(&app, w, 100)["id"].as_str().expect("an id").to_owned();
    purchase(&app, &friend.wallet, 100);
    let holds = format!("/v1/wallets/{w}/holds");
    let hold = app.post_once(&holds, "h", &json!({"amount": 10})).expect(201).text("id");
    let lot = lots(&app, w, "")[0]["id"].as_str().expect("a lot").to_owned();
    let moves = |credits_only: bool| {
        let mut calls = vec![
            (&app, "/v1/transactions".to_owned(), json!({"type": "purchase", "wallet_id": w, "amount": 1})),
            (&app, "/v1/transactions".into(), json!({"type": "grant", "wallet_id": w, "amount": 1})),
            (&app, "/v1/transactions".into(), json!({"type": "spend", "wallet_id": w, "amount": 1})),
            (
                &app,
                "/v1/transactions".into(),
                json!({"type": "transfer", "source_wallet_id": w, "destination_wallet_id": friend.wallet, "amount": 1}),
            ),
            (
                &app,
                "/v1/transactions".into(),
                json!({"type": "transfer", "source_wallet_id": friend.wallet, "destination_wallet_id": w, "amount": 1}),
            ),
            (
                &admin,
                "/v1/transactions".into(),
                json!({"type": "adjustment", "wallet_id": w, "amount": 1, "direction": "credit", "reason": "r"}),
            ),
            (
                &admin,
                "/v1/transactions".into(),
                json!({"type": "adjustment", "wallet_id": w, "amount": 1, "direction": "debit", "reason": "r"}),
            ),
            (&owner.client, holds.clone(), json!({"amount": 1})),
            (&app, format!("/v1/transactions/{bought}/refund"), json!({})),
            (&app, format!("/v1/grants/{lot}/void"), json!({})),
        ];
        if !credits_only {
            calls.push((&app, format!("/v1/holds/{hold}/capture"), json!({})));
            calls.push((&app, format!("/v1/holds/{hold}/release"), json!({})));
            calls.push((&app, format!("/v1/holds/{hold}/extend"), json!({"expires_in": 5})));
        }
        calls
    };
    grant(&app, w, 7, &json!({"expires_at": from_now(1_500), "priority": 90}));
    let frozen = admin.post(&format!("/v1/wallets/{w}/freeze"), &json!({})).expect(200).json();
    assert_eq!(frozen["status"], "frozen");
    for (client, path, body) in moves(false) {
        refused(&client.post_once(&path, &unique("k"), &body), 409, "wallet_frozen");
    }
    // Metadata may change, reads go on, and expiry goes on.
    patch(&app, w, &json!({"metadata": {"a": "b"}})).expect(200);
    assert_eq!(
        admin.post(&format!("/v1/wallets/{w}/freeze"), &json!({})).expect(200).json()["status"],
        "frozen"
    );
    wait_until("the lot expires", 3, || figures(&app, w) == [100, 10, 0, 0, 90]);
    refused(&app.post(&format!("/v1/wallets/{w}/close"), &json!({})), 409, "wallet_not_empty");
    app.post(&format!("/v1/wallets/{w}/unfreeze"), &json!({})).expect(200);
    refused(&app.post(&format!("/v1/wallets/{w}/close"), &json!({})), 409, "wallet_not_empty");
    app.post_once(&format!("/v1/holds/{hold}/capture"), "c", &json!({})).expect(201);
    app.post_once("/v1/transactions", "rest", &json!({"type": "spend", "wallet_id": w, "amount": 90}))
        .expect(201);
    patch(&app, w, &json!({"overdraft_limit": 5})).expect(200);
    app.post_once("/v1/transactions", "over", &json!({"type": "spend", "wallet_id": w, "amount": 1}))
        .expect(201);
    refused(&app.post(&format!("/v1/wallets/{w}/close"), &json!({})), 409, "wallet_not_empty");
    purchase(&app, w, 1);
    assert_eq!(
        app.post(&format!("/v1/wallets/{w}/close"), &json!({})).expect(200).json()["status"],
        "closed"
    );
    for (client, path, body) in moves(false) {
        refused(&client.post_once(&path, &unique("k"), &body), 409, "wallet_closed");
    }
    for call in ["freeze", "unfreeze"] {
        refused(&app.post(&format!("/v1/wallets/{w}/{call}"), &json!({})), 409, "wallet_closed");
    }
    refused(&app.post("/v1/wallets", &json!({"user_id": owner.user})), 409, "wallet_exists");
    assert_eq!(all_pages(&app, &format!("/v1/wallets?user_id={}&status=closed", owner.user), 9).len(), 1);
    assert_eq!(figures(&app, &friend.wallet)[0], 100);
    audit(&admin);
}

#[test]
fn balances_are_told_for_now_the_past_and_the_future() {
    let server = crate::start(&[]).expect("a server");
    let app = server.app();
    let owner = register(&app);
    let w = owner.wallet.as_str();
    let opened = from_now(-1);
    let soon = |milliseconds| from_now(milliseconds);
    std::thread::sleep(Duration::from_millis(30));
    purchase(&app, w, 100);
    std::thread::sleep(Duration::from_millis(30));
    let (after_purchase, ending, starting) = (from_now(0), soon(60_000), soon(120_000));
    std::thread::sleep(Duration::from_millis(30));
    grant(&app, w, 10, &json!({"expires_at": ending}));
    grant(&app, w, 5, &json!({"effective_at": starting, "expires_at": soon(180_000)}));
    app.post_once(&format!("/v1/wallets/{w}/holds"), "h", &json!({"amount": 30, "expires_in": 90}))
        .expect(201);
    assert_eq!(figures(&app, w), [115, 30, 5, 0, 80]);
    let now = owner.client.get(&format!("/v1/wallets/{w}/balance")).expect(200).json();
    assert_eq!((&now["balance"], &now["held"], &now["available"]), (&json!(115), &json!(30), &json!(80)));
    assert!(now["at"].as_str().is_some_and(|at| at.ends_with('Z')));
    for (at, figures) in [
        ("2001-01-01T00:00:00Z", [0, 0, 0]),
        (opened.as_str(), [0, 0, 0]),
        (after_purchase.as_str(), [100, 0, 100]),
        (soon(50_000).as_str(), [115, 30, 80]),
        // The hold took the promotional lot first: what of it is held stays until the hold ends.
        (soon(70_000).as_str(), [115, 30, 80]),
        (soon(100_000).as_str(), [105, 0, 100]),
        (starting.as_str(), [105, 0, 105]),
        (soon(200_000).as_str(), [100, 0, 100]),
        ("9999-12-31T23:59:59Z", [100, 0, 100]),
    ] {
        assert_eq!(balance_at(&app, w, at), figures, "{at}");
    }
    assert_eq!(balance_at(&app, w, &after_purchase.replace('Z', "%2B00:00")), [100, 0, 100]);
    assert_eq!(app.get(&format!("/v1/wallets/{w}/balance?at={starting}")).json()["at"], starting.as_str());
    app.post_once("/v1/transactions", "s", &json!({"type": "spend", "wallet_id": w, "amount": 50}))
        .expect(201);
    assert_eq!(balance_at(&app, w, &after_purchase), [100, 0, 100]);
    audit(&server.admin());
}

#[test]
fn a_lot_that_ends_is_gone_at_once_and_posted_soon() {
    let server = crate::start(&[("CREDIT_LEDGER__SWEEP_INTERVAL", "1s")]).expect("a server");
    let app = server.app();
    let owner = register(&app);
    let w = owner.wallet.as_str();
    purchase(&app, w, 50);
    let ends = from_now(1_200);
    let given = grant(&app, w, 20, &json!({"expires_at": ends, "priority": 7}));
    let starts = from_now(1_300);
    grant(&app, w, 5, &json!({"effective_at": starts}));
    assert_eq!(figures(&app, w), [75, 0, 5, 0, 70]);
    assert_eq!(wallet(&app, w)["expiring"], json!([{"amount": 20, "expires_at": ends}]));
    let lot =
        lots(&app, w, "active").into_iter().find(|lot| lot["expires_at"] == ends.as_str()).expect("the lot");
    let mut names: Vec<&String> = lot.as_object().expect("a lot").keys().collect();
    names.sort();
    let mut promised = [
        "id",
        "wallet_id",
        "amount",
        "remaining",
        "held",
        "category",
        "priority",
        "effective_at",
        "expires_at",
        "state",
        "successor_of",
        "transaction_id",
    ];
    promised.sort_unstable();
    assert_eq!(names, promised);
    assert_eq!(
        (
            &lot["amount"],
            &lot["remaining"],
            &lot["held"],
            &lot["category"],
            &lot["priority"],
            &lot["transaction_id"]
        ),
        (&json!(20), &json!(20), &json!(0), &json!("promotional"), &json!(7), &given["id"])
    );
    let pending = lots(&app, w, "pending");
    assert_eq!((pending.len(), &pending[0]["effective_at"]), (1, &json!(starts)));
    let poor = transact(&app, &json!({"type": "spend", "wallet_id": w, "amount": 75}));
    let problem = refused(&poor, 402, "insufficient_funds");
    assert_eq!(
        (
            &problem["required"],
            &problem["available"],
            &problem["held"],
            &problem["shortfall"],
            &problem["next_effective_at"]
        ),
        (&json!(75), &json!(70), &json!(0), &json!(5), &json!(starts))
    );

    let version = wallet(&app, w)["version"].as_u64().expect("a version");
    std::thread::sleep(Duration::from_millis(1_210));
    assert_eq!(figures(&app, w)[0], 55);
    assert_eq!(app.get(&format!("/v1/wallets/{w}/balance")).json()["balance"], 55);
    let ended = lots(&app, w, "expired");
    assert_eq!((ended.len(), &ended[0]["id"], &ended[0]["remaining"]), (1, &lot["id"], &json!(0)));
    assert_eq!(wallet(&app, w)["expiring"], json!([]));
    refused(
        &app.post_once(&format!("/v1/grants/{}/void", lot["id"].as_str().expect("an id")), "v", &json!({})),
        409,
        "grant_not_active",
    );
    wait_until("the pending lot starts", 2, || figures(&app, w) == [55, 0, 0, 0, 55]);
    let posted = format!("/v1/transactions?wallet_id={w}&type=expiry");
    wait_until("the expiry is posted", 5, || all_pages(&app, &posted, 9).len() == 1);
    let expiry = all_pages(&app, &posted, 9)[0].clone();
    assert_eq!(
        (&expiry["amount"], &expiry["status"], &expiry["wallet_id"], &expiry["created_by"]),
        (&json!(20), &json!("posted"), &json!(w), &json!("system"))
    );
    assert_eq!(
        expiry["taken_from"],
        json!([{"grant_id": lot["id"], "amount": 20, "expires_at": ends, "category": "promotional"}])
    );
    assert_eq!(wallet(&app, w)["version"], version + 1);
    // A hold on a lot that ends is honoured; what it gives back ends at once.
    let ends = from_now(1_000);
    grant(&app, w, 30, &json!({"expires_at": ends, "priority": 0}));
    let hold =
        app.post_once(&format!("/v1/wallets/{w}/holds"), "h", &json!({"amount": 20})).expect(201).text("id");
    std::thread::sleep(Duration::from_millis(1_010));
    assert_eq!(figures(&app, w), [75, 20, 0, 0, 55]);
    let captured =
        app.post_once(&format!("/v1/holds/{hold}/capture"), "c", &json!({"amount": 5})).expect(201).json();
    assert_eq!(captured["taken_from"][0]["amount"], 5);
    assert_eq!(figures(&app, w), [55, 0, 0, 0, 55]);
    let expired: i64 =
        all_pages(&app, &posted, 9).iter().map(|row| row["amount"].as_i64().expect("an amount")).sum();
    assert_eq!(expired, 20 + 10 + 15);
    audit(&server.admin());
}

#[test]
fn entries_are_a_chain_without_gaps() {
    let server = crate::start(&[]).expect("a server");
    let (app, admin) = (server.app(), server.admin());
    let (owner, friend) = (register(&app), register(&app));
    let w = owner.wallet.as_str();
    purchase(&app, w, 100);
    let lot = grant(&app, w, 10, &json!({"priority": 99}));
    let spent = app
        .post_once(
            "/v1/transactions",
            "s",
            &json!({"type": "spend", "wallet_id": w, "amount": 25, "reference": "ref"}),
        )
        .expect(201)
        .text("id");
    app.post_once("/v1/transactions", "poor", &json!({"type": "spend", "wallet_id": w, "amount": 1_000}))
        .expect(402);
    let hold =
        app.post_once(&format!("/v1/wallets/{w}/holds"), "h", &json!({"amount": 9})).expect(201).text("id");
    app.post_once(&format!("/v1/holds/{hold}/capture"), "c", &json!({"amount": 4})).expect(201);
    app.post_once(&format!("/v1/transactions/{spent}/refund"), "r", &json!({"amount": 5})).expect(201);
    app.post_once("/v1/transactions", "t", &json!({"type": "transfer", "source_wallet_id": w, "destination_wallet_id": friend.wallet, "amount": 3})).expect(201);
    admin
        .post_once(
            "/v1/transactions",
            "a",
            &json!({"type": "adjustment", "wallet_id": w, "amount": 2, "direction": "debit", "reason": "r"}),
        )
        .expect(201);
    let grant_id =
        lots(&app, w, "").into_iter().find(|row| row["transaction_id"] == lot["id"]).expect("the lot")["id"]
            .as_str()
            .expect("an id")
            .to_owned();
    let void = app.post_once(&format!("/v1/grants/{grant_id}/void"), "v", &json!({})).expect(201).json();
    assert_eq!(
        (&void["type"], &void["amount"], &void["taken_from"][0]["grant_id"]),
        (&json!("void"), &json!(10), &json!(grant_id))
    );
    assert_eq!((lots(&app, w, "voided").len(), &lots(&app, w, "voided")[0]["remaining"]), (1, &json!(0)));
    refused(
        &app.post_once(&format!("/v1/grants/{grant_id}/void"), "v2", &json!({})),
        409,
        "grant_not_active",
    );

    let entries = all_pages(&owner.client, &format!("/v1/wallets/{w}/entries"), 3);
    let (mut balance, mut kinds) = (0, Vec::new());
    for (sequence, entry) in (1..).zip(entries.iter().rev()) {
        let amount = entry["amount"].as_i64().expect("an amount");
        balance += if entry["direction"] == "credit" { amount } else { -amount };
        assert_eq!(
            (&entry["sequence"], &entry["balance_after"]),
            (&json!(sequence), &json!(balance)),
            "{entry}"
        );
        kinds.push(entry["type"].as_str().unwrap_or_default().to_owned());
        let id = entry["transaction_id"].as_str().expect("a transaction");
        let transaction = owner.client.get(&format!("/v1/transactions/{id}")).expect(200).json();
        let own = transaction["entries"]
            .as_array()
            .expect("entries")
            .iter()
            .find(|own| own["id"] == entry["id"])
            .expect("the entry");
        assert_eq!(
            (&own["sequence"], &own["balance_after"], &own["account"]),
            (&entry["sequence"], &entry["balance_after"], &json!(w))
        );
    }
    assert_eq!(kinds, ["purchase", "grant", "spend", "capture", "refund", "transfer", "adjustment", "void"]);
    assert_eq!(figures(&app, w)[0], balance);
    assert_eq!(
        lots(&app, w, "").iter().map(|lot| lot["remaining"].as_i64().expect("a number")).sum::<i64>(),
        balance
    );
    audit(&admin);
}

#[test]
fn holds_outlive_the_void_of_their_lot() {
    let server = crate::start(&[]).expect("a server");
    let app = server.app();
    let owner = register(&app);
    let w = owner.wallet.as_str();
    purchase(&app, w, 50);
    let lot = lots(&app, w, "active")[0]["id"].as_str().expect("a lot").to_owned();
    let hold = |key: &str, amount: i64| {
        app.post_once(&format!("/v1/wallets/{w}/holds"), key, &json!({"amount": amount}))
            .expect(201)
            .text("id")
    };
    let (captured, released) = (hold("a", 10), hold("b", 15));
    let void = app.post_once(&format!("/v1/grants/{lot}/void"), "v", &json!({})).expect(201).json();
    assert_eq!(void["amount"], 25);
    assert_eq!(figures(&app, w), [25, 25, 0, 0, 0]);
    let shown = lots(&app, w, "voided");
    assert_eq!((&shown[0]["remaining"], &shown[0]["held"]), (&json!(25), &json!(25)));
    refused(&app.post_once(&format!("/v1/grants/{lot}/void"), "v2", &json!({})), 409, "grant_not_active");
    let taken = app
        .post_once(&format!("/v1/holds/{captured}/capture"), "c", &json!({"amount": 6}))
        .expect(201)
        .json();
    assert_eq!(figures(&app, w), [15, 15, 0, 0, 0]);
    app.post_once(&format!("/v1/holds/{released}/release"), "r", &json!({})).expect(200);
    assert_eq!(figures(&app, w), [0, 0, 0, 0, 0]);
    let voids = all_pages(&app, &format!("/v1/transactions?wallet_id={w}&type=void"), 9);
    assert_eq!(voids.iter().map(|row| row["amount"].as_i64().expect("an amount")).sum::<i64>(), 25 + 4 + 15);
    // A refund of what was captured opens a successor.
    let id = taken["id"].as_str().expect("an id");
    app.post_once(&format!("/v1/transactions/{id}/refund"), "back", &json!({})).expect(201);
    let successor = lots(&app, w, "active");
    assert_eq!(
        (
            successor.len(),
            &successor[0]["successor_of"],
            &successor[0]["remaining"],
            &successor[0]["category"]
        ),
        (1, &json!(lot), &json!(6), &json!("paid"))
    );
    assert!(successor[0]["expires_at"].as_str() > Some(from_now(29 * 86_400_000).as_str()));
    assert!(successor[0]["expires_at"].as_str() < Some(from_now(31 * 86_400_000).as_str()));
    audit(&server.admin());
}

#[test]
fn what_falls_due_while_nobody_looks_is_posted_even_after_a_kill() {
    let mut server = crate::start(&[("CREDIT_LEDGER__SWEEP_INTERVAL", "1s")]).expect("a server");
    let app = server.app();
    let (owner, other) = (register(&app), register(&app));
    purchase(&app, &other.wallet, 9);
    grant(&app, &owner.wallet, 20, &json!({"expires_at": from_now(1_000)}));
    let hold = app
        .post_once(
            &format!("/v1/wallets/{}/holds", other.wallet),
            "h",
            &json!({"amount": 4, "expires_in": 1}),
        )
        .expect(201);
    app.post(&format!("/v1/wallets/{}/freeze", owner.wallet), &json!({})).expect(200);
    server.kill_and_restart().expect("a server");
    let app = server.app();
    // Only the journal is asked, never the wallet: nothing but the sweep can have posted it.
    wait_until("the expiry is posted", 10, || {
        all_pages(&app, "/v1/transactions?type=expiry", 9).iter().any(|row| row["amount"] == 20)
    });
    assert_eq!(figures(&app, &owner.wallet), [0, 0, 0, 0, 0]);
    assert_eq!(app.get(&format!("/v1/holds/{}", hold.text("id"))).expect(200).text("state"), "expired");
    assert_eq!(figures(&app, &other.wallet), [9, 0, 0, 0, 9]);
    audit(&server.admin());
}
