//! Several processes on one store, and a process that comes back.

use credit_api::ports::LedgerAudit;
use credit_core::{Module, WalletId};
use credit_wallet::WalletModule;
use credit_wallet::testkit::{Ground, WalletHouse, nothing};
use futures_util::future::join_all;
use serde_json::json;

use super::world::{alice, column};

async fn two_replicas() -> (WalletHouse, WalletHouse, WalletId) {
    let ground = Ground::on(crate::shared_stores().await).await;
    let second = ground.replica().open(Vec::new()).await;
    let first = ground.open(Vec::new()).await;
    let (_, wallet) = first.person("alice").await;
    first.ground.seed(wallet, 100).await;
    (first, second, wallet)
}

#[actix_web::test]
async fn what_one_replica_answered_every_other_one_shows() {
    let (first, second, wallet) = two_replicas().await;
    for (writer, reader) in [(&first, &second), (&second, &first), (&first, &second)] {
        let path = format!("/v1/wallets/{wallet}/holds");
        let key = format!("k{}", reader.look(wallet).await["version"]);
        let made = writer.once(&alice(), &key, &path, json!({ "amount": 3 })).await;
        assert_eq!(made.status, 201, "{:?}", made.json());
        let hold = made.json();
        let seen = reader.look(wallet).await;
        assert_eq!(seen["version"], hold["wallet_version"]);
        let id = hold["id"].as_str().expect("an id");
        assert_eq!(reader.get(&alice(), &format!("/v1/holds/{id}")).await.json(), hold);
        assert_eq!(column(&reader.get(&alice(), "/v1/holds").await, "id")[0], hold["id"]);
        let again = reader.once(&alice(), &key, &path, json!({ "amount": 3 })).await;
        assert_eq!((again.status, again.header("idempotent-replayed")), (201, Some("true")));
        assert_eq!(again.body, made.body);
    }
}

#[actix_web::test]
async fn replicas_that_race_for_one_wallet_overspend_nothing() {
    let (first, second, wallet) = two_replicas().await;
    let path = format!("/v1/wallets/{wallet}/holds");
    let who = alice();
    let calls = (0..200).map(|number| {
        let house = if number % 2 == 0 { &first } else { &second };
        let (path, who) = (&path, &who);
        async move { house.once(who, &format!("k{number}"), path, json!({ "amount": 3 })).await }
    });
    let answers = join_all(calls).await;
    let statuses = |status| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((statuses(201), statuses(402)), (33, 167));
    for house in [&first, &second] {
        let now = house.look(wallet).await;
        assert_eq!((&now["held"], &now["available"]), (&json!(99), &json!(1)));
        assert_eq!(column(&house.get(&alice(), "/v1/holds?limit=200").await, "id").len(), 33);
        let report = house.ground.auditor().verify().await.expect("it replays");
        assert!(report.ok, "{:?}", report.differences);
    }
}

#[actix_web::test]
async fn a_process_that_comes_back_knows_everything_it_answered() {
    let ground = Ground::on(crate::stores().await).await;
    let successor = ground.replica();
    let house = ground.open(Vec::new()).await;
    let (_, wallet) = house.person("alice").await;
    house.ground.seed(wallet, 100).await;
    let path = format!("/v1/wallets/{wallet}/holds");
    let made = house.once(&alice(), "h", &path, json!({ "amount": 30 })).await;
    let refused = house.once(&alice(), "r", &path, json!({ "amount": 300 })).await;
    let before = house.look(wallet).await;
    WalletModule::new(house.ground.counter.clone()).shut_down().await;

    let house = successor.open(Vec::new()).await;
    assert_eq!(house.look(wallet).await, before);
    for (key, amount, first) in [("h", 30, &made), ("r", 300, &refused)] {
        let again = house.once(&alice(), key, &path, json!({ "amount": amount })).await;
        assert_eq!((again.status, &again.body), (first.status, &first.body));
        assert_eq!(again.header("idempotent-replayed"), Some("true"));
    }
    let hold = made.json()["id"].as_str().expect("an id").to_owned();
    let captured = house.once(&alice(), "c", &format!("/v1/holds/{hold}/capture"), nothing()).await;
    assert_eq!((captured.status, house.look(wallet).await["balance"].clone()), (201, json!(70)));
}
