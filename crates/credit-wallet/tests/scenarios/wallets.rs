//! Wallets themselves.

use credit_core::{AssetCode, UserId};
use credit_wallet::domain::Category;
use credit_wallet::domain::moves::Deposit;
use credit_wallet::testkit::{Take, nothing};
use serde_json::json;

use super::world::{admin, alice_with, assert_refused, hold, house, support, till};

#[actix_web::test]
async fn a_wallet_is_opened_empty_for_a_user_of_the_application() {
    let house = house().await;
    let dora = house.ground.user_of(house.ground.app, "dora", &[]);
    let body = json!({ "user_id": dora, "metadata": { "plan": "gold" } });
    let made = house.post(&till(&house), "/v1/wallets", body).await;
    assert_eq!(made.status, 201, "{:?}", made.json());
    assert_eq!(made.header("etag"), Some("\"1\""));
    let wallet = made.json();
    assert_eq!(wallet["app_id"], json!(house.ground.app));
    assert_eq!(wallet["user_id"], json!(dora));
    assert_eq!((&wallet["asset"], &wallet["status"]), (&json!("CREDIT"), &json!("active")));
    assert_eq!(wallet["metadata"], json!({ "plan": "gold" }));
    assert_eq!(wallet["expiring"], json!([]));
    for figure in ["balance", "held", "scheduled", "overdrawn", "available", "overdraft_limit"] {
        assert_eq!(wallet[figure], 0, "{figure}");
    }
    let path = format!("/v1/wallets/{}", wallet["id"].as_str().expect("an id"));
    assert_eq!(house.get(&till(&house), &path).await.json(), wallet);
}

#[actix_web::test]
async fn every_parameter_that_is_wrong_is_named() {
    let house = house().await;
    let list = "/v1/wallets?limit=0&asset=zz&status=asleep&user_id=";
    let refused = house.get(&till(&house), list).await;
    assert_eq!((refused.status, refused.code().as_str()), (400, "invalid_parameter"));
    let errors = refused.json()["errors"].clone();
    let named: Vec<_> = errors.as_array().expect("a list").iter().map(|fault| &fault["pointer"]).collect();
    assert_eq!(named, ["limit", "asset", "status"], "{errors}");
    assert!(errors.as_array().expect("a list").iter().all(|fault| fault["code"] == "invalid_parameter"));
    for (only, list) in
        [("asset", "/v1/wallets?asset=zz&limit=1"), ("status", "/v1/wallets?status=x&asset=GOLD")]
    {
        let errors = house.get(&till(&house), list).await.json()["errors"].clone();
        assert_eq!((errors.as_array().map(Vec::len), &errors[0]["pointer"]), (Some(1), &json!(only)));
    }
}

#[actix_web::test]
async fn of_pairs_that_are_too_many_those_that_are_wrong_are_named_as_well() {
    let house = house().await;
    let dora = house.ground.user_of(house.ground.app, "dora", &[]);
    let mut pairs: serde_json::Map<_, _> = (0..50).map(|number| (format!("n{number}"), json!("x"))).collect();
    pairs.insert("y".repeat(65), json!(5));
    let refused =
        house.post(&till(&house), "/v1/wallets", json!({ "user_id": dora, "metadata": pairs })).await;
    assert_eq!((refused.status, refused.code().as_str()), (422, "validation_failed"));
    let errors = refused.json()["errors"].clone();
    let codes: Vec<_> = errors.as_array().expect("a list").iter().map(|fault| &fault["code"]).collect();
    assert_eq!(codes, ["out_of_range", "invalid_length", "invalid_type"], "{errors}");
    assert_eq!(errors[0]["pointer"], "/metadata");
}

#[actix_web::test]
async fn a_user_has_one_wallet_for_each_asset() {
    let house = house().await;
    let (dora, wallet) = house.person("dora").await;
    let before = house.look(wallet).await;
    let again = house.post(&till(&house), "/v1/wallets", json!({ "user_id": dora })).await;
    assert_refused(&house, wallet, &before, &again, (409, "wallet_exists")).await;
    house.post(&admin(), "/v1/assets", json!({ "code": "GOLD", "scale": 2 })).await;
    let gold = house.post(&till(&house), "/v1/wallets", json!({ "user_id": dora, "asset": "GOLD" })).await;
    assert_eq!((gold.status, &gold.json()["asset"]), (201, &json!("GOLD")));
}

#[actix_web::test]
async fn no_wallet_is_opened_for_whom_the_caller_does_not_know_or_in_what_does_not_exist() {
    let house = house().await;
    let dora = house.ground.user_of(house.ground.app, "dora", &[]);
    let stranger = house.ground.user_of(house.ground.other_app, "stranger", &[]);
    for body in [
        json!({ "user_id": stranger }),
        json!({ "user_id": "usr_1" }),
        json!({ "user_id": UserId::from_u128(99) }),
        json!({ "user_id": dora, "asset": "GOLD" }),
    ] {
        let answer = house.post(&till(&house), "/v1/wallets", body.clone()).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"), "{body}");
    }
    for body in [json!({}), json!({ "user_id": 1 }), json!({ "user_id": dora, "asset": "x" })] {
        let answer = house.post(&till(&house), "/v1/wallets", body.clone()).await;
        assert_eq!((answer.status, answer.code().as_str()), (422, "validation_failed"), "{body}");
    }
    let listed = house.get(&admin(), "/v1/wallets").await;
    assert_eq!(listed.json()["data"], json!([]));
}

#[actix_web::test]
async fn an_admin_opens_wallets_in_every_application() {
    let house = house().await;
    let stranger = house.ground.user_of(house.ground.other_app, "stranger", &[]);
    let made = house.post(&admin(), "/v1/wallets", json!({ "user_id": stranger })).await;
    assert_eq!((made.status, &made.json()["app_id"]), (201, &json!(house.ground.other_app)));
}

#[actix_web::test]
async fn a_patch_changes_what_it_names_and_nothing_else() {
    let (house, wallet) = alice_with(10).await;
    let path = format!("/v1/wallets/{wallet}");
    let body = json!({ "metadata": { "a": "b" }, "overdraft_limit": 50, "low_balance_threshold": 5 });
    let changed = house.ask(&till(&house), "PATCH", &path, &[], Some(body)).await;
    assert_eq!(changed.status, 200, "{:?}", changed.json());
    assert_eq!(changed.json()["available"], 60);
    assert_eq!(changed.json()["low_balance_threshold"], 5);
    let version = changed.json()["version"].as_u64().expect("a version");
    assert_eq!(changed.header("etag"), Some(format!("\"{version}\"").as_str()));
    let body = json!({ "low_balance_threshold": null });
    let changed = house.ask(&till(&house), "PATCH", &path, &[], Some(body)).await.json();
    assert_eq!(changed["low_balance_threshold"], json!(null));
    assert_eq!((&changed["metadata"], &changed["overdraft_limit"]), (&json!({ "a": "b" }), &json!(50)));
    assert_eq!(house.look(wallet).await, changed);
    let same = house.ask(&till(&house), "PATCH", &path, &[], Some(nothing())).await;
    assert_eq!((same.status, same.json()), (200, changed), "naming nothing changes nothing");
}

#[actix_web::test]
async fn a_patch_of_a_version_that_is_gone_is_refused() {
    let (house, wallet) = alice_with(10).await;
    let before = house.look(wallet).await;
    let version = before["version"].as_u64().expect("a version");
    for (path, method) in [("", "PATCH"), ("/freeze", "POST"), ("/unfreeze", "POST"), ("/close", "POST")] {
        let path = format!("/v1/wallets/{wallet}{path}");
        for stale in [format!("\"{}\"", version - 1), "\"nonsense\"".to_owned()] {
            let headers = [("if-match", stale.as_str())];
            let answer = house.ask(&till(&house), method, &path, &headers, Some(nothing())).await;
            assert_refused(&house, wallet, &before, &answer, (412, "version_mismatch")).await;
        }
    }
    let present = format!("\"{version}\"");
    let headers = [("if-match", present.as_str())];
    let body = json!({ "overdraft_limit": 1 });
    let path = format!("/v1/wallets/{wallet}");
    assert_eq!(house.ask(&till(&house), "PATCH", &path, &headers, Some(body)).await.status, 200);
}

#[actix_web::test]
async fn a_patch_that_is_not_one_is_refused() {
    let (house, wallet) = alice_with(10).await;
    let before = house.look(wallet).await;
    let many: serde_json::Map<_, _> = (0..51).map(|name| (name.to_string(), json!("x"))).collect();
    for body in [
        json!({ "overdraft_limit": -1 }),
        json!({ "overdraft_limit": 1.5 }),
        json!({ "low_balance_threshold": "5" }),
        json!({ "balance": 100 }),
        json!({ "metadata": { "a": 1 } }),
        json!({ "metadata": { "a": "x".repeat(513) } }),
        json!({ "metadata": { "n".repeat(65): "x" } }),
        json!({ "metadata": many }),
    ] {
        let answer =
            house.ask(&till(&house), "PATCH", &format!("/v1/wallets/{wallet}"), &[], Some(body)).await;
        assert_refused(&house, wallet, &before, &answer, (422, "validation_failed")).await;
    }
}

#[actix_web::test]
async fn an_overdraft_in_use_cannot_be_taken_away() {
    let (house, wallet) = alice_with(10).await;
    let path = format!("/v1/wallets/{wallet}");
    let patch = async |limit: i64| {
        house.ask(&admin(), "PATCH", &path, &[], Some(json!({ "overdraft_limit": limit }))).await
    };
    assert_eq!(patch(100).await.status, 200);
    house.ground.command(house.ground.app, Take { wallet, amount: 60 }).await;
    let before = house.look(wallet).await;
    assert_eq!((&before["balance"], &before["overdrawn"]), (&json!(-50), &json!(50)));
    assert_refused(&house, wallet, &before, &patch(49).await, (409, "overdraft_in_use")).await;
    assert_eq!(patch(50).await.json()["available"], 0);
}

#[actix_web::test]
async fn lots_that_may_expire_make_up_for_no_overdraft_when_its_limit_is_lowered() {
    let (house, wallet) = alice_with(0).await;
    let path = format!("/v1/wallets/{wallet}");
    let patch = async |limit: i64| {
        house.ask(&admin(), "PATCH", &path, &[], Some(json!({ "overdraft_limit": limit }))).await
    };
    assert_eq!(patch(100).await.status, 200);
    // Not effective yet, it repays nothing; and then it is there beside what is overdrawn.
    let later = Deposit {
        effective_at: Some(house.in_seconds(10)),
        expires_at: Some(house.in_seconds(20)),
        ..Deposit::new(50, Category::Promotional)
    };
    house.ground.seed_lot(wallet, later).await;
    house.ground.command(house.ground.app, Take { wallet, amount: 100 }).await;
    house.wait_seconds(10);
    let before = house.look(wallet).await;
    assert_eq!((&before["overdrawn"], &before["available"]), (&json!(100), &json!(50)));
    assert_refused(&house, wallet, &before, &patch(99).await, (409, "overdraft_in_use")).await;
    assert_eq!(patch(100).await.status, 200);
    house.wait_seconds(10);
    let due = house.look(wallet).await;
    assert_eq!(due["available"], 0);
    house.wait_seconds(5);
    assert_eq!(house.look(wallet).await, due, "two looks at what is due show the same");
    assert_eq!(patch(120).await.json()["available"], 20);
}

#[actix_web::test]
async fn in_a_frozen_wallet_nothing_moves_until_it_thaws() {
    let (house, wallet) = alice_with(100).await;
    let held = hold(&house, wallet, 10).await;
    let grant = super::world::newest_lot(&house, wallet).await;
    let frozen = house.post(&support(), &format!("/v1/wallets/{wallet}/freeze"), nothing()).await;
    assert_eq!((frozen.status, &frozen.json()["status"]), (200, &json!("frozen")));
    let before = house.look(wallet).await;
    for (path, body) in [
        (format!("/v1/wallets/{wallet}/holds"), json!({ "amount": 1 })),
        (format!("/v1/holds/{held}/capture"), nothing()),
        (format!("/v1/holds/{held}/release"), nothing()),
        (format!("/v1/holds/{held}/extend"), json!({ "expires_in": 60 })),
        (format!("/v1/grants/{grant}/void"), nothing()),
    ] {
        let answer = house.once(&till(&house), &format!("key {path}").replace(' ', "-"), &path, body).await;
        assert_refused(&house, wallet, &before, &answer, (409, "wallet_frozen")).await;
    }
    let again = house.post(&support(), &format!("/v1/wallets/{wallet}/freeze"), nothing()).await;
    assert_eq!((again.status, again.json()), (200, before));
    let thawed = house.post(&support(), &format!("/v1/wallets/{wallet}/unfreeze"), nothing()).await;
    assert_eq!((thawed.status, &thawed.json()["status"]), (200, &json!("active")));
    let captured = house.once(&till(&house), "now", &format!("/v1/holds/{held}/capture"), nothing()).await;
    assert_eq!(captured.status, 201);
}

#[actix_web::test]
async fn only_an_empty_wallet_is_closed_and_it_stays_closed() {
    let (house, wallet) = alice_with(10).await;
    let close = format!("/v1/wallets/{wallet}/close");
    let before = house.look(wallet).await;
    let refused = house.post(&till(&house), &close, nothing()).await;
    assert_refused(&house, wallet, &before, &refused, (409, "wallet_not_empty")).await;
    house.ground.command(house.ground.app, credit_wallet::testkit::Take { wallet, amount: 10 }).await;
    let closed = house.post(&till(&house), &close, nothing()).await;
    assert_eq!((closed.status, &closed.json()["status"]), (200, &json!("closed")));
    let before = house.look(wallet).await;
    for (method, rest) in [("POST", "/freeze"), ("POST", "/unfreeze"), ("PATCH", "")] {
        let path = format!("/v1/wallets/{wallet}{rest}");
        let answer = house.ask(&till(&house), method, &path, &[], Some(nothing())).await;
        assert_refused(&house, wallet, &before, &answer, (409, "wallet_closed")).await;
    }
    let hold =
        house.once(&till(&house), "h", &format!("/v1/wallets/{wallet}/holds"), json!({ "amount": 1 })).await;
    assert_refused(&house, wallet, &before, &hold, (409, "wallet_closed")).await;
    assert_eq!(house.post(&till(&house), &close, nothing()).await.json(), before);
}

#[actix_web::test]
async fn a_user_who_comes_twice_has_one_wallet_and_who_leaves_must_have_emptied_it() {
    use credit_users::ports::Wallets;
    let house = house().await;
    let app = house.ground.app;
    let dora = house.ground.user_of(app, "dora", &[]);
    for _ in 0..2 {
        house.ground.counter.open_default(app, dora).await.expect("it is there");
    }
    let book = house.ground.counter.book(app).await.expect("the book opens");
    let wallet = book.wallet_of(dora, AssetCode::CREDIT).await.expect("answers").expect("there").id;
    house.ground.seed(wallet, 1).await;
    let refused = house.ground.counter.close_all(app, dora).await.expect_err("it is not empty");
    assert_eq!(refused.code(), credit_core::Code::WalletNotEmpty);
    assert_eq!(house.look(wallet).await["status"], "active");
    house.ground.command(app, credit_wallet::testkit::Take { wallet, amount: 1 }).await;
    for _ in 0..2 {
        house.ground.counter.close_all(app, dora).await.expect("it is empty");
    }
    assert_eq!(house.look(wallet).await["status"], "closed");
}
