//! What falls due by itself.

use credit_core::WalletId;
use credit_wallet::domain::Category;
use credit_wallet::domain::moves::Deposit;
use credit_wallet::testkit::{WalletHouse, nothing};
use serde_json::json;

use super::world::{alice, alice_with, column, hold, lots};

async fn with_a_lot_for(house: &WalletHouse, wallet: WalletId, amount: i64, seconds: i64) {
    let expires_at = Some(house.in_seconds(seconds));
    house.ground.seed_lot(wallet, Deposit { expires_at, ..Deposit::new(amount, Category::Paid) }).await;
}

#[actix_web::test]
async fn a_lot_that_is_due_is_gone_from_every_read_before_it_is_posted_and_posted_by_the_sweep() {
    let (house, wallet) = alice_with(10).await;
    with_a_lot_for(&house, wallet, 5, 60).await;
    let entries = format!("/v1/wallets/{wallet}/entries");
    assert_eq!(
        house.look(wallet).await["expiring"],
        json!([{ "amount": 5, "expires_at": house.in_seconds(60) }])
    );
    house.wait_seconds(59);
    assert_eq!(house.look(wallet).await["balance"], 15);
    house.wait_seconds(1);
    let due = house.look(wallet).await;
    assert_eq!((&due["balance"], &due["available"], &due["expiring"]), (&json!(10), &json!(10), &json!([])));
    assert_eq!(lots(&house, wallet).await[0]["state"], "expired");
    let balance = house.get(&alice(), &format!("/v1/wallets/{wallet}/balance")).await.json();
    assert_eq!(balance["balance"], 10);
    let listed = house.get(&alice(), "/v1/wallets").await;
    assert_eq!(listed.json()["data"], json!([due]));
    assert_eq!(column(&house.get(&alice(), &entries).await, "type"), ["grant", "grant"]);

    assert_eq!(house.sweep().await, 1);
    assert_eq!(house.look(wallet).await, due, "posting changes nothing that could be seen");
    let posted = house.get(&alice(), &entries).await;
    assert_eq!(column(&posted, "type"), ["expiry", "grant", "grant"]);
    assert_eq!(column(&posted, "balance_after"), [10, 15, 10]);
    assert_eq!(house.sweep().await, 0);
}

#[actix_web::test]
async fn a_lot_that_is_due_is_not_spent_even_before_the_sweep() {
    let (house, wallet) = alice_with(0).await;
    with_a_lot_for(&house, wallet, 5, 60).await;
    house.wait_seconds(60);
    let path = format!("/v1/wallets/{wallet}/holds");
    let answer = house.once(&alice(), "h", &path, json!({ "amount": 1 })).await;
    assert_eq!((answer.status, &answer.json()["available"]), (402, &json!(0)));
    let entries = house.get(&alice(), &format!("/v1/wallets/{wallet}/entries")).await;
    assert_eq!(column(&entries, "type"), ["expiry", "grant"], "the refused call posted what was due");
}

#[actix_web::test]
async fn a_hold_outlives_its_lot_and_what_it_gives_back_expires_at_once() {
    let (house, wallet) = alice_with(0).await;
    with_a_lot_for(&house, wallet, 10, 60).await;
    let hold = hold(&house, wallet, 6).await;
    house.wait_seconds(61);
    let now = house.look(wallet).await;
    assert_eq!((&now["balance"], &now["held"], &now["available"]), (&json!(6), &json!(6), &json!(0)));
    let path = format!("/v1/holds/{hold}/capture");
    let captured = house.once(&alice(), "c", &path, json!({ "amount": 2, "final": false })).await;
    assert_eq!(captured.status, 201, "the hold is honoured");
    assert_eq!(house.once(&alice(), "r", &format!("/v1/holds/{hold}/release"), nothing()).await.status, 200);
    let now = house.look(wallet).await;
    assert_eq!((&now["balance"], &now["held"]), (&json!(0), &json!(0)));
    let entries = house.get(&alice(), &format!("/v1/wallets/{wallet}/entries")).await;
    assert_eq!(column(&entries, "type"), ["expiry", "capture", "expiry", "grant"]);
    assert_eq!(column(&entries, "amount"), [4, 2, 4, 10]);
}

#[actix_web::test]
async fn expiry_goes_on_in_a_frozen_wallet() {
    let (house, wallet) = alice_with(1).await;
    with_a_lot_for(&house, wallet, 5, 60).await;
    house.post(&super::world::support(), &format!("/v1/wallets/{wallet}/freeze"), nothing()).await;
    house.wait_seconds(60);
    assert_eq!(house.look(wallet).await["balance"], 1);
    assert_eq!(house.sweep().await, 1);
    let entries = house.get(&alice(), &format!("/v1/wallets/{wallet}/entries")).await;
    assert_eq!(column(&entries, "type"), ["expiry", "grant", "grant"]);
}
