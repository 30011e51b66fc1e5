use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use credit_tests::architecture::told_metrics;
use credit_tests::server::Server;
use credit_tests::story::{purchase, register, transact, unique};
use serde_json::json;

use crate::scrape::Scrape;

/// Asks again until it holds.
fn until(server: &Server, what: &str, holds: impl Fn(&Scrape) -> bool) -> Scrape {
    let limit = Instant::now() + Duration::from_secs(60);
    loop {
        let scrape = Scrape::of(server);
        if holds(&scrape) {
            return scrape;
        }
        assert!(Instant::now() < limit, "{what}:\n{}", scrape.text);
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn all_that_is_told_is_there_from_the_start_and_nothing_else_ever() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");
    let told = told_metrics(&std::fs::read_to_string(page).expect("the page"));
    let server = Server::start(&[]).expect("a server");
    let begun = Scrape::of(&server);
    let there: BTreeSet<&str> = begun.samples.iter().map(|sample| sample.family.as_str()).collect();
    for (name, metric) in &told {
        assert!(metric.in_use || there.contains(name.as_str()), "{name} is not there:\n{}", begun.text);
    }
    let owner = register(&server.app());
    purchase(&server.app(), &owner.wallet, 100);
    transact(&server.app(), &json!({"type": "spend", "wallet_id": owner.wallet, "amount": 1000}));
    let used = Scrape::of(&server);
    for sample in begun.samples.iter().chain(&used.samples) {
        let metric = told.get(&sample.family).unwrap_or_else(|| panic!("{} is told nowhere", sample.family));
        for (label, value) in &sample.labels {
            assert!(label == "le" || metric.labels.contains(label), "{}{{{label}}}", sample.name);
            // What callers send stands in no label.
            assert!(!value.contains(&owner.user) && !value.contains(&owner.wallet), "{sample:?}");
        }
    }
    for name in told.keys().filter(|name| there.contains(name.as_str())) {
        assert!(begun.text.contains(&format!("# HELP {name} ")), "{name} has no help");
    }
    let grown = used.samples.len() - begun.samples.len();
    assert!(grown < 2000, "{grown} series more by a handful of calls");
}

#[test]
fn a_thousand_paths_that_do_not_exist_add_one_series() {
    let server = Server::start(&[("CREDIT_RATE_LIMIT__ENABLED", "false")]).expect("a server");
    let (app, count) = (server.app(), "credit_http_requests_total");
    app.get("/v1/wallets").expect(200);
    let before = Scrape::of(&server);
    for _ in 0..1000 {
        app.get(&format!("/v1/{}", unique("nothing-"))).expect(404);
    }
    let after = Scrape::of(&server);
    assert_eq!(after.series(count), before.series(count) + 1);
    let unmatched = |status| [("method", "GET"), ("route", "unmatched"), ("status", status)];
    assert_eq!(after.value(count, &unmatched("404")), Some(1000.0));
    let answered = "http_server_request_duration_seconds_count";
    let labels = [("http_request_method", "GET"), ("http_route", "unmatched")];
    assert_eq!(after.value(answered, &labels), Some(1000.0));

    for _ in 0..2 {
        app.call("TRACE", "/v1/wallets", &[], None).expect("an answer").expect(405);
    }
    let traced = Scrape::of(&server);
    let other = [("method", "_OTHER"), ("route", "unmatched"), ("status", "405")];
    assert_eq!(traced.value(count, &other), Some(2.0), "whatever the method was called");
    assert_eq!(traced.value("credit_refusals_total", &[("code", "not_found")]), Some(1000.0));
}

#[test]
fn the_business_is_told_by_type_and_asset_and_the_ledger_stays_in_balance() {
    let server = Server::start(&[]).expect("a server");
    let begun = Scrape::of(&server);
    let posted = |kind| [("type", kind), ("asset", "CREDIT")];
    assert_eq!(
        begun.value("credit_transactions_total", &posted("spend")),
        Some(0.0),
        "an increase can be seen"
    );
    let app = server.app();
    let owner = register(&app);
    purchase(&app, &owner.wallet, 100);
    let soon = credit_tests::contract::from_now(3_600_000);
    let given = json!({"type": "grant", "wallet_id": owner.wallet, "amount": 7, "expires_at": soon});
    transact(&app, &given).expect(201);
    for _ in 0..2 {
        transact(&app, &json!({"type": "spend", "wallet_id": owner.wallet, "amount": 5})).expect(201);
    }
    let hold = json!({"amount": 20});
    app.post_once(&format!("/v1/wallets/{}/holds", owner.wallet), &unique("hold-"), &hold).expect(201);
    transact(&app, &json!({"type": "spend", "wallet_id": owner.wallet, "amount": 1000})).expect(402);
    owner.client.get("/v1/wallets").expect(200);

    let told = Scrape::of(&server);
    assert_eq!(told.value("credit_transactions_total", &posted("spend")), Some(2.0));
    assert_eq!(told.value("credit_transaction_amount_total", &posted("spend")), Some(10.0));
    assert_eq!(told.value("credit_transaction_amount_total", &posted("purchase")), Some(100.0));
    assert_eq!(told.value("credit_refusals_total", &[("code", "insufficient_funds")]), Some(1.0));
    assert_eq!(told.value("credit_ledger_imbalance", &[("asset", "CREDIT")]), Some(0.0));
    assert_eq!(told.value("credit_users_active", &[]), Some(1.0));
    assert_eq!(told.value("credit_ledger_queue_commands", &[]), Some(0.0));
    assert!(told.value("credit_ledger_group_records_count", &[]).is_some_and(|groups| groups >= 5.0));
    let appended = [("store", "journal"), ("operation", "append"), ("outcome", "ok")];
    let appends = told.value("credit_store_operation_duration_seconds_count", &appended);
    assert!(appends.is_some_and(|appends| appends >= 5.0), "{appends:?}");

    let counted = until(&server, "the figures are counted", |scrape| {
        scrape.value("credit_credits_held", &[("asset", "CREDIT")]) == Some(20.0)
    });
    assert_eq!(counted.value("credit_wallets", &[]).map(|wallets| wallets >= 1.0), Some(true));
    // The spends drew from what expires first.
    assert!(
        counted.value("credit_credits_expiring", &[("within", "24h")]).is_some_and(|credits| credits <= 7.0)
    );
    until(&server, "the views catch up", |scrape| {
        scrape.value("credit_ledger_view_lag_records", &[]) == Some(0.0)
    });
}
