//! Keys, dry runs and versions.

use serde_json::{Value, json};

use super::world::{ADMIN, ANN, ANN_ID, BOB_ID, READER, TILL, World, spend, text};

#[actix_web::test]
async fn the_same_key_gets_the_first_answer_byte_by_byte_and_moves_once() {
    let world = World::new().await;
    let wallet = world.filled_wallet(100).await;
    let first = world.post_with_key(TILL, "k", &spend(&wallet, 60)).await;
    world.refunded(&first.json(), &json!({ "amount": 1 })).await;
    let raw = format!(" {{ \"amount\": 60, \"wallet_id\": \"{wallet}\", \"type\": \"\\u0073pend\" }}");
    let reordered: Value = serde_json::from_str(&raw).expect("the same meaning");

    for body in [spend(&wallet, 60), reordered] {
        let again = world.post_with_key(TILL, "k", &body).await;
        assert_eq!((again.status, &again.body), (201, &first.body));
        assert_eq!(again.header("idempotent-replayed"), Some("true"));
    }
    assert_eq!(first.header("idempotent-replayed"), None);
    assert_eq!(world.balance(&wallet).await, 41);
    let quoted = world.post_with_key(TILL, "\"k\"", &spend(&wallet, 60)).await;
    assert_eq!(quoted.body, first.body);
    world.holds_together().await;
}

#[actix_web::test]
async fn a_business_refusal_sticks_to_its_key() {
    let world = World::new().await;
    let wallet = world.wallet(ANN_ID).await;
    let first = world.post_with_key(TILL, "k", &spend(&wallet, 60)).await;
    assert_eq!(first.status, 402);
    world.purchase(&wallet, 100).await;

    let again = world.post_with_key(TILL, "k", &spend(&wallet, 60)).await;

    assert_eq!((again.status, &again.body), (402, &first.body));
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_ne!(again.header("x-request-id"), first.header("x-request-id"));
    assert_eq!(world.balance(&wallet).await, 100);
}

#[actix_web::test]
async fn a_key_means_one_request_of_one_holder() {
    let world = World::new().await;
    let wallet = world.filled_wallet(100).await;
    let spent = world.post_with_key(TILL, "k", &spend(&wallet, 1)).await.json();
    let other_body = world.post_with_key(TILL, "k", &spend(&wallet, 2)).await;
    assert_eq!((other_body.status, other_body.code().as_str()), (422, "idempotency_key_reused"));
    let path = format!("/v1/transactions/{}/refund", text(&spent["id"]));
    let other_route = world.call("POST", &path, TILL, &[("idempotency-key", "k")], None).await;
    assert_eq!((other_route.status, other_route.code().as_str()), (422, "idempotency_key_reused"));
    assert_eq!(world.balance(&wallet).await, 99);
    // A user's keys are its own, and what it may not see comes before a known key.
    assert_eq!(world.post_with_key(ANN, "k", &spend(&wallet, 1)).await.status, 201);
    let unknown = world.post_with_key(TILL, "k", &spend("wal_x", 1)).await;
    assert_eq!((unknown.status, unknown.code().as_str()), (404, "not_found"));
}

#[actix_web::test]
async fn what_is_not_an_outcome_leaves_the_key_unspent() {
    let world = World::new().await;
    let wallet = world.filled_wallet(100).await;
    let version = world.see(&wallet).await.version;
    assert_eq!(world.post_with_key(TILL, "k", &spend(&wallet, 0)).await.status, 422);
    assert_eq!(world.post_with_key(TILL, "k", &spend("wal_x", 1)).await.status, 404);
    assert_eq!(world.post_with_key(READER, "k", &spend(&wallet, 1)).await.status, 403);
    let stale = format!("\"{}\"", version + 1);
    let headers = [("idempotency-key", "k"), ("if-match", stale.as_str())];
    let answer = world.call("POST", "/v1/transactions", TILL, &headers, Some(&spend(&wallet, 1))).await;
    assert_eq!((answer.status, answer.code().as_str()), (412, "version_mismatch"));
    assert_eq!(world.balance(&wallet).await, 100);
    assert_eq!(world.post_with_key(TILL, "k", &spend(&wallet, 100)).await.status, 201);
}

#[actix_web::test]
async fn a_call_that_moves_credits_needs_a_key() {
    let world = World::new().await;
    let wallet = world.filled_wallet(100).await;
    let body = spend(&wallet, 1);
    for (headers, code) in [
        (vec![], "idempotency_key_required"),
        (vec![("idempotency-key", "a b")], "idempotency_key_invalid"),
        (vec![("idempotency-key", "")], "idempotency_key_invalid"),
    ] {
        let answer = world.call("POST", "/v1/transactions", TILL, &headers, Some(&body)).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, code));
    }
    // The form comes before the key, the key before what the form names.
    let faulty = world.call("POST", "/v1/transactions", TILL, &[], Some(&spend(&wallet, 0))).await;
    assert_eq!(faulty.code(), "validation_failed");
    let unknown = world.call("POST", "/v1/transactions", TILL, &[], Some(&spend("wal_x", 1))).await;
    assert_eq!(unknown.code(), "idempotency_key_required");
    assert_eq!(world.balance(&wallet).await, 100);
}

#[actix_web::test]
async fn a_dry_run_tells_the_same_and_stores_nothing() {
    let world = World::new().await;
    let (wallet, other) = (world.filled_wallet(100).await, world.wallet(BOB_ID).await);
    let spent = world.spend(&wallet, 10).await;
    let version = world.see(&wallet).await.version;
    let post = "/v1/transactions";
    let refund = format!("{post}/{}/refund", text(&spent["id"]));
    let on = |kind: &str| json!({ "type": kind, "wallet_id": wallet, "amount": 5, "external_id": null });
    let mut grant = on("grant");
    grant.as_object_mut().expect("members").remove("external_id");
    let transfer = json!({ "type": "transfer", "source_wallet_id": wallet, "destination_wallet_id": other, "amount": 5 });
    let adjustment = json!({ "type": "adjustment", "wallet_id": wallet, "direction": "debit", "amount": 5, "reason": "r" });
    for (caller, path, body) in [
        (TILL, post, on("purchase")),
        (TILL, post, grant),
        (TILL, post, spend(&wallet, 5)),
        (TILL, post, transfer),
        (ADMIN, post, adjustment),
        (TILL, &refund, json!({ "amount": 5 })),
    ] {
        let dry = world.call("POST", &format!("{path}?dry_run=true"), caller, &[], Some(&body)).await;
        let told = dry.json();
        assert_eq!((dry.status, &told["dry_run"]), (201, &json!(true)), "{told}");
        assert_eq!((&told["amount"], &told["wallet_version"]), (&json!(5), &json!(version + 1)));
        let state = world.see(&wallet).await;
        assert_eq!((state.balance(), state.version), (90, version));
    }
    let dry = world.call("POST", "/v1/transactions?dry_run=true", TILL, &[], Some(&spend(&wallet, 91))).await;
    assert_eq!((dry.status, dry.code().as_str()), (402, "insufficient_funds"));
    let odd = world.call("POST", "/v1/transactions?dry_run=yes", TILL, &[], Some(&spend(&wallet, 1))).await;
    assert_eq!((odd.status, odd.code().as_str()), (400, "invalid_parameter"));
    // A key that is sent along is not spent, and a real answer does not speak of dry runs.
    let headers = [("idempotency-key", "k")];
    world.call("POST", "/v1/transactions?dry_run=true", TILL, &headers, Some(&spend(&wallet, 1))).await;
    let real = world.post_with_key(TILL, "k", &spend(&wallet, 90)).await;
    assert_eq!((real.status, real.json().get("dry_run")), (201, None));
    world.holds_together().await;
}

#[actix_web::test]
async fn if_match_speaks_of_the_wallet_that_pays_and_else_of_the_one_that_gets() {
    let world = World::new().await;
    let (ann, bob) = (world.filled_wallet(100).await, world.wallet(BOB_ID).await);
    world.purchase(&bob, 1).await;
    world.purchase(&bob, 1).await;
    let transfer =
        json!({ "type": "transfer", "source_wallet_id": ann, "destination_wallet_id": bob, "amount": 5 });
    let adjustment =
        json!({ "type": "adjustment", "wallet_id": ann, "direction": "credit", "amount": 5, "reason": "r" });
    let bodies = [
        (TILL, json!({ "type": "purchase", "wallet_id": ann, "amount": 5 })),
        (TILL, json!({ "type": "grant", "wallet_id": ann, "amount": 5 })),
        (TILL, spend(&ann, 5)),
        (TILL, transfer),
        (ADMIN, adjustment),
    ];
    for (caller, body) in &bodies {
        let version = world.see(&ann).await.version;
        let key = world.key();
        let guarded = async |version: u64| {
            let tag = format!("\"{version}\"");
            let headers = [("idempotency-key", key.as_str()), ("if-match", tag.as_str())];
            world.call("POST", "/v1/transactions", caller, &headers, Some(body)).await
        };
        let stale = guarded(version - 1).await;
        assert_eq!((stale.status, stale.json()["version"].as_u64()), (412, Some(version)), "{body}");
        assert_eq!(world.see(&ann).await.version, version);
        let made = guarded(version).await;
        assert_eq!((made.status, made.json()["wallet_version"].as_u64()), (201, Some(version + 1)), "{body}");
        // The key is known now: its answer comes before any look at versions.
        assert_eq!(guarded(version).await.body, made.body);
    }
    world.holds_together().await;
}
