//! Credits used.

use credit_core::Clock;
use credit_wallet::domain::WalletStatus;
use serde_json::{Value, json};

use super::world::{ANN, ANN_ID, BOB, DAY, TILL, World, spend};

#[actix_web::test]
async fn a_spend_draws_from_the_lots_in_their_order_and_says_which() {
    let world = World::new().await;
    let wallet = world.wallet(ANN_ID).await;
    let paid = world.purchase(&wallet, 100).await;
    let later = world.grant(&wallet, 30, 20).await;
    let sooner = world.grant(&wallet, 20, 10).await;

    let answer = world.spend(&wallet, 60).await;

    let lots: Vec<(&Value, i64, &Value)> = answer["taken_from"]
        .as_array()
        .expect("lots")
        .iter()
        .map(|taken| (&taken["grant_id"], taken["amount"].as_i64().expect("amount"), &taken["category"]))
        .collect();
    let of = |made: &Value| made["credited_to"][0]["grant_id"].clone();
    let (sooner, later, paid) = (of(&sooner), of(&later), of(&paid));
    let (promotional, bought) = (json!("promotional"), json!("paid"));
    assert_eq!(lots, [(&sooner, 20, &promotional), (&later, 30, &promotional), (&paid, 10, &bought)]);
    assert_eq!(answer["amount"], 60);
    assert_eq!(answer["overdrawn"], 0);
    assert_eq!(answer["status"], "posted");
    assert_eq!(answer["wallet_id"], json!(wallet));
    assert_eq!(answer["refunded_amount"], 0);
    assert_eq!(answer["entries"][0]["balance_after"], 90);
    assert_eq!(answer["entries"][1]["account"], "system:revenue");
    assert_eq!(answer["entries"][1]["balance_after"], Value::Null);
    assert_eq!(world.balance(&wallet).await, 90);
    world.holds_together().await;
}

#[actix_web::test]
async fn a_user_spends_its_own_and_the_answer_bears_what_it_wrote() {
    let world = World::new().await;
    let wallet = world.filled_wallet(50).await;
    let body = json!({
        "type": "spend", "wallet_id": wallet, "amount": 5, "reference": "order 7", "metadata": { "shop": "Æ" },
    });

    let answer = world.make(ANN, &body).await;

    assert_eq!(answer["reference"], "order 7");
    assert_eq!(answer["metadata"], json!({ "shop": "Æ" }));
    assert_eq!(answer["created_by"], json!(ANN_ID.to_string()));
    assert_eq!(answer["created_at"], json!(world.clock.now()));
    assert_eq!(answer["wallet_version"], json!(world.see(&wallet).await.version));
    world.refuses(BOB, &spend(&wallet, 5), 404, "not_found").await;
}

#[actix_web::test]
async fn too_much_is_refused_with_what_there_is_and_what_is_to_come() {
    let world = World::new().await;
    let wallet = world.filled_wallet(100).await;
    world.hold(&wallet, 30).await;
    let effective_at = world.clock.now().plus_seconds(3 * DAY);
    let scheduled =
        json!({ "type": "grant", "wallet_id": wallet, "amount": 500, "effective_at": effective_at });
    world.make(TILL, &scheduled).await;

    let refusal = world.refuses(TILL, &spend(&wallet, 71), 402, "insufficient_funds").await;

    assert_eq!(refusal["required"], 71);
    assert_eq!(refusal["available"], 70);
    assert_eq!(refusal["held"], 30);
    assert_eq!(refusal["shortfall"], 1);
    assert_eq!(refusal["next_effective_at"], json!(effective_at));
    world.clock.set(effective_at);
    world.spend(&wallet, 570).await;
    world.holds_together().await;
}

#[actix_web::test]
async fn nothing_to_come_is_said_as_null() {
    let world = World::new().await;
    let wallet = world.filled_wallet(1).await;
    let refusal = world.refuses(ANN, &spend(&wallet, 2), 402, "insufficient_funds").await;
    assert_eq!(refusal["next_effective_at"], Value::Null);
    assert!(refusal.as_object().expect("members").contains_key("next_effective_at"));
}

#[actix_web::test]
async fn at_most_takes_what_there_is_and_never_the_overdraft() {
    let world = World::new().await;
    let wallet = world.filled_wallet(40).await;
    world.set_overdraft(&wallet, 100).await;
    let body = json!({ "type": "spend", "wallet_id": wallet, "amount": 60, "at_most": true });

    let answer = world.make(ANN, &body).await;

    assert_eq!((&answer["amount"], &answer["overdrawn"]), (&json!(40), &json!(0)));
    assert_eq!(world.balance(&wallet).await, 0);
    let refusal = world.refuses(ANN, &body, 402, "insufficient_funds").await;
    assert_eq!((&refusal["required"], &refusal["available"]), (&json!(60), &json!(0)));
    world.holds_together().await;
}

#[actix_web::test]
async fn a_spend_goes_beyond_the_lots_as_far_as_the_overdraft_and_credits_repay_it() {
    let world = World::new().await;
    let wallet = world.filled_wallet(40).await;
    world.set_overdraft(&wallet, 25).await;
    world.refuses(TILL, &spend(&wallet, 66), 402, "insufficient_funds").await;

    let answer = world.spend(&wallet, 65).await;

    assert_eq!(answer["overdrawn"], 25);
    assert_eq!(answer["taken_from"][0]["amount"], 40);
    assert_eq!(world.balance(&wallet).await, -25);
    let bought = world.purchase(&wallet, 30).await;
    assert_eq!(bought["credited_to"][0]["amount"], 30);
    assert_eq!(world.lot(&bought["credited_to"][0]["grant_id"]).await.1, 5);
    let state = world.see(&wallet).await;
    assert_eq!((state.balance(), state.overdrawn), (5, 0));
    world.holds_together().await;
}

#[actix_web::test]
async fn an_expired_lot_is_never_spent_even_before_it_is_swept() {
    let world = World::new().await;
    let wallet = world.wallet(ANN_ID).await;
    world.grant(&wallet, 10, 1).await;
    world.clock.advance_millis(DAY * 1000 - 1);
    world.spend(&wallet, 1).await;
    world.clock.advance_millis(1);

    let answer = world.post(TILL, &spend(&wallet, 1)).await;

    assert_eq!((answer.status, answer.json()["available"].as_i64()), (402, Some(0)));
    let page = world.get(TILL, &format!("/v1/transactions?wallet_id={wallet}&type=expiry")).await.json();
    assert_eq!((&page["data"][0]["amount"], &page["data"][0]["created_by"]), (&json!(9), &json!("system")));
    world.holds_together().await;
}

#[actix_web::test]
async fn nothing_moves_in_a_frozen_or_closed_wallet() {
    let world = World::new().await;
    let wallet = world.filled_wallet(10).await;
    let spent = world.spend(&wallet, 4).await;
    let other = world.wallet(super::world::BOB_ID).await;
    world.purchase(&other, 10).await;
    world.set_status(&wallet, WalletStatus::Frozen).await;
    let transfer = |from: &str, to: &str| json!({ "type": "transfer", "source_wallet_id": from, "destination_wallet_id": to, "amount": 1 });
    let bodies = [
        spend(&wallet, 1),
        // A wallet's state comes before what is in it.
        spend(&wallet, 1_000),
        json!({ "type": "purchase", "wallet_id": wallet, "amount": 1 }),
        json!({ "type": "grant", "wallet_id": wallet, "amount": 1 }),
        transfer(&wallet, &other),
        transfer(&other, &wallet),
    ];
    for body in &bodies {
        world.refuses(TILL, body, 409, "wallet_frozen").await;
    }
    let adjustment = json!({ "type": "adjustment", "wallet_id": wallet, "direction": "debit", "amount": 1, "reason": "r" });
    world.refuses(super::world::ADMIN, &adjustment, 409, "wallet_frozen").await;
    let refund = world.refund(&spent, &json!({})).await;
    assert_eq!((refund.status, refund.code().as_str()), (409, "wallet_frozen"));

    world.set_status(&wallet, WalletStatus::Active).await;
    world.spend(&wallet, 6).await;
    world.set_status(&wallet, WalletStatus::Closed).await;
    for body in &bodies {
        world.refuses(TILL, body, 409, "wallet_closed").await;
    }
    world.holds_together().await;
}
