//! Credits given back, and bought credits taken back.

use credit_core::Clock;
use serde_json::{Value, json};

use super::world::{ANN, ANN_ID, BOB_ID, DAY, OTHER_TILL, READER, TILL, World, spend, text};

/// The lots that a refund credited: id and amount, in its order.
fn credited(refund: &Value) -> Vec<(Value, i64)> {
    let rows = refund["credited_to"].as_array().expect("lots").iter();
    rows.map(|row| (row["grant_id"].clone(), row["amount"].as_i64().expect("an amount"))).collect()
}

fn lot_of(made: &Value) -> Value {
    made["credited_to"][0]["grant_id"].clone()
}

async fn refunded_amount(world: &World, transaction: &Value) -> i64 {
    let path = format!("/v1/transactions/{}", text(&transaction["id"]));
    world.get(TILL, &path).await.json()["refunded_amount"].as_i64().expect("an amount")
}

#[actix_web::test]
async fn a_refund_goes_back_to_the_lots_last_taken_first() {
    let world = World::new().await;
    let wallet = world.wallet(ANN_ID).await;
    let first = lot_of(&world.grant(&wallet, 10, 1).await);
    let second = lot_of(&world.grant(&wallet, 20, 2).await);
    let third = lot_of(&world.purchase(&wallet, 30).await);
    let spent = world.spend(&wallet, 45).await;

    let some = world.refunded(&spent, &json!({ "amount": 18, "reason": "broken" })).await;
    let more = world.refunded(&spent, &json!({ "amount": 20 })).await;
    let rest = world.refunded(&spent, &json!({})).await;

    assert_eq!(credited(&some), [(third.clone(), 15), (second.clone(), 3)]);
    assert_eq!(credited(&more), [(second.clone(), 17), (first.clone(), 3)]);
    assert_eq!(credited(&rest), [(first.clone(), 7)]);
    assert_eq!(
        (&some["type"], &some["refund_of"], &some["reason"]),
        (&json!("refund"), &spent["id"], &json!("broken"))
    );
    assert_eq!(some["entries"][1]["account"], "system:revenue");
    for (lot, amount) in [(first, 10), (second, 20), (third, 30)] {
        assert_eq!(world.lot(&lot).await.1, amount);
    }
    assert_eq!(refunded_amount(&world, &spent).await, 45);
    let refusal = world.refuses_refund(&spent, &json!({}), "refund_exceeds_original").await;
    assert_eq!(refusal["refundable"], 0);
    world.holds_together().await;
}

#[actix_web::test]
async fn refunds_never_exceed_the_original() {
    let world = World::new().await;
    let wallet = world.filled_wallet(10).await;
    let spent = world.spend(&wallet, 10).await;
    world.refuses_refund(&spent, &json!({ "amount": 11 }), "refund_exceeds_original").await;
    world.refunded(&spent, &json!({ "amount": 9 })).await;
    let refusal = world.refuses_refund(&spent, &json!({ "amount": 2 }), "refund_exceeds_original").await;
    assert_eq!(refusal["refundable"], 1);
    world.refunded(&spent, &json!({ "amount": 1 })).await;
    assert_eq!(world.balance(&wallet).await, 10);
    world.holds_together().await;
}

#[actix_web::test]
async fn for_an_expired_lot_a_successor_is_opened_for_thirty_days() {
    let world = World::new().await;
    let wallet = world.wallet(ANN_ID).await;
    let old = lot_of(&world.grant(&wallet, 10, 1).await);
    let paid = lot_of(&world.purchase(&wallet, 10).await);
    let spent = world.spend(&wallet, 15).await;
    world.clock.advance_seconds(DAY);

    let refund = world.refunded(&spent, &json!({})).await;

    let lots = credited(&refund);
    assert_eq!(lots[0], (paid, 5));
    let (successor, amount) = &lots[1];
    assert_ne!(*successor, old);
    let now = world.clock.now();
    assert_eq!(*amount, 10);
    assert_eq!(world.lot(successor).await, (10, 10, Some(now.plus_seconds(30 * DAY))));
    let state = world.see(&wallet).await;
    let lot = state.lots.iter().find(|lot| lot.successor_of.is_some()).expect("a successor");
    assert_eq!(lot.successor_of.map(|id| id.to_string()), Some(text(&old)));
    assert_eq!((lot.effective_at, format!("{:?}", lot.category)), (now, "Promotional".to_owned()));
    world.holds_together().await;
}

#[actix_web::test]
async fn for_a_voided_lot_too() {
    let world = World::new().await;
    let wallet = world.wallet(ANN_ID).await;
    let lot = lot_of(&world.purchase(&wallet, 10).await);
    let spent = world.spend(&wallet, 4).await;
    world.void(&wallet, &lot).await;

    let refund = world.refunded(&spent, &json!({})).await;

    let (successor, _) = &credited(&refund)[0];
    assert_ne!(*successor, lot);
    assert_eq!(world.lot(successor).await.1, 4);
    assert_eq!((world.lot(&lot).await.1, world.balance(&wallet).await), (0, 4));
    world.holds_together().await;
}

#[actix_web::test]
async fn the_overdrawn_part_repays_first_and_what_is_left_of_it_opens_a_paid_lot() {
    let world = World::new().await;
    let wallet = world.filled_wallet(10).await;
    world.set_overdraft(&wallet, 50).await;
    let spent = world.spend(&wallet, 40).await;
    assert_eq!(spent["overdrawn"], 30);
    let original = spent["taken_from"][0]["grant_id"].clone();

    let first = world.refunded(&spent, &json!({ "amount": 12 })).await;
    assert_eq!((&first["overdrawn"], credited(&first)), (&json!(12), vec![]));
    assert_eq!(world.see(&wallet).await.overdrawn, 18);
    // Ten more come in and repay; of the next eighteen refunded, eight repay and ten open a lot.
    world.purchase(&wallet, 10).await;
    let second = world.refunded(&spent, &json!({})).await;

    assert_eq!(second["overdrawn"], 8);
    let lots = credited(&second);
    assert_eq!((lots[0].1, lots[1].clone()), (10, (original, 10)));
    assert_eq!(world.lot(&lots[0].0).await, (10, 10, None));
    let state = world.see(&wallet).await;
    assert_eq!((state.balance(), state.overdrawn), (20, 0));
    world.holds_together().await;
}

#[actix_web::test]
async fn a_capture_is_refunded_like_a_spend() {
    let world = World::new().await;
    let wallet = world.filled_wallet(10).await;
    let hold = world.hold(&wallet, 6).await;
    let captured = world.capture(&wallet, hold).await;
    assert_eq!((&captured["type"], &captured["hold_id"]), (&json!("capture"), &json!(hold.to_string())));

    let refund = world.refunded(&captured, &json!({ "amount": 6 })).await;

    assert_eq!(refund["credited_to"][0]["grant_id"], captured["taken_from"][0]["grant_id"]);
    assert_eq!((world.balance(&wallet).await, refunded_amount(&world, &captured).await), (10, 6));
    world.holds_together().await;
}

#[actix_web::test]
async fn of_a_purchase_only_what_is_neither_spent_nor_held_is_taken_back() {
    let world = World::new().await;
    let wallet = world.wallet(ANN_ID).await;
    let bought = world.purchase(&wallet, 100).await;
    world.spend(&wallet, 30).await;
    let hold = world.hold(&wallet, 20).await;
    let refusal = world.refuses_refund(&bought, &json!({ "amount": 51 }), "refund_exceeds_remaining").await;
    assert_eq!(refusal["remaining"], 50);

    let refund = world.refunded(&bought, &json!({})).await;

    assert_eq!((&refund["amount"], &refund["taken_from"][0]["amount"]), (&json!(50), &json!(50)));
    assert_eq!(refund["entries"][0]["direction"], "debit");
    assert_eq!(refund["entries"][1]["account"], "system:issuance");
    assert_eq!((world.balance(&wallet).await, refunded_amount(&world, &bought).await), (20, 50));
    world.refuses_refund(&bought, &json!({}), "refund_exceeds_remaining").await;
    world.refuses_refund(&bought, &json!({ "amount": 101 }), "refund_exceeds_original").await;
    world.release(&wallet, hold).await;
    world.refunded(&bought, &json!({})).await;
    assert_eq!((world.balance(&wallet).await, refunded_amount(&world, &bought).await), (0, 70));
    world.holds_together().await;
}

#[actix_web::test]
async fn an_expired_purchase_has_nothing_left_to_take_back() {
    let world = World::new().await;
    let wallet = world.wallet(ANN_ID).await;
    let expires_at = world.clock.now().plus_seconds(DAY);
    let body = json!({ "type": "purchase", "wallet_id": wallet, "amount": 9, "expires_at": expires_at });
    let bought = world.make(TILL, &body).await;
    world.clock.set(expires_at);
    world.refuses_refund(&bought, &json!({}), "refund_exceeds_remaining").await;
    world.holds_together().await;
}

#[actix_web::test]
async fn a_purchase_that_paid_an_overdraft_keeps_that_part() {
    let world = World::new().await;
    let wallet = world.wallet(ANN_ID).await;
    world.set_overdraft(&wallet, 10).await;
    world.spend(&wallet, 10).await;
    let bought = world.purchase(&wallet, 25).await;
    world.refuses_refund(&bought, &json!({ "amount": 16 }), "refund_exceeds_remaining").await;
    world.refunded(&bought, &json!({ "amount": 15 })).await;
    assert_eq!(world.balance(&wallet).await, 0);
    world.holds_together().await;
}

#[actix_web::test]
async fn nothing_else_is_refundable() {
    let world = World::new().await;
    let (wallet, other) = (world.filled_wallet(50).await, world.wallet(BOB_ID).await);
    let granted = world.grant(&wallet, 5, 9).await;
    let body = json!({
        "type": "transfer", "source_wallet_id": wallet, "destination_wallet_id": other, "amount": 1,
    });
    let passed = world.make(TILL, &body).await;
    let body = json!({ "type": "adjustment", "wallet_id": wallet, "direction": "debit", "amount": 1, "reason": "r" });
    let adjusted = world.make(super::world::ADMIN, &body).await;
    let spent = world.spend(&wallet, 1).await;
    let refund = world.refunded(&spent, &json!({})).await;
    for transaction in [&granted, &passed, &adjusted, &refund] {
        world.refuses_refund(transaction, &json!({}), "not_refundable").await;
    }
    world.holds_together().await;
}

#[actix_web::test]
async fn only_the_back_end_and_admins_refund_and_only_what_they_see() {
    let world = World::new().await;
    let wallet = world.filled_wallet(50).await;
    let spent = world.spend(&wallet, 5).await;
    let path = format!("/v1/transactions/{}/refund", text(&spent["id"]));
    for (caller, status) in [(ANN, 403), (super::world::SUPPORT, 403), (READER, 403), (OTHER_TILL, 404)] {
        let answer = world.call("POST", &path, caller, &[("idempotency-key", "k")], None).await;
        assert_eq!(answer.status, status, "{caller}");
    }
    for id in ["txn_x", "txn_00000000000070008000000000000000"] {
        let path = format!("/v1/transactions/{id}/refund");
        let answer = world.call("POST", &path, TILL, &[("idempotency-key", "k")], None).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"));
    }
    assert_eq!(world.balance(&wallet).await, 45);
    // No body at all is an empty one.
    let answer = world.call("POST", &path, super::world::ADMIN, &[("idempotency-key", "k")], None).await;
    assert_eq!((answer.status, world.balance(&wallet).await), (201, 50));
}

#[actix_web::test]
async fn the_form_of_a_refund_comes_before_its_key_and_its_key_before_what_it_names() {
    let world = World::new().await;
    let path = "/v1/transactions/txn_x/refund";
    let wrong = json!({ "amount": 1.5, "reason": "x".repeat(501), "why": 1 });
    let answer = world.call("POST", path, TILL, &[], Some(&wrong)).await;
    assert_eq!((answer.status, answer.json()["errors"].as_array().map(Vec::len)), (422, Some(3)));
    let answer = world.call("POST", path, TILL, &[], Some(&json!({}))).await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "idempotency_key_required"));
}

#[actix_web::test]
async fn what_was_refunded_can_be_spent_again() {
    let world = World::new().await;
    let wallet = world.filled_wallet(10).await;
    let spent = world.spend(&wallet, 10).await;
    world.refuses(TILL, &spend(&wallet, 1), 402, "insufficient_funds").await;
    world.refunded(&spent, &json!({})).await;
    world.spend(&wallet, 10).await;
    world.holds_together().await;
}
