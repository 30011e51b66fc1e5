//! Credits passed on.

use credit_core::{AssetCode, Clock};
use serde_json::{Value, json};

use super::world::{ADMIN, ANN, ANN_ID, BOB, BOB_ID, DAY, TILL, World, text};

fn transfer(source: &str, destination: &str, amount: i64) -> Value {
    json!({
        "type": "transfer", "source_wallet_id": source, "destination_wallet_id": destination, "amount": amount,
    })
}

#[actix_web::test]
async fn a_transfer_moves_lots_as_they_are() {
    let world = World::new().await;
    let (source, destination) = (world.wallet(ANN_ID).await, world.wallet(BOB_ID).await);
    let begin = world.clock.now();
    let gift = json!({
        "type": "grant", "wallet_id": source, "amount": 10, "priority": 7,
        "expires_at": begin.plus_seconds(9 * DAY),
    });
    world.make(TILL, &gift).await;
    world.purchase(&source, 10).await;
    world.clock.advance_seconds(60);

    let made = world.make(ANN, &transfer(&source, &destination, 15)).await;

    assert_eq!(
        (&made["source_wallet_id"], &made["destination_wallet_id"]),
        (&json!(source), &json!(destination))
    );
    assert!(made.get("wallet_id").is_none());
    assert_eq!((world.balance(&source).await, world.balance(&destination).await), (5, 15));
    let state = world.see(&destination).await;
    let lots: Vec<_> = state
        .lots
        .iter()
        .map(|lot| {
            (lot.amount, lot.priority.get(), lot.expires_at, lot.effective_at, format!("{:?}", lot.category))
        })
        .collect();
    let expected = [
        (10, 7, Some(begin.plus_seconds(9 * DAY)), begin, "Promotional".to_owned()),
        (5, 50, None, begin, "Paid".to_owned()),
    ];
    assert_eq!(lots, expected);
    assert!(state.lots.iter().all(|lot| lot.transaction.to_string() == text(&made["id"])));
    world.holds_together().await;
}

#[actix_web::test]
async fn a_transfer_repays_the_overdraft_of_who_gets_it_and_never_makes_one() {
    let world = World::new().await;
    let (source, destination) = (world.filled_wallet(30).await, world.wallet(BOB_ID).await);
    world.set_overdraft(&source, 100).await;
    world.set_overdraft(&destination, 20).await;
    world.spend(&destination, 20).await;
    world.refuses(TILL, &transfer(&source, &destination, 31), 402, "insufficient_funds").await;

    world.make(TILL, &transfer(&source, &destination, 30)).await;

    let state = world.see(&destination).await;
    assert_eq!((state.balance(), state.overdrawn), (10, 0));
    world.holds_together().await;
}

#[actix_web::test]
async fn a_transfer_needs_two_wallets_of_one_application_and_asset() {
    let world = World::new().await;
    let source = world.filled_wallet(30).await;
    let gold = AssetCode::parse("GOLD").expect("a code");
    let other_asset = world.wallet_in(world.app, BOB_ID, gold).await;
    let abroad = world.wallet_in(world.other_app, BOB_ID, AssetCode::CREDIT).await;

    world.refuses(ANN, &transfer(&source, &source, 1), 422, "same_wallet").await;
    world.refuses(ANN, &transfer(&source, &other_asset, 1), 422, "asset_mismatch").await;
    world.refuses(ANN, &transfer(&source, &abroad, 1), 404, "not_found").await;
    world.refuses(TILL, &transfer(&source, &abroad, 1), 404, "not_found").await;
    world.refuses(TILL, &transfer(&abroad, &source, 1), 404, "not_found").await;
    world.refuses(TILL, &transfer(&source, "wal_no", 1), 404, "not_found").await;
    // Funds come before the form of the pair, as the contract orders them.
    world.refuses(ANN, &transfer(&source, &source, 31), 402, "insufficient_funds").await;
    world.refuses(ANN, &transfer(&source, &other_asset, 31), 402, "insufficient_funds").await;
}

#[actix_web::test]
async fn only_the_owner_of_the_source_or_the_back_end_transfers() {
    let world = World::new().await;
    let (source, destination) = (world.filled_wallet(30).await, world.wallet(BOB_ID).await);
    let body = transfer(&source, &destination, 1);
    world.refuses(BOB, &body, 404, "not_found").await;
    world.refuses(ADMIN, &body, 403, "forbidden").await;
    world.make(ANN, &body).await;
    world.make(TILL, &body).await;
}

#[actix_web::test]
async fn of_a_transfer_each_side_sees_its_own_and_the_back_end_all() {
    let world = World::new().await;
    let (source, destination) = (world.filled_wallet(30).await, world.wallet(BOB_ID).await);
    let made = world.make(ANN, &transfer(&source, &destination, 12)).await;
    let path = format!("/v1/transactions/{}", text(&made["id"]));
    let insides = |seen: &Value| {
        let of = |index: usize| seen["entries"][index]["balance_after"].clone();
        let count = |name: &str| seen[name].as_array().expect("a list").len();
        (of(0), of(1), count("taken_from"), count("credited_to"), seen["wallet_version"].clone())
    };
    let (paid, got) = (world.see(&source).await.version, world.see(&destination).await.version);

    let [payer, payee, back_end, operator] = [ANN, BOB, TILL, ADMIN].map(|caller| world.get(caller, &path));

    assert_eq!(insides(&made), (json!(18), Value::Null, 1, 0, json!(paid)));
    assert_eq!(payer.await.json(), made);
    let payee = payee.await.json();
    assert_eq!(insides(&payee), (Value::Null, json!(12), 0, 1, json!(got)));
    assert_eq!(payee["entries"][0]["sequence"], Value::Null);
    assert_eq!(insides(&back_end.await.json()), (json!(18), json!(12), 1, 1, json!(paid)));
    assert_eq!(insides(&operator.await.json()), (json!(18), json!(12), 1, 1, json!(paid)));
    let list = world.get(BOB, "/v1/transactions").await.json();
    assert_eq!(list["data"][0], payee);
}
