//! Credits given, and credits put right.

use credit_core::{Clock, MAX_AMOUNT};
use serde_json::{Value, json};

use super::world::{ADMIN, ANN_ID, DAY, TILL, World, spend, text};

#[actix_web::test]
async fn a_grant_is_a_promotional_lot_with_its_own_times_and_priority() {
    let world = World::new().await;
    let wallet = world.wallet(ANN_ID).await;
    let now = world.clock.now();
    let (from, until) = (now.plus_seconds(DAY), now.plus_seconds(2 * DAY));
    let body = json!({
        "type": "grant", "wallet_id": wallet, "amount": 7, "effective_at": from, "expires_at": until, "priority": 3,
    });

    let made = world.make(TILL, &body).await;

    assert_eq!(made["type"], "grant");
    assert_eq!(made["entries"][0]["direction"], "credit");
    assert_eq!(made["entries"][1]["account"], "system:issuance");
    let state = world.see(&wallet).await;
    let lot = &state.lots[0];
    assert_eq!((lot.effective_at, lot.expires_at, lot.priority.get()), (from, Some(until), 3));
    assert_eq!((state.balance(), state.scheduled(now), state.available(now)), (7, 7, 0));
    assert_eq!(lot.transaction.to_string(), text(&made["id"]));
    world.holds_together().await;
}

#[actix_web::test]
async fn an_expiry_must_be_to_come_and_after_the_effective_date() {
    let world = World::new().await;
    let wallet = world.wallet(ANN_ID).await;
    let now = world.clock.now();
    let grant = |effective_at: Value, expires_at: Value| {
        json!({
            "type": "grant", "wallet_id": wallet, "amount": 7,
            "effective_at": effective_at, "expires_at": expires_at,
        })
    };
    let wrong = [
        grant(Value::Null, json!(now)),
        grant(Value::Null, json!(now.plus_seconds(-1))),
        grant(json!(now.plus_seconds(9)), json!(now.plus_seconds(9))),
        grant(json!(now.plus_seconds(-9)), json!(now.plus_seconds(-5))),
        json!({ "type": "purchase", "wallet_id": wallet, "amount": 7, "expires_at": now }),
        // Also where there is no such wallet: the form comes first.
        json!({ "type": "purchase", "wallet_id": "wal_x", "amount": 7, "expires_at": now }),
    ];
    for body in wrong {
        let refusal = world.refuses(TILL, &body, 422, "validation_failed").await;
        assert_eq!(refusal["errors"][0]["pointer"], "/expires_at", "{body}");
    }
    let right = [
        grant(Value::Null, json!(now.plus_millis(1))),
        grant(json!(now.plus_seconds(-9)), json!(now.plus_seconds(5))),
        grant(json!(now.plus_seconds(9)), Value::Null),
    ];
    for body in right {
        world.make(TILL, &body).await;
    }
}

#[actix_web::test]
async fn a_past_expiry_stands_beside_every_other_fault() {
    let world = World::new().await;
    let wallet = world.wallet(ANN_ID).await;
    let body = json!({
        "type": "grant", "wallet_id": wallet, "amount": 0, "priority": 101, "expires_at": world.clock.now(), "x": 1,
    });
    let refusal = world.refuses(TILL, &body, 422, "validation_failed").await;
    let mut pointers: Vec<String> =
        refusal["errors"].as_array().expect("faults").iter().map(|fault| text(&fault["pointer"])).collect();
    pointers.sort();
    assert_eq!(pointers, ["/amount", "/expires_at", "/priority", "/x"]);
}

#[actix_web::test]
async fn the_repetition_of_a_grant_gets_its_answer_also_when_its_credits_have_expired() {
    let world = World::new().await;
    let wallet = world.wallet(ANN_ID).await;
    let body = json!({
        "type": "grant", "wallet_id": wallet, "amount": 7, "expires_at": world.clock.now().plus_seconds(DAY),
    });
    let first = world.post_with_key(TILL, "gift", &body).await;
    world.clock.advance_seconds(2 * DAY);

    let again = world.post_with_key(TILL, "gift", &body).await;

    assert_eq!((again.status, again.header("idempotent-replayed")), (201, Some("true")));
    assert_eq!(again.body, first.body);
    // With a key of its own it comes too late, and leaves that key unspent.
    let late = world.post_with_key(TILL, "late", &body).await;
    assert_eq!((late.status, late.code().as_str()), (422, "validation_failed"));
    assert_eq!(world.post_with_key(TILL, "late", &spend(&wallet, 1)).await.status, 402);
    world.holds_together().await;
}

#[actix_web::test]
async fn an_adjustment_puts_credits_right_either_way() {
    let world = World::new().await;
    let wallet = world.filled_wallet(10).await;
    world.set_overdraft(&wallet, 100).await;
    let adjust = |direction: &str, amount: i64| {
        json!({
            "type": "adjustment", "wallet_id": wallet, "direction": direction, "amount": amount, "reason": "miscounted",
        })
    };

    let more = world.make(ADMIN, &adjust("credit", 5)).await;
    let less = world.make(ADMIN, &adjust("debit", 12)).await;

    assert_eq!(more["reason"], "miscounted");
    assert_eq!(more["entries"][1]["account"], "system:adjustments");
    assert_eq!(less["taken_from"].as_array().expect("lots").len(), 2);
    assert_eq!(world.balance(&wallet).await, 3);
    // A debit stops at the lots, whatever the overdraft.
    world.refuses(ADMIN, &adjust("debit", 4), 402, "insufficient_funds").await;
    world.refuses(TILL, &adjust("credit", 1), 403, "forbidden").await;
    let nameless = json!({ "type": "adjustment", "wallet_id": wallet, "direction": "up", "amount": 1 });
    let refusal = world.refuses(ADMIN, &nameless, 422, "validation_failed").await;
    assert_eq!(refusal["errors"].as_array().expect("faults").len(), 2);
    world.holds_together().await;
}

#[actix_web::test]
async fn a_balance_never_passes_the_largest_amount() {
    let world = World::new().await;
    let wallet = world.filled_wallet(MAX_AMOUNT - 1).await;
    for kind in ["purchase", "grant"] {
        let body = json!({ "type": kind, "wallet_id": wallet, "amount": 2 });
        world.refuses(TILL, &body, 422, "balance_overflow").await;
    }
    world.purchase(&wallet, 1).await;
    let spent = world.spend(&wallet, 1).await;
    world.purchase(&wallet, 1).await;
    world.refuses_refund(&spent, &json!({}), "balance_overflow").await;
    assert_eq!(world.balance(&wallet).await, MAX_AMOUNT);
    world.holds_together().await;
}
