//! Credits bought, and the payment's id.

use serde_json::json;

use super::world::{ADMIN, ANN, ANN_ID, BOB_ID, DAY, OTHER_TILL, TILL, World, text};
use credit_core::{AssetCode, Clock};

#[actix_web::test]
async fn a_purchase_is_a_paid_lot() {
    let world = World::new().await;
    let wallet = world.wallet(ANN_ID).await;
    let expires_at = world.clock.now().plus_seconds(DAY);
    let body = json!({
        "type": "purchase", "wallet_id": wallet, "amount": 20, "external_id": "pi_1", "expires_at": expires_at,
    });

    let made = world.make(ADMIN, &body).await;

    assert_eq!(made["external_id"], "pi_1");
    assert_eq!(
        (&made["entries"][0]["sequence"], &made["entries"][0]["balance_after"]),
        (&json!(1), &json!(20))
    );
    assert_eq!(world.lot(&made["credited_to"][0]["grant_id"]).await, (20, 20, Some(expires_at)));
    let spent = world.spend(&wallet, 1).await;
    assert_eq!(spent["taken_from"][0]["category"], "paid");
    assert_eq!(spent["taken_from"][0]["expires_at"], json!(expires_at));
    world.holds_together().await;
}

#[actix_web::test]
async fn a_payment_buys_once_for_ever() {
    let world = World::new().await;
    let (wallet, other) = (world.wallet(ANN_ID).await, world.wallet(BOB_ID).await);
    let abroad = world.wallet_in(world.other_app, ANN_ID, AssetCode::CREDIT).await;
    let buy = |wallet: &str, amount: i64| json!({ "type": "purchase", "wallet_id": wallet, "amount": amount, "external_id": "pi_1" });
    let first = world.make(TILL, &buy(&wallet, 20)).await;

    let again = world.post(ADMIN, &buy(&wallet, 20)).await;

    assert_eq!((again.status, again.header("idempotent-replayed")), (200, None));
    assert_eq!(again.json(), first);
    assert_eq!(world.balance(&wallet).await, 20);
    world.refuses(TILL, &buy(&wallet, 21), 409, "external_id_reused").await;
    world.refuses(TILL, &buy(&other, 20), 409, "external_id_reused").await;
    // The payments of another application are its own.
    world.make(OTHER_TILL, &buy(&abroad, 20)).await;
    world.holds_together().await;
}

#[actix_web::test]
async fn the_first_purchase_is_answered_with_what_has_been_refunded_by_then() {
    let world = World::new().await;
    let wallet = world.wallet(ANN_ID).await;
    let body = json!({ "type": "purchase", "wallet_id": wallet, "amount": 20, "external_id": "pi_1" });
    let first = world.make(TILL, &body).await;
    world.refunded(&first, &json!({ "amount": 5 })).await;
    let dry = world.call("POST", "/v1/transactions?dry_run=true", TILL, &[], Some(&body)).await;
    assert_eq!((dry.status, &dry.json()["dry_run"]), (200, &json!(true)));

    let again = world.post_with_key(TILL, "second", &body).await;
    world.refunded(&first, &json!({ "amount": 1 })).await;
    let replayed = world.post_with_key(TILL, "second", &body).await;

    assert_eq!((again.status, &again.json()["refunded_amount"]), (200, &json!(5)));
    assert_eq!((replayed.status, replayed.header("idempotent-replayed")), (200, Some("true")));
    assert_eq!(replayed.body, again.body);
    let path = format!("/v1/transactions/{}", text(&first["id"]));
    assert_eq!(world.get(ANN, &path).await.json()["refunded_amount"], 6);
    world.holds_together().await;
}

#[actix_web::test]
async fn a_payment_that_came_in_time_is_known_later() {
    let world = World::new().await;
    let wallet = world.wallet(ANN_ID).await;
    let body = json!({
        "type": "purchase", "wallet_id": wallet, "amount": 20, "external_id": "pi_1",
        "expires_at": world.clock.now().plus_seconds(DAY),
    });
    let first = world.make(TILL, &body).await;
    world.clock.advance_seconds(2 * DAY);

    let again = world.post(TILL, &body).await;

    assert_eq!((again.status, again.json()), (200, first));
}

#[actix_web::test]
async fn an_external_id_has_1_to_255_characters() {
    let world = World::new().await;
    let wallet = world.wallet(ANN_ID).await;
    let buy = |id: &str| json!({ "type": "purchase", "wallet_id": wallet, "amount": 1, "external_id": id });
    world.refuses(TILL, &buy(""), 422, "validation_failed").await;
    world.refuses(TILL, &buy(&"ä".repeat(256)), 422, "validation_failed").await;
    world.make(TILL, &buy(&"ä".repeat(255))).await;
}
