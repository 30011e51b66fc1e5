//! Lists of wallets and holds: filters, pages, and who sees what.

use credit_api::testkit::TestAnswer;
use credit_core::UserId;
use credit_wallet::testkit::{Caller, WalletHouse};
use serde_json::json;

use super::world::{admin, alice, column, hold, house, support, till};

fn ids<T: ToString>(ids: impl IntoIterator<Item = T>) -> Vec<serde_json::Value> {
    ids.into_iter().map(|id| json!(id.to_string())).collect()
}

async fn all_pages(house: &WalletHouse, who: &Caller, path: &str) -> Vec<serde_json::Value> {
    let mut found = Vec::new();
    let mut page: TestAnswer = house.get(who, path).await;
    loop {
        found.extend(column(&page, "id"));
        let Some(cursor) = page.json()["next_cursor"].as_str().map(str::to_owned) else { return found };
        assert!(page.header("link").expect("a link").contains(&cursor));
        page = house.get(who, &format!("{path}&cursor={cursor}")).await;
    }
}

#[actix_web::test]
async fn each_caller_lists_the_wallets_that_it_sees_newest_first() {
    let house = house().await;
    let (alice_id, first) = house.person("alice").await;
    let (bob_id, second) = house.person("bob").await;
    house.wait_seconds(1);
    let (_, third) = house.person_of(house.ground.other_app, "carol").await;
    let list =
        async |who: &Caller, query: &str| column(&house.get(who, &format!("/v1/wallets{query}")).await, "id");
    assert_eq!(list(&alice(), "").await, ids([first]));
    assert_eq!(list(&alice(), &format!("?user_id={bob_id}")).await, ids::<String>([]));
    assert_eq!(list(&alice(), &format!("?user_id={alice_id}")).await, ids([first]));
    assert_eq!(list(&till(&house), "").await, ids([second, first]));
    assert_eq!(list(&till(&house), &format!("?user_id={bob_id}")).await, ids([second]));
    assert_eq!(list(&support(), "").await, ids([third, second, first]));
    assert_eq!(list(&admin(), &format!("?user_id={bob_id}")).await, ids([second]));
    assert_eq!(list(&admin(), "?user_id=nobody").await, ids::<String>([]));
    assert_eq!(list(&admin(), &format!("?user_id={}", UserId::from_u128(999))).await, ids::<String>([]));
}

#[actix_web::test]
async fn wallets_are_filtered_by_asset_and_status() {
    let house = house().await;
    let (alice_id, first) = house.person("alice").await;
    house.post(&admin(), "/v1/assets", json!({ "code": "GOLD", "scale": 2 })).await;
    let gold =
        house.post(&till(&house), "/v1/wallets", json!({ "user_id": alice_id, "asset": "GOLD" })).await;
    let gold = gold.json()["id"].clone();
    house.post(&till(&house), &format!("/v1/wallets/{first}/freeze"), json!({})).await;
    let list =
        async |query: &str| column(&house.get(&till(&house), &format!("/v1/wallets?{query}")).await, "id");
    assert_eq!(list("asset=GOLD").await, std::slice::from_ref(&gold));
    assert_eq!(list("status=frozen").await, ids([first]));
    assert_eq!(list("status=active").await, [gold]);
    assert_eq!(list("status=frozen&asset=GOLD").await, ids::<String>([]));
    for query in ["status=warm", "asset=gold", "limit=0", "limit=201", "limit=x"] {
        let answer = house.get(&till(&house), &format!("/v1/wallets?{query}")).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "invalid_parameter"), "{query}");
    }
    let typo = house.get(&till(&house), "/v1/wallets?stats=frozen").await;
    assert_eq!((typo.status, typo.code().as_str()), (400, "unknown_parameter"));
}

#[actix_web::test]
async fn pages_over_all_applications_hold_every_wallet_once() {
    let house = house().await;
    let mut wallets = Vec::new();
    for number in 0..9 {
        let app = if number % 2 == 0 { house.ground.app } else { house.ground.other_app };
        house.wait_seconds(1);
        wallets.push(house.person_of(app, &format!("person{number}")).await.1);
    }
    wallets.reverse();
    for limit in [1, 2, 4, 9, 10] {
        assert_eq!(all_pages(&house, &admin(), &format!("/v1/wallets?limit={limit}")).await, ids(&wallets));
    }
    let page = house.get(&admin(), "/v1/wallets?limit=4").await;
    house.wait_seconds(1);
    house.person("newcomer").await;
    let cursor = page.json()["next_cursor"].as_str().expect("more").to_owned();
    let next = house.get(&admin(), &format!("/v1/wallets?limit=4&cursor={cursor}")).await;
    assert_eq!(column(&next, "id"), ids(&wallets[4..8]));
}

#[actix_web::test]
async fn a_cursor_belongs_to_its_list_its_filters_and_its_caller() {
    let house = house().await;
    for name in ["alice", "bob"] {
        house.person(name).await;
    }
    let page = house.get(&admin(), "/v1/wallets?limit=1").await;
    let cursor = page.json()["next_cursor"].as_str().expect("more").to_owned();
    for (who, path) in [
        (admin(), format!("/v1/wallets?status=active&cursor={cursor}")),
        (admin(), format!("/v1/holds?cursor={cursor}")),
        (support(), format!("/v1/wallets?cursor={cursor}")),
        (admin(), format!("/v1/wallets?cursor={cursor}A")),
        (admin(), "/v1/wallets?cursor=x".to_owned()),
    ] {
        let answer = house.get(&who, &path).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "invalid_cursor"), "{path}");
    }
}

#[actix_web::test]
async fn holds_are_listed_by_wallet_and_state_to_whom_they_concern() {
    let house = house().await;
    let (_, first) = house.person("alice").await;
    let (_, second) = house.person("bob").await;
    let mut holds = Vec::new();
    for wallet in [first, second] {
        house.ground.seed(wallet, 100).await;
        for amount in [1, 2, 3] {
            holds.push(hold(&house, wallet, amount).await);
        }
    }
    house.once(&till(&house), "r", &format!("/v1/holds/{}/release", holds[1]), json!({})).await;
    let list =
        async |who: &Caller, query: &str| column(&house.get(who, &format!("/v1/holds{query}")).await, "id");
    assert_eq!(list(&till(&house), "").await, ids(holds.iter().rev()));
    assert_eq!(list(&support(), "").await, ids(holds.iter().rev()));
    assert_eq!(list(&alice(), "").await, ids([holds[2], holds[1], holds[0]]));
    assert_eq!(list(&alice(), &format!("?wallet_id={second}")).await, ids::<String>([]));
    assert_eq!(
        list(&till(&house), &format!("?wallet_id={second}")).await,
        ids([holds[5], holds[4], holds[3]])
    );
    assert_eq!(list(&till(&house), "?wallet_id=wal_1").await, ids::<String>([]));
    assert_eq!(list(&alice(), "?state=released").await, ids([holds[1]]));
    assert_eq!(list(&alice(), "?state=active").await, ids([holds[2], holds[0]]));
    assert_eq!(all_pages(&house, &till(&house), "/v1/holds?limit=2").await, ids(holds.iter().rev()));
    let wrong = house.get(&alice(), "/v1/holds?state=open").await;
    assert_eq!((wrong.status, wrong.code().as_str()), (400, "invalid_parameter"));
}
