//! Many at once on one wallet.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::json;

use super::world::{alice, alice_with, column, hold};

#[actix_web::test]
async fn two_hundred_holds_at_once_reserve_no_more_than_there_is() {
    let (house, wallet) = alice_with(100).await;
    let path = format!("/v1/wallets/{wallet}/holds");
    let keys: Vec<String> = (0..200).map(|number| format!("k{number}")).collect();
    let who = alice();
    let answers = join_all(keys.iter().map(|key| house.once(&who, key, &path, json!({ "amount": 3 })))).await;
    let statuses = |status| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((statuses(201), statuses(402)), (33, 167));
    let now = house.look(wallet).await;
    assert_eq!((&now["balance"], &now["held"], &now["available"]), (&json!(100), &json!(99), &json!(1)));
    let versions: BTreeSet<u64> = answers
        .iter()
        .filter(|answer| answer.status == 201)
        .map(|answer| answer.json()["wallet_version"].as_u64().expect("a version"))
        .collect();
    assert_eq!(versions.len(), 33, "each made a version of its own");
    let listed = house.get(&alice(), "/v1/holds?limit=200").await;
    assert_eq!(column(&listed, "id").len(), 33);
}

#[actix_web::test]
async fn a_hundred_calls_with_one_key_are_one_call() {
    let (house, wallet) = alice_with(100).await;
    let path = format!("/v1/wallets/{wallet}/holds");
    let who = alice();
    let answers = join_all((0..100).map(|_| house.once(&who, "once", &path, json!({ "amount": 3 })))).await;
    assert!(answers.iter().all(|answer| (answer.status, &answer.body) == (201, &answers[0].body)));
    let fresh = answers.iter().filter(|answer| answer.header("idempotent-replayed").is_none());
    assert_eq!(fresh.count(), 1);
    assert_eq!(house.look(wallet).await["held"], 3);
}

#[actix_web::test]
async fn a_hold_captured_and_released_at_once_is_settled_once() {
    let (house, wallet) = alice_with(100).await;
    let hold = hold(&house, wallet, 40).await;
    let who = alice();
    let calls = (0..40).map(|number| {
        let rest = if number % 2 == 0 { "capture" } else { "release" };
        let (house, who) = (&house, &who);
        async move {
            let path = format!("/v1/holds/{hold}/{rest}");
            house.once(who, &format!("k{number}"), &path, json!({})).await
        }
    });
    let answers = join_all(calls).await;
    let settled: Vec<_> = answers.iter().filter(|answer| answer.status < 300).collect();
    assert_eq!(settled.len(), 1);
    assert!(
        answers.iter().filter(|answer| answer.status >= 300).all(|answer| answer.code() == "hold_not_active")
    );
    let now = house.look(wallet).await;
    let expected = if settled[0].status == 201 { 60 } else { 100 };
    assert_eq!((&now["balance"], &now["held"]), (&json!(expected), &json!(0)));
}
