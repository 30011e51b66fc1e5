//! What becomes of holds.

use credit_wallet::testkit::nothing;
use serde_json::json;

use super::world::{alice, alice_with, assert_refused, hold, till};

#[actix_web::test]
async fn a_capture_spends_what_was_held() {
    let (house, wallet) = alice_with(100).await;
    let hold = hold(&house, wallet, 30).await;
    let captured = house.once(&alice(), "c", &format!("/v1/holds/{hold}/capture"), nothing()).await;
    assert_eq!(captured.status, 201, "{:?}", captured.json());
    let transaction = captured.json();
    assert_eq!((&transaction["type"], &transaction["amount"]), (&json!("capture"), &json!(30)));
    assert_eq!((&transaction["hold_id"], &transaction["refunded_amount"]), (&json!(hold), &json!(0)));
    assert_eq!(transaction["taken_from"][0]["amount"], 30);
    assert_eq!(transaction["entries"][0]["balance_after"], 70);
    let now = house.look(wallet).await;
    assert_eq!((&now["balance"], &now["held"], &now["available"]), (&json!(70), &json!(0), &json!(70)));
    assert_eq!(now["version"], transaction["wallet_version"]);
    let hold = house.get(&alice(), &format!("/v1/holds/{hold}")).await.json();
    assert_eq!(
        (&hold["state"], &hold["captured"], &hold["remaining"]),
        (&json!("captured"), &json!(30), &json!(0))
    );
}

#[actix_web::test]
async fn a_final_capture_of_a_part_gives_the_rest_back() {
    let (house, wallet) = alice_with(100).await;
    let hold = hold(&house, wallet, 30).await;
    let path = format!("/v1/holds/{hold}/capture");
    assert_eq!(house.once(&alice(), "c", &path, json!({ "amount": 10 })).await.status, 201);
    let now = house.look(wallet).await;
    assert_eq!((&now["balance"], &now["held"], &now["available"]), (&json!(90), &json!(0), &json!(90)));
    let seen = house.get(&alice(), &format!("/v1/holds/{hold}")).await.json();
    assert_eq!((&seen["state"], &seen["captured"]), (&json!("captured"), &json!(10)));
    let again = house.once(&alice(), "d", &path, nothing()).await;
    assert_refused(&house, wallet, &now, &again, (409, "hold_not_active")).await;
}

#[actix_web::test]
async fn a_capture_that_is_not_final_keeps_the_rest_until_nothing_is_left() {
    let (house, wallet) = alice_with(100).await;
    let hold = hold(&house, wallet, 30).await;
    let path = format!("/v1/holds/{hold}/capture");
    let part = json!({ "amount": 10, "final": false });
    for (key, held, state) in [("1", 20, "active"), ("2", 10, "active"), ("3", 0, "captured")] {
        assert_eq!(house.once(&alice(), key, &path, part.clone()).await.status, 201);
        assert_eq!(house.look(wallet).await["held"], held);
        assert_eq!(house.get(&alice(), &format!("/v1/holds/{hold}")).await.json()["state"], state);
    }
    assert_eq!(house.look(wallet).await["balance"], 70);
}

#[actix_web::test]
async fn more_than_is_left_cannot_be_captured() {
    let (house, wallet) = alice_with(100).await;
    let hold = hold(&house, wallet, 30).await;
    let path = format!("/v1/holds/{hold}/capture");
    house.once(&alice(), "1", &path, json!({ "amount": 20, "final": false })).await;
    let before = house.look(wallet).await;
    let answer = house.once(&alice(), "2", &path, json!({ "amount": 11 })).await;
    assert_refused(&house, wallet, &before, &answer, (422, "capture_exceeds_hold")).await;
    for body in [json!({ "amount": 0 }), json!({ "final": "yes" }), json!({ "r#final": true }), json!([])] {
        let answer = house.once(&alice(), "3", &path, body).await;
        assert_refused(&house, wallet, &before, &answer, (422, "validation_failed")).await;
    }
}

#[actix_web::test]
async fn a_release_gives_everything_back() {
    let (house, wallet) = alice_with(100).await;
    let hold = hold(&house, wallet, 30).await;
    let released = house.once(&alice(), "r", &format!("/v1/holds/{hold}/release"), nothing()).await;
    assert_eq!((released.status, &released.json()["state"]), (200, &json!("released")));
    let now = house.look(wallet).await;
    assert_eq!((&now["balance"], &now["held"], &now["available"]), (&json!(100), &json!(0), &json!(100)));
    assert_eq!(now["version"], released.json()["wallet_version"]);
    for path in ["capture", "release"] {
        let again = house.once(&alice(), path, &format!("/v1/holds/{hold}/{path}"), nothing()).await;
        assert_refused(&house, wallet, &now, &again, (409, "hold_not_active")).await;
    }
    let extend =
        house.once(&alice(), "x", &format!("/v1/holds/{hold}/extend"), json!({ "expires_in": 5 })).await;
    assert_refused(&house, wallet, &now, &extend, (409, "hold_not_active")).await;
}

#[actix_web::test]
async fn an_extended_hold_ends_so_long_from_now() {
    let (house, wallet) = alice_with(100).await;
    let hold = hold(&house, wallet, 30).await;
    house.wait_seconds(1000);
    let path = format!("/v1/holds/{hold}/extend");
    let extended = house.once(&alice(), "x", &path, json!({ "expires_in": 2_678_400 })).await;
    assert_eq!(extended.status, 200);
    assert_eq!(extended.json()["expires_at"], json!(house.in_seconds(2_678_400)));
    assert_eq!(extended.json()["version"], 2);
    let before = house.look(wallet).await;
    for body in [nothing(), json!({ "expires_in": 0 }), json!({ "expires_in": 2_678_401 })] {
        let answer = house.once(&alice(), "y", &path, body).await;
        assert_refused(&house, wallet, &before, &answer, (422, "validation_failed")).await;
    }
}

#[actix_web::test]
async fn a_hold_that_has_run_out_cannot_be_settled() {
    let (house, wallet) = alice_with(100).await;
    let path = format!("/v1/wallets/{wallet}/holds");
    let made = house.once(&alice(), "h", &path, json!({ "amount": 30, "expires_in": 60 })).await.json();
    let hold = made["id"].as_str().expect("an id");
    house.wait_seconds(59);
    assert_eq!(house.get(&alice(), &format!("/v1/holds/{hold}")).await.json()["state"], "active");
    house.wait_seconds(1);
    let seen = house.get(&alice(), &format!("/v1/holds/{hold}")).await.json();
    assert_eq!((&seen["state"], &seen["remaining"]), (&json!("expired"), &json!(0)));
    let listed = house.get(&alice(), "/v1/holds?state=expired").await.json();
    assert_eq!(listed["data"], json!([seen]));
    let before = house.look(wallet).await;
    assert_eq!((&before["held"], &before["available"]), (&json!(0), &json!(100)));
    for (key, rest, body) in [
        ("1", "capture", nothing()),
        ("2", "release", nothing()),
        ("3", "extend", json!({ "expires_in": 5 })),
    ] {
        let answer = house.once(&till(&house), key, &format!("/v1/holds/{hold}/{rest}"), body).await;
        assert_refused(&house, wallet, &before, &answer, (409, "hold_not_active")).await;
    }
    house.sweep().await;
    assert_eq!(house.look(wallet).await, before);
    assert_eq!(house.get(&alice(), &format!("/v1/holds/{hold}")).await.json(), seen);
}
