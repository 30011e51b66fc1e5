//! `GET /v1/wallets/{id}/balance?at=`.

use credit_core::{Timestamp, WalletId};
use credit_wallet::domain::Category;
use credit_wallet::domain::moves::Deposit;
use credit_wallet::testkit::{Take, WalletHouse};
use serde_json::json;

use super::world::{alice, alice_with, hold};

async fn assert_balance(house: &WalletHouse, wallet: WalletId, at: Timestamp, figures: [i64; 3]) {
    let answer = house.get(&alice(), &format!("/v1/wallets/{wallet}/balance?at={at}")).await;
    let [balance, held, available] = figures;
    let expected = json!({
        "wallet_id": wallet, "at": at, "balance": balance, "held": held, "available": available
    });
    assert_eq!((answer.status, answer.json()), (200, expected));
}

#[actix_web::test]
async fn a_balance_is_told_at_any_instant_past_or_to_come() {
    let (house, wallet) = alice_with(0).await;
    let start = house.in_seconds(0);
    let at = |seconds: i64| start.plus_seconds(seconds);
    house.wait_seconds(100);
    house.ground.seed(wallet, 50).await;
    house.wait_seconds(100);
    let lot = Deposit {
        effective_at: Some(at(400)),
        expires_at: Some(at(500)),
        ..Deposit::new(20, Category::Paid)
    };
    house.ground.seed_lot(wallet, lot).await;
    house.wait_seconds(50);
    hold(&house, wallet, 10).await;
    house.wait_seconds(50);
    house.ground.command(house.ground.app, Take { wallet, amount: 5 }).await;
    let figures = [
        (-1000, [0, 0, 0]),
        (99, [0, 0, 0]),
        (100, [50, 0, 50]),
        (199, [50, 0, 50]),
        (200, [70, 0, 50]),
        (250, [70, 10, 40]),
        (300, [65, 10, 35]),
        (399, [65, 10, 35]),
        (400, [65, 10, 55]),
        (499, [65, 10, 55]),
        (500, [45, 10, 35]),
        (1_000_000, [45, 0, 45]),
    ];
    for (seconds, figures) in figures {
        assert_balance(&house, wallet, at(seconds), figures).await;
    }
    house.wait_seconds(1_000_000);
    house.sweep().await;
    house.ground.seed(wallet, 1).await;
    for (seconds, figures) in figures {
        assert_balance(&house, wallet, at(seconds), figures).await;
    }
}

#[actix_web::test]
async fn without_an_instant_the_balance_is_that_of_now() {
    let (house, wallet) = alice_with(7).await;
    let answer = house.get(&alice(), &format!("/v1/wallets/{wallet}/balance")).await;
    let expected =
        json!({ "wallet_id": wallet, "at": house.in_seconds(0), "balance": 7, "held": 0, "available": 7 });
    assert_eq!((answer.status, answer.json()), (200, expected));
}

#[actix_web::test]
async fn an_instant_that_is_none_is_refused() {
    let (house, wallet) = alice_with(7).await;
    for at in ["yesterday", "2026-01-01", "2026-13-01T00:00:00Z", ""] {
        let answer = house.get(&alice(), &format!("/v1/wallets/{wallet}/balance?at={at}")).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "invalid_parameter"), "{at}");
    }
}
