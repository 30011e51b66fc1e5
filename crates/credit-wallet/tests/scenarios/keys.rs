//! Idempotency keys, dry runs and guards of the calls that move credits.

use credit_core::Scope;
use credit_wallet::testkit::nothing;
use serde_json::json;

use super::world::{alice, alice_with, assert_refused, column, hold, newest_lot, till};

#[actix_web::test]
async fn the_same_call_again_gets_the_very_same_answer_and_moves_nothing() {
    let (house, wallet) = alice_with(100).await;
    let grant = newest_lot(&house, wallet).await;
    let (first, second) = (hold(&house, wallet, 5).await, hold(&house, wallet, 6).await);
    for (path, body) in [
        (format!("/v1/wallets/{wallet}/holds"), json!({ "amount": 3, "metadata": { "b": "1", "a": "2" } })),
        (format!("/v1/holds/{first}/extend"), json!({ "expires_in": 1000 })),
        (format!("/v1/holds/{first}/capture"), json!({ "amount": 2, "final": false })),
        (format!("/v1/holds/{second}/release"), nothing()),
        (format!("/v1/grants/{grant}/void"), nothing()),
    ] {
        let key = format!("key{path}");
        let answered = house.once(&till(&house), &key, &path, body.clone()).await;
        assert!(answered.status < 300, "{path}: {:?}", answered.json());
        assert_eq!(answered.header("idempotent-replayed"), None);
        let before = house.look(wallet).await;
        house.wait_seconds(5);
        for key in [key.clone(), format!("\"{key}\"")] {
            let again = house.once(&till(&house), &key, &path, body.clone()).await;
            assert_eq!((again.status, &again.body), (answered.status, &answered.body), "{path}");
            assert_eq!(again.header("idempotent-replayed"), Some("true"));
        }
        assert_eq!(house.look(wallet).await, before);
    }
}

#[actix_web::test]
async fn a_replayed_hold_is_the_hold_as_it_was_then() {
    let (house, wallet) = alice_with(100).await;
    let path = format!("/v1/wallets/{wallet}/holds");
    let made = house.once(&alice(), "h", &path, json!({ "amount": 3 })).await;
    let hold = made.json()["id"].as_str().expect("an id").to_owned();
    house.once(&alice(), "c", &format!("/v1/holds/{hold}/capture"), nothing()).await;
    let again = house.once(&alice(), "h", &path, json!({ "amount": 3 })).await;
    assert_eq!((again.status, again.body), (201, made.body));
    assert_eq!(house.get(&alice(), &format!("/v1/holds/{hold}")).await.json()["state"], "captured");
}

#[actix_web::test]
async fn a_refusal_sticks_to_its_key_with_the_id_of_the_request_that_got_it() {
    let (house, wallet) = alice_with(10).await;
    let path = format!("/v1/wallets/{wallet}/holds");
    let call = async |request_id: &str| {
        let headers = [("idempotency-key", "h"), ("x-request-id", request_id)];
        house.ask(&alice(), "POST", &path, &headers, Some(json!({ "amount": 11 }))).await
    };
    let refused = call("first").await;
    assert_eq!((refused.status, &refused.json()["request_id"]), (402, &json!("first")));
    assert_eq!(refused.header("idempotent-replayed"), None);
    house.ground.seed(wallet, 100).await;
    let before = house.look(wallet).await;
    let again = call("second").await;
    assert_refused(&house, wallet, &before, &again, (402, "insufficient_funds")).await;
    assert_eq!(again.body, refused.body);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.header("x-request-id"), Some("second"));
}

#[actix_web::test]
async fn a_key_is_good_for_one_route_and_one_body() {
    let (house, wallet) = alice_with(100).await;
    let path = format!("/v1/wallets/{wallet}/holds");
    let made = house.once(&alice(), "h", &path, json!({ "amount": 3, "reference": "r" })).await;
    assert_eq!(made.status, 201);
    let hold = made.json()["id"].as_str().expect("an id").to_owned();
    let before = house.look(wallet).await;
    for (path, body) in [
        (path.clone(), json!({ "amount": 4, "reference": "r" })),
        (path.clone(), json!({ "amount": 3 })),
        (format!("/v1/holds/{hold}/release"), nothing()),
    ] {
        let answer = house.once(&alice(), "h", &path, body).await;
        assert_refused(&house, wallet, &before, &answer, (422, "idempotency_key_reused")).await;
    }
    let headers =
        [("idempotency-key", "h"), ("content-type", "application/json"), ("authorization", "Bearer alice")];
    let spaced =
        house.door.call_raw("POST", &path, &headers, " {\"reference\" :\"r\",\n\"amount\":3} ").await;
    assert_eq!((spaced.status, spaced.body), (201, made.body), "the meaning counts, not the bytes");
}

#[actix_web::test]
async fn keys_of_the_owner_and_of_the_application_are_different_keys() {
    let (house, wallet) = alice_with(100).await;
    let path = format!("/v1/wallets/{wallet}/holds");
    let other_key = house.key(&[Scope::TransactionsWrite]);
    for (who, replayed) in [(alice(), None), (till(&house), None), (other_key, Some("true"))] {
        let made = house.once(&who, "h", &path, json!({ "amount": 3 })).await;
        assert_eq!((made.status, made.header("idempotent-replayed")), (201, replayed), "{who:?}");
    }
    assert_eq!(house.look(wallet).await["held"], 6);
}

#[actix_web::test]
async fn a_call_that_moves_credits_needs_a_key_and_says_so_after_the_form_and_before_the_wallet() {
    let (house, wallet) = alice_with(100).await;
    let (grant, held) = (newest_lot(&house, wallet).await, hold(&house, wallet, 5).await);
    let before = house.look(wallet).await;
    for (path, body) in [
        (format!("/v1/wallets/{wallet}/holds"), json!({ "amount": 3 })),
        ("/v1/wallets/wal_1/holds".to_owned(), json!({ "amount": 3 })),
        (format!("/v1/holds/{held}/capture"), nothing()),
        (format!("/v1/holds/{held}/release"), nothing()),
        (format!("/v1/holds/{held}/extend"), json!({ "expires_in": 3 })),
        (format!("/v1/grants/{grant}/void"), nothing()),
    ] {
        let answer = house.post(&till(&house), &path, body.clone()).await;
        assert_refused(&house, wallet, &before, &answer, (400, "idempotency_key_required")).await;
        let answer = house.once(&till(&house), "not a key", &path, body).await;
        assert_refused(&house, wallet, &before, &answer, (400, "idempotency_key_invalid")).await;
        let answer = house.post(&till(&house), &path, json!({ "typo": 1 })).await;
        assert_refused(&house, wallet, &before, &answer, (422, "validation_failed")).await;
    }
}

#[actix_web::test]
async fn a_dry_run_answers_what_would_happen_and_stores_nothing() {
    let (house, wallet) = alice_with(100).await;
    let (grant, held) = (newest_lot(&house, wallet).await, hold(&house, wallet, 5).await);
    let before = house.look(wallet).await;
    for (path, body, status, kind) in [
        (format!("/v1/wallets/{wallet}/holds"), json!({ "amount": 3 }), 201, "state"),
        (format!("/v1/holds/{held}/capture"), json!({ "amount": 2 }), 201, "taken_from"),
        (format!("/v1/holds/{held}/release"), nothing(), 200, "state"),
        (format!("/v1/holds/{held}/extend"), json!({ "expires_in": 3 }), 200, "state"),
        (format!("/v1/grants/{grant}/void"), nothing(), 201, "taken_from"),
    ] {
        let answer = house.post(&till(&house), &format!("{path}?dry_run=true"), body.clone()).await;
        assert_eq!((answer.status, &answer.json()["dry_run"]), (status, &json!(true)), "{path}");
        assert!(!answer.json()[kind].is_null(), "{path}");
        assert_eq!(house.look(wallet).await, before);
        let keyed = house.once(&till(&house), "k", &format!("{path}?dry_run=true"), body).await;
        assert_eq!(keyed.status, status, "a key is not needed and not spent");
    }
    let too_much = house
        .post(&till(&house), &format!("/v1/wallets/{wallet}/holds?dry_run=true"), json!({ "amount": 96 }))
        .await;
    assert_refused(&house, wallet, &before, &too_much, (402, "insufficient_funds")).await;
    assert_eq!(too_much.json()["dry_run"], true);
    let fresh =
        house.once(&till(&house), "k", &format!("/v1/wallets/{wallet}/holds"), json!({ "amount": 1 })).await;
    assert_eq!((fresh.status, fresh.json().get("dry_run")), (201, None));
    let holds = house.get(&till(&house), "/v1/holds").await;
    assert_eq!(column(&holds, "amount"), [1, 5]);
    let odd = house
        .post(&till(&house), &format!("/v1/wallets/{wallet}/holds?dry_run=perhaps"), json!({ "amount": 1 }))
        .await;
    assert_eq!((odd.status, odd.code().as_str()), (400, "invalid_parameter"));
}

#[actix_web::test]
async fn a_guard_refuses_when_the_wallet_has_moved_on_and_does_not_spend_the_key() {
    let (house, wallet) = alice_with(100).await;
    let (grant, held) = (newest_lot(&house, wallet).await, hold(&house, wallet, 5).await);
    let before = house.look(wallet).await;
    let version = before["version"].as_u64().expect("a version");
    let calls = [
        (format!("/v1/wallets/{wallet}/holds"), json!({ "amount": 3 })),
        (format!("/v1/holds/{held}/capture"), nothing()),
        (format!("/v1/holds/{held}/release"), nothing()),
        (format!("/v1/holds/{held}/extend"), json!({ "expires_in": 3 })),
        (format!("/v1/grants/{grant}/void"), nothing()),
    ];
    let stale = format!("\"{}\"", version - 1);
    for (path, body) in &calls {
        let headers = [("idempotency-key", "g"), ("if-match", stale.as_str())];
        let answer = house.ask(&till(&house), "POST", path, &headers, Some(body.clone())).await;
        assert_refused(&house, wallet, &before, &answer, (412, "version_mismatch")).await;
    }
    let present = format!("\"{version}\"");
    let (path, body) = &calls[0];
    for replayed in [None, Some("true")] {
        let headers = [("idempotency-key", "g"), ("if-match", present.as_str())];
        let answer = house.ask(&till(&house), "POST", path, &headers, Some(body.clone())).await;
        assert_eq!((answer.status, answer.header("idempotent-replayed")), (201, replayed));
    }
}
