//! Setting credits aside.

use credit_core::Scope;
use credit_wallet::domain::Category;
use credit_wallet::domain::moves::Deposit;
use serde_json::json;

use super::world::{alice, alice_with, assert_refused, hold, lots, till};

#[actix_web::test]
async fn a_hold_reserves_lots_in_draw_order_and_tells_which() {
    let (house, wallet) = alice_with(0).await;
    let ground = &house.ground;
    let expiring = |amount, seconds| Deposit {
        expires_at: Some(house.in_seconds(seconds)),
        ..Deposit::new(amount, Category::Paid)
    };
    ground.seed(wallet, 10).await;
    ground.seed_lot(wallet, expiring(10, 2000)).await;
    ground.seed_lot(wallet, expiring(10, 1000)).await;
    let lots = lots(&house, wallet).await;
    let path = format!("/v1/wallets/{wallet}/holds");
    let body = json!({ "amount": 15, "reference": "order-1", "metadata": { "a": "b" } });
    let made = house.once(&alice(), "h", &path, body).await;
    assert_eq!(made.status, 201, "{:?}", made.json());
    let hold = made.json();
    assert_eq!(
        hold["reserved_from"],
        json!([{ "grant_id": lots[0]["id"], "amount": 10 }, { "grant_id": lots[1]["id"], "amount": 5 }])
    );
    assert_eq!((&hold["amount"], &hold["captured"], &hold["remaining"]), (&json!(15), &json!(0), &json!(15)));
    assert_eq!((&hold["state"], &hold["version"]), (&json!("active"), &json!(1)));
    assert_eq!((&hold["reference"], &hold["metadata"]), (&json!("order-1"), &json!({ "a": "b" })));
    assert_eq!(hold["expires_at"], json!(house.in_seconds(7 * 24 * 3600)));
    assert!(hold["created_by"].as_str().expect("a caller").starts_with("usr_"));
    let wallet_now = house.look(wallet).await;
    assert_eq!((&wallet_now["balance"], &wallet_now["held"]), (&json!(30), &json!(15)));
    assert_eq!((&wallet_now["available"], &wallet_now["version"]), (&json!(15), &hold["wallet_version"]));
    let path = format!("/v1/holds/{}", hold["id"].as_str().expect("an id"));
    let seen = house.get(&house.key(&[Scope::WalletsRead]), &path).await;
    assert_eq!((seen.json(), seen.header("etag")), (hold, Some("\"1\"")));
}

#[actix_web::test]
async fn a_hold_of_more_than_there_is_takes_nothing_and_tells_what_is_short() {
    let (house, wallet) = alice_with(10).await;
    hold(&house, wallet, 4).await;
    let later = Deposit { effective_at: Some(house.in_seconds(60)), ..Deposit::new(5, Category::Paid) };
    house.ground.seed_lot(wallet, later).await;
    let before = house.look(wallet).await;
    let path = format!("/v1/wallets/{wallet}/holds");
    let answer = house.once(&alice(), "h", &path, json!({ "amount": 7 })).await;
    assert_refused(&house, wallet, &before, &answer, (402, "insufficient_funds")).await;
    let problem = answer.json();
    for (member, value) in [("required", 7), ("available", 6), ("held", 4), ("shortfall", 1)] {
        assert_eq!(problem[member], value, "{member}");
    }
    assert_eq!(problem["next_effective_at"], json!(house.in_seconds(60)));
}

#[actix_web::test]
async fn a_hold_never_reaches_into_the_overdraft() {
    let (house, wallet) = alice_with(10).await;
    let patch = json!({ "overdraft_limit": 100 });
    house.ask(&till(&house), "PATCH", &format!("/v1/wallets/{wallet}"), &[], Some(patch)).await;
    let before = house.look(wallet).await;
    let path = format!("/v1/wallets/{wallet}/holds");
    let answer = house.once(&alice(), "h", &path, json!({ "amount": 11 })).await;
    assert_refused(&house, wallet, &before, &answer, (402, "insufficient_funds")).await;
}

#[actix_web::test]
async fn a_hold_that_is_not_one_is_refused_with_every_fault() {
    let (house, wallet) = alice_with(10).await;
    let before = house.look(wallet).await;
    let path = format!("/v1/wallets/{wallet}/holds");
    for body in [
        json!({}),
        json!({ "amount": 0 }),
        json!({ "amount": -1 }),
        json!({ "amount": 1.0 }),
        json!({ "amount": "1" }),
        json!({ "amount": 9_007_199_254_740_992_i64 }),
        json!({ "amount": 1, "expires_in": 0 }),
        json!({ "amount": 1, "expires_in": 2_678_401 }),
        json!({ "amount": 1, "reference": "r".repeat(256) }),
        json!({ "amount": 1, "wallet": "x" }),
    ] {
        let answer = house.once(&alice(), "h", &path, body).await;
        assert_refused(&house, wallet, &before, &answer, (422, "validation_failed")).await;
    }
    let answer = house.once(&alice(), "h", &path, json!({ "amount": 0, "expires_in": 0, "x": 1 })).await;
    assert_eq!(answer.json()["errors"].as_array().expect("faults").len(), 3);
}

#[actix_web::test]
async fn a_hold_lasts_31_days_at_most() {
    let (house, wallet) = alice_with(10).await;
    let path = format!("/v1/wallets/{wallet}/holds");
    let longest = house.once(&alice(), "h", &path, json!({ "amount": 1, "expires_in": 2_678_400 })).await;
    assert_eq!((longest.status, &longest.json()["expires_at"]), (201, &json!(house.in_seconds(2_678_400))));
}
