//! What has moved, newest first.

use credit_core::{AssetCode, Clock};
use serde_json::{Value, json};

use super::world::{
    ADMIN, ANN, ANN_ID, BOB, BOB_ID, DAY, OTHER_TILL, READER, STRANGER, SUPPORT, TILL, World, spend, text,
};

fn ids(page: &Value) -> Vec<String> {
    page["data"].as_array().expect("rows").iter().map(|row| text(&row["id"])).collect()
}

fn id(transaction: &Value) -> String {
    text(&transaction["id"])
}

async fn listed(world: &World, caller: &str, query: &str) -> Vec<String> {
    let answer = world.get(caller, &format!("/v1/transactions{query}")).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.json());
    ids(&answer.json())
}

#[actix_web::test]
async fn every_caller_sees_its_own_newest_first() {
    let world = World::new().await;
    let (ann, bob) = (world.wallet(ANN_ID).await, world.wallet(BOB_ID).await);
    let abroad = world.wallet_in(world.other_app, ANN_ID, AssetCode::CREDIT).await;
    let first = id(&world.purchase(&ann, 10).await);
    world.clock.advance_seconds(1);
    let second = id(&world.purchase(&bob, 10).await);
    world.clock.advance_seconds(1);
    let body = json!({ "type": "purchase", "wallet_id": abroad, "amount": 10 });
    let third = id(&world.make(OTHER_TILL, &body).await);
    world.clock.advance_seconds(1);
    let body =
        json!({ "type": "transfer", "source_wallet_id": ann, "destination_wallet_id": bob, "amount": 1 });
    let fourth = id(&world.make(ANN, &body).await);

    assert_eq!(listed(&world, ANN, "").await, [fourth.clone(), first.clone()]);
    assert_eq!(listed(&world, BOB, "").await, [fourth.clone(), second.clone()]);
    for caller in [TILL, READER] {
        assert_eq!(listed(&world, caller, "").await, [fourth.clone(), second.clone(), first.clone()]);
    }
    for caller in [ADMIN, SUPPORT] {
        let all = [fourth.clone(), third.clone(), second.clone(), first.clone()];
        assert_eq!(listed(&world, caller, "").await, all);
    }
    let abroad_only = listed(&world, OTHER_TILL, "").await;
    assert_eq!(abroad_only, [third]);
    assert_eq!(world.get(STRANGER, "/v1/transactions").await.status, 403);
    assert_eq!(world.call("GET", "/v1/transactions", "nobody", &[], None).await.status, 401);
}

#[actix_web::test]
async fn filters_combine() {
    let world = World::new().await;
    let (ann, bob) = (world.wallet(ANN_ID).await, world.wallet(BOB_ID).await);
    let bought = id(&world.purchase(&ann, 10).await);
    let begin = world.clock.now();
    world.clock.advance_seconds(DAY);
    let mut marked = Vec::new();
    for wallet in [&ann, &bob] {
        let body = json!({ "type": "purchase", "wallet_id": wallet, "amount": 5, "reference": "r 1" });
        marked.push(id(&world.make(TILL, &body).await));
    }
    world.clock.advance_seconds(DAY);
    let spent = id(&world.spend(&ann, 1).await);
    let (ann_first, bob_first) = (marked[0].clone(), marked[1].clone());
    let day = |days: i64| begin.plus_seconds(days * DAY).to_string();

    let table: Vec<(String, Vec<&String>)> = vec![
        ("type=purchase".into(), vec![&bob_first, &ann_first, &bought]),
        ("type=spend".into(), vec![&spent]),
        ("type=void".into(), vec![]),
        ("reference=r+1".into(), vec![&bob_first, &ann_first]),
        ("reference=r".into(), vec![]),
        (format!("reference=r+1&wallet_id={ann}"), vec![&ann_first]),
        (format!("wallet_id={ann}"), vec![&spent, &ann_first, &bought]),
        (format!("wallet_id={ann}&type=purchase"), vec![&ann_first, &bought]),
        (format!("user_id={BOB_ID}"), vec![&bob_first]),
        (format!("user_id={ANN_ID}&wallet_id={bob}"), vec![]),
        (format!("user_id={ANN_ID}&wallet_id={ann}&type=spend"), vec![&spent]),
        (format!("from={}", day(1)), vec![&spent, &bob_first, &ann_first]),
        (format!("to={}", day(1)), vec![&bought]),
        (format!("from={}&to={}", day(1), day(2)), vec![&bob_first, &ann_first]),
        (format!("from={}&to={}&user_id={ANN_ID}", day(1), day(2)), vec![&ann_first]),
        (format!("from={}&type=purchase&reference=r+1", day(2)), vec![]),
        ("from=2026-01-02T01%3A00%3A00%2B01:00&type=spend".into(), vec![&spent]),
        ("wallet_id=wal_x".into(), vec![]),
        ("user_id=me".into(), vec![]),
        (format!("wallet_id=wal_{}", "0".repeat(32)), vec![]),
    ];
    for (query, expected) in &table {
        for caller in [TILL, ADMIN] {
            let found = listed(&world, caller, &format!("?{query}")).await;
            assert_eq!(found.iter().collect::<Vec<_>>(), *expected, "{caller}: {query}");
        }
    }
    // A user sees nothing through a filter that it does not see without.
    for (query, expected) in [
        (format!("wallet_id={bob}"), vec![]),
        (format!("user_id={BOB_ID}"), vec![]),
        (format!("user_id={ANN_ID}"), vec![&spent, &ann_first, &bought]),
        ("reference=r+1".into(), vec![&ann_first]),
        (format!("wallet_id={ann}&to={}", day(1)), vec![&bought]),
    ] {
        let found = listed(&world, ANN, &format!("?{query}")).await;
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{query}");
    }
}

#[actix_web::test]
async fn what_no_filter_can_mean_is_refused() {
    let world = World::new().await;
    for (query, code) in [
        ("type=gift", "invalid_parameter"),
        ("from=yesterday", "invalid_parameter"),
        ("to=2026-01-02T00:00:00+01:00", "invalid_parameter"), // a bare + is a space
        ("limit=0", "invalid_parameter"),
        ("limit=201", "invalid_parameter"),
        ("cursor=x", "invalid_cursor"),
        ("wallet=x", "unknown_parameter"),
    ] {
        let answer = world.get(TILL, &format!("/v1/transactions?{query}")).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, code), "{query}");
    }
}

#[actix_web::test]
async fn rows_added_while_someone_pages_neither_repeat_nor_hide_older_ones() {
    let world = World::new().await;
    let ann = world.wallet(ANN_ID).await;
    let abroad = world.wallet_in(world.other_app, BOB_ID, AssetCode::CREDIT).await;
    let mut made = Vec::new();
    for round in 0..7 {
        // Some rows of both books stand at the same instant.
        made.push(id(&world.purchase(&ann, 10).await));
        let body = json!({ "type": "purchase", "wallet_id": abroad, "amount": 10 });
        made.push(id(&world.make(OTHER_TILL, &body).await));
        if round % 3 == 0 {
            world.clock.advance_millis(5);
        }
    }
    for (caller, query) in [(ADMIN, "?limit=3"), (TILL, "?limit=2"), (ANN, "?limit=1")] {
        let before = listed(&world, caller, "").await;
        let mut seen = Vec::new();
        let mut path = format!("/v1/transactions{query}");
        loop {
            let answer = world.get(caller, &path).await;
            let page = answer.json();
            seen.extend(ids(&page));
            world.purchase(&ann, 1).await;
            world.make(OTHER_TILL, &spend(&abroad, 1)).await;
            world.clock.advance_millis(1);
            let Some(cursor) = page["next_cursor"].as_str() else {
                assert_eq!((&page["has_more"], answer.header("link")), (&json!(false), None));
                break;
            };
            path = format!("/v1/transactions{query}&cursor={cursor}");
            assert_eq!(answer.header("link"), Some(format!("<{path}>; rel=\"next\"").as_str()));
        }
        assert_eq!(seen, before, "{caller}");
    }
    let own: Vec<String> = made.iter().step_by(2).rev().cloned().collect();
    let listed = listed(&world, TILL, "?limit=200").await;
    assert_eq!(listed[listed.len() - 7..], own);
}

#[actix_web::test]
async fn a_cursor_serves_only_the_list_it_was_made_for() {
    let world = World::new().await;
    let wallet = world.filled_wallet(10).await;
    world.spend(&wallet, 1).await;
    let page = world.get(TILL, "/v1/transactions?limit=1").await.json();
    let cursor = text(&page["next_cursor"]);
    let good = world.get(TILL, &format!("/v1/transactions?limit=5&cursor={cursor}")).await;
    assert_eq!((good.status, ids(&good.json()).len()), (200, 1));
    for (caller, query) in [(ANN, ""), (TILL, "&type=spend"), (OTHER_TILL, "")] {
        let answer = world.get(caller, &format!("/v1/transactions?limit=1&cursor={cursor}{query}")).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "invalid_cursor"), "{caller}{query}");
    }
}

#[actix_web::test]
async fn one_transaction_is_shown_to_those_whose_it_is() {
    let world = World::new().await;
    let wallet = world.filled_wallet(10).await;
    let spent = world.spend(&wallet, 4).await;
    let path = format!("/v1/transactions/{}", id(&spent));
    for caller in [ANN, TILL, READER, ADMIN, SUPPORT] {
        let answer = world.get(caller, &path).await;
        assert_eq!((answer.status, answer.json()), (200, spent.clone()), "{caller}");
    }
    for (caller, status) in [(BOB, 404), (OTHER_TILL, 404), (STRANGER, 403), ("nobody", 401)] {
        assert_eq!(world.get(caller, &path).await.status, status, "{caller}");
    }
    for unknown in ["txn_x", "wal_x", "txn_00000000000070008000000000000000"] {
        let answer = world.get(TILL, &format!("/v1/transactions/{unknown}")).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"));
    }
}

#[actix_web::test]
async fn a_list_shows_what_has_been_refunded() {
    let world = World::new().await;
    let wallet = world.filled_wallet(10).await;
    let spent = world.spend(&wallet, 4).await;
    world.refunded(&spent, &json!({ "amount": 3 })).await;
    let page = world.get(ANN, "/v1/transactions?type=spend").await.json();
    assert_eq!((&page["data"][0]["id"], &page["data"][0]["refunded_amount"]), (&spent["id"], &json!(3)));
}
