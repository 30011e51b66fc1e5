//! Many at once.

use futures_util::future::join_all;
use serde_json::json;

use super::world::{BOB_ID, TILL, World, spend};

#[actix_web::test]
async fn of_two_hundred_spends_of_one_on_a_hundred_exactly_a_hundred_succeed() {
    let world = World::new().await;
    let wallet = world.filled_wallet(100).await;

    let answers = join_all((0..200).map(|_| async { world.post(TILL, &spend(&wallet, 1)).await })).await;

    let with = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((with(201), with(402)), (100, 100));
    let mut versions: Vec<u64> =
        answers.iter().filter_map(|answer| answer.json()["wallet_version"].as_u64()).collect();
    versions.sort_unstable();
    versions.dedup();
    assert_eq!(versions.len(), 100);
    assert_eq!(world.balance(&wallet).await, 0);
    world.holds_together().await;
}

#[actix_web::test]
async fn of_two_hundred_calls_with_one_key_one_moves_and_all_get_its_answer() {
    let world = World::new().await;
    let wallet = world.filled_wallet(100).await;

    let body = spend(&wallet, 7);
    let answers = join_all((0..200).map(|_| world.post_with_key(TILL, "k", &body))).await;

    assert!(answers.iter().all(|answer| answer.status == 201 && answer.body == answers[0].body));
    let fresh = answers.iter().filter(|answer| answer.header("idempotent-replayed").is_none());
    assert_eq!((fresh.count(), world.balance(&wallet).await), (1, 93));
    world.holds_together().await;
}

#[actix_web::test]
async fn of_many_calls_with_one_payment_one_buys_and_all_get_its_purchase() {
    let world = World::new().await;
    let wallet = world.filled_wallet(0).await;

    let body = json!({ "type": "purchase", "wallet_id": wallet, "amount": 7, "external_id": "pi_1" });
    let answers = join_all((0..50).map(|_| world.post(TILL, &body))).await;

    let made = answers.iter().filter(|answer| answer.status == 201);
    assert_eq!((made.count(), world.balance(&wallet).await), (1, 7));
    assert!(answers.iter().all(|answer| answer.status < 202 && answer.body == answers[0].body));
    world.holds_together().await;
}

#[actix_web::test]
async fn transfers_there_and_back_at_once_lose_nothing() {
    let world = World::new().await;
    let (ann, bob) = (world.filled_wallet(50).await, world.wallet(BOB_ID).await);
    world.purchase(&bob, 50).await;

    let moves = (0..100).map(|number| {
        let (source, destination) = if number % 2 == 0 { (&ann, &bob) } else { (&bob, &ann) };
        let amount = 1 + number % 7;
        let body = json!({
            "type": "transfer", "source_wallet_id": source, "destination_wallet_id": destination, "amount": amount,
        });
        let world = &world;
        async move { world.post(TILL, &body).await.status }
    });
    let statuses = join_all(moves).await;

    assert!(statuses.iter().all(|status| matches!(status, 201 | 402)));
    assert_eq!(world.balance(&ann).await + world.balance(&bob).await, 100);
    world.holds_together().await;
}

#[actix_web::test]
async fn of_many_refunds_at_once_the_sum_stays_within_the_original() {
    let world = World::new().await;
    let wallet = world.filled_wallet(100).await;
    let spent = world.spend(&wallet, 50).await;

    let body = json!({ "amount": 7 });
    let answers = join_all((0..20).map(|_| world.refund(&spent, &body))).await;

    let made = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!((made, world.balance(&wallet).await), (7, 99));
    assert!(answers.iter().all(|answer| answer.status == 201 || answer.code() == "refund_exceeds_original"));
    world.holds_together().await;
}
