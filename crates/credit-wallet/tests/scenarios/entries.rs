//! `GET /v1/wallets/{id}/entries`.

use credit_wallet::testkit::Take;
use serde_json::{Value, json};

use super::world::{alice, alice_with, column, till};

#[actix_web::test]
async fn entries_are_numbered_without_gaps_and_tell_the_balance_after_each() {
    let (house, wallet) = alice_with(100).await;
    for amount in 1..=4 {
        house.ground.command(house.ground.app, Take { wallet, amount }).await;
    }
    let path = format!("/v1/wallets/{wallet}/entries");
    let entries = house.get(&alice(), &path).await;
    assert_eq!(column(&entries, "sequence"), [5, 4, 3, 2, 1]);
    assert_eq!(column(&entries, "amount"), [4, 3, 2, 1, 100]);
    assert_eq!(column(&entries, "direction"), ["debit", "debit", "debit", "debit", "credit"]);
    assert_eq!(column(&entries, "balance_after"), [90, 94, 97, 99, 100]);
    assert!(column(&entries, "account").iter().all(|account| *account == json!(wallet)));
    assert_eq!(house.get(&till(&house), &path).await.json(), entries.json());
}

#[actix_web::test]
async fn pages_of_entries_neither_repeat_nor_hide_any_when_more_come_in() {
    let (house, wallet) = alice_with(100).await;
    for _ in 0..6 {
        house.ground.command(house.ground.app, Take { wallet, amount: 1 }).await;
    }
    let path = format!("/v1/wallets/{wallet}/entries?limit=2");
    let mut page = house.get(&alice(), &path).await;
    let mut seen: Vec<Value> = Vec::new();
    loop {
        seen.extend(column(&page, "sequence"));
        house.ground.command(house.ground.app, Take { wallet, amount: 1 }).await;
        let Some(cursor) = page.json()["next_cursor"].as_str().map(str::to_owned) else { break };
        page = house.get(&alice(), &format!("{path}&cursor={cursor}")).await;
    }
    assert_eq!(seen, [7, 6, 5, 4, 3, 2, 1]);
}
