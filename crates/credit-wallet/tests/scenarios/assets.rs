//! `/v1/assets`.

use credit_core::Scope;
use serde_json::json;

use super::world::{admin, column, house};

#[actix_web::test]
async fn credit_is_always_there_and_new_assets_stand_before_it() {
    let house = house().await;
    let key = house.key(&[Scope::UsersRead]);
    assert_eq!(column(&house.get(&key, "/v1/assets").await, "code"), ["CREDIT"]);
    house.wait_seconds(1);
    let made = house.post(&admin(), "/v1/assets", json!({ "code": "GOLD", "scale": 2 })).await;
    assert_eq!(made.status, 201);
    assert_eq!((&made.json()["code"], &made.json()["scale"]), (&json!("GOLD"), &json!(2)));
    let all = house.get(&key, "/v1/assets").await;
    assert_eq!(column(&all, "code"), ["GOLD", "CREDIT"]);
    assert_eq!(column(&all, "scale"), [2, 0]);
}

#[actix_web::test]
async fn an_asset_is_made_once() {
    let house = house().await;
    for code in ["CREDIT", "GOLD"] {
        house.post(&admin(), "/v1/assets", json!({ "code": code, "scale": 2 })).await;
        let again = house.post(&admin(), "/v1/assets", json!({ "code": code, "scale": 3 })).await;
        assert_eq!((again.status, again.code().as_str()), (409, "asset_exists"), "{code}");
    }
    let all = house.get(&admin(), "/v1/assets").await;
    let mut scales = column(&all, "scale");
    scales.sort_by_key(ToString::to_string);
    assert_eq!(scales, [0, 2]);
}

#[actix_web::test]
async fn an_asset_that_is_not_one_is_refused_with_every_fault() {
    let house = house().await;
    for (code, scale) in [(json!("gold"), json!(19)), (json!("G"), json!(-1)), (json!(7), json!("2"))] {
        let answer = house.post(&admin(), "/v1/assets", json!({ "code": code, "scale": scale })).await;
        assert_eq!((answer.status, answer.code().as_str()), (422, "validation_failed"));
        assert_eq!(answer.json()["errors"].as_array().expect("faults").len(), 2);
    }
    let smuggled = json!({ "code": "GOLD", "scale": 2, "issuer": "me" });
    assert_eq!(house.post(&admin(), "/v1/assets", smuggled).await.code(), "validation_failed");
    assert_eq!(column(&house.get(&admin(), "/v1/assets").await, "code"), ["CREDIT"]);
}

#[actix_web::test]
async fn assets_come_page_by_page() {
    let house = house().await;
    for code in ["AA", "BB", "CC"] {
        house.wait_seconds(1);
        house.post(&admin(), "/v1/assets", json!({ "code": code, "scale": 0 })).await;
    }
    let first = house.get(&admin(), "/v1/assets?limit=3").await;
    assert_eq!(column(&first, "code"), ["CC", "BB", "AA"]);
    let next = first.json()["next_cursor"].as_str().expect("more").to_owned();
    let last = house.get(&admin(), &format!("/v1/assets?limit=3&cursor={next}")).await;
    assert_eq!(column(&last, "code"), ["CREDIT"]);
    assert_eq!((&last.json()["has_more"], &last.json()["next_cursor"]), (&json!(false), &json!(null)));
}
