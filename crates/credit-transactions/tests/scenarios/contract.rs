//! Who may, what a body must be, and what comes first.

use credit_core::Clock;
use serde_json::{Value, json};

use super::world::{
    ADMIN, ANN, ANN_ID, BOB, BOB_ID, OTHER_TILL, READER, STRANGER, SUPPORT, TILL, World, spend, text,
};

fn on(kind: &str, wallet: &str) -> Value {
    json!({ "type": kind, "wallet_id": wallet, "amount": 1 })
}

#[actix_web::test]
async fn each_type_says_who_may() {
    let world = World::new().await;
    let (ann, bob) = (world.filled_wallet(100).await, world.wallet(BOB_ID).await);
    let transfer =
        json!({ "type": "transfer", "source_wallet_id": ann, "destination_wallet_id": bob, "amount": 1 });
    let adjustment =
        json!({ "type": "adjustment", "wallet_id": ann, "direction": "credit", "amount": 1, "reason": "r" });
    let callers = [ANN, BOB, ADMIN, SUPPORT, TILL, READER, STRANGER, OTHER_TILL];
    let table = [
        (on("purchase", &ann), [403, 403, 201, 403, 201, 403, 403, 404]),
        (on("grant", &ann), [403, 403, 201, 403, 201, 403, 403, 404]),
        (on("spend", &ann), [201, 404, 403, 403, 201, 403, 403, 404]),
        (transfer, [201, 404, 403, 403, 201, 403, 403, 404]),
        (adjustment, [403, 403, 201, 403, 403, 403, 403, 403]),
    ];
    for (body, statuses) in &table {
        for (caller, expected) in callers.iter().zip(statuses) {
            let before = world.see(&ann).await;
            let answer = world.post(caller, body).await;
            assert_eq!(answer.status, *expected, "{caller}: {body}: {}", answer.json());
            let moved = world.see(&ann).await.version - before.version;
            assert_eq!(moved, u64::from(*expected == 201), "{caller}: {body}");
        }
    }
    world.holds_together().await;
}

#[actix_web::test]
async fn who_may_not_learns_nothing_of_the_form() {
    let world = World::new().await;
    for kind in ["purchase", "grant", "adjustment"] {
        let answer = world.call("POST", "/v1/transactions", ANN, &[], Some(&json!({ "type": kind }))).await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "forbidden"), "{kind}");
    }
    let answer =
        world.call("POST", "/v1/transactions", TILL, &[], Some(&json!({ "type": "adjustment" }))).await;
    assert_eq!(answer.status, 403);
    let answer = world.call("POST", "/v1/transactions", "nobody", &[], Some(&json!({}))).await;
    assert_eq!((answer.status, answer.header("www-authenticate").is_some()), (401, true));
}

#[actix_web::test]
async fn a_body_without_a_known_type_is_not_valid() {
    let world = World::new().await;
    for (body, pointer, code) in [
        (json!({ "amount": 1 }), "/type", "required"),
        (json!({ "type": "gift" }), "/type", "invalid_value"),
        (json!({ "type": "refund" }), "/type", "invalid_value"),
        (json!({ "type": 7 }), "/type", "invalid_type"),
        (json!([]), "", "invalid_type"),
        (Value::Null, "", "invalid_type"),
    ] {
        let refusal = world.refuses(ANN, &body, 422, "validation_failed").await;
        let fault = &refusal["errors"][0];
        assert_eq!((&fault["pointer"], &fault["code"]), (&json!(pointer), &json!(code)), "{body}");
    }
}

#[actix_web::test]
async fn every_fault_of_a_form_is_told_at_once() {
    let world = World::new().await;
    let long = "x".repeat(256);
    let table = [
        (ANN, json!({}), vec!["/amount", "/type"]),
        (
            ANN,
            json!({ "type": "gift", "amount": 0, "reference": long, "metadata": { "a": 1 }, "roles": [], "at_most": 1 }),
            vec!["/amount", "/metadata/a", "/reference", "/roles", "/type"],
        ),
        (TILL, json!({ "type": "purchase" }), vec!["/amount", "/wallet_id"]),
        (TILL, json!({ "type": "grant" }), vec!["/amount", "/wallet_id"]),
        (TILL, json!({ "type": "spend" }), vec!["/amount", "/wallet_id"]),
        (TILL, json!({ "type": "transfer" }), vec!["/amount", "/destination_wallet_id", "/source_wallet_id"]),
        (ADMIN, json!({ "type": "adjustment" }), vec!["/amount", "/direction", "/reason", "/wallet_id"]),
        (
            TILL,
            json!({
                "type": "spend", "wallet_id": 1, "amount": "1", "at_most": 1, "reference": long,
                "metadata": { "a": 1, "b": long, "": "c" }, "roles": ["admin"], "priority": 1,
            }),
            vec![
                "/amount",
                "/at_most",
                "/metadata/",
                "/metadata/a",
                "/priority",
                "/reference",
                "/roles",
                "/wallet_id",
            ],
        ),
        (
            TILL,
            json!({ "type": "purchase", "wallet_id": "wal_x", "amount": 1, "effective_at": "2030-01-01T00:00:00Z", "priority": -1 }),
            vec!["/effective_at", "/priority"],
        ),
        (
            ADMIN,
            json!({ "type": "adjustment", "wallet_id": "wal_x", "direction": "credit", "amount": 1, "reason": "" }),
            vec!["/reason"],
        ),
    ];
    for (caller, body, expected) in table {
        let refusal = world.refuses(caller, &body, 422, "validation_failed").await;
        let mut pointers: Vec<String> = refusal["errors"]
            .as_array()
            .expect("faults")
            .iter()
            .map(|fault| text(&fault["pointer"]))
            .collect();
        pointers.sort();
        assert_eq!(pointers, expected, "{body}");
    }
}

#[actix_web::test]
async fn an_amount_is_a_whole_number_in_its_bounds() {
    let world = World::new().await;
    let wallet = world.filled_wallet(100).await;
    for amount in [
        "0",
        "-1",
        "1.0",
        "1.5",
        "1e2",
        "\"1\"",
        "null",
        "true",
        "9007199254740992",
        "1e400",
        "-1e400",
        "99999999999999999999999",
    ] {
        let raw = format!("{{\"type\":\"spend\",\"wallet_id\":\"{wallet}\",\"amount\":{amount}}}");
        let refusal = world.send("POST", TILL, "application/json", &raw).await;
        assert_eq!((refusal.status, refusal.code().as_str()), (422, "validation_failed"), "{amount}");
        assert_eq!(refusal.json()["errors"][0]["pointer"], "/amount", "{amount}");
    }
    world.refuses(TILL, &spend(&wallet, 9_007_199_254_740_991), 402, "insufficient_funds").await;
}

#[actix_web::test]
async fn an_unknown_wallet_is_not_found_whoever_asks() {
    let world = World::new().await;
    let foreign = world.wallet_in(world.other_app, ANN_ID, credit_core::AssetCode::CREDIT).await;
    for wallet in
        ["wal_x", "", "txn_00000000000070008000000000000000", &format!("wal_{}", "0".repeat(32)), &foreign]
    {
        for (caller, kind) in [(TILL, "purchase"), (TILL, "grant"), (TILL, "spend"), (ANN, "spend")] {
            world.refuses(caller, &on(kind, wallet), 404, "not_found").await;
        }
    }
    // An admin acts across applications; what is nowhere is not found for it either.
    world.make(ADMIN, &on("purchase", &foreign)).await;
    world.refuses(ADMIN, &on("purchase", "wal_x"), 404, "not_found").await;
    world.refuses(ADMIN, &on("spend", &foreign), 403, "forbidden").await;
}

#[actix_web::test]
async fn an_effective_date_may_have_passed() {
    let world = World::new().await;
    let wallet = world.wallet(ANN_ID).await;
    let effective_at = world.clock.now().plus_seconds(-1000);
    let body = json!({ "type": "grant", "wallet_id": wallet, "amount": 3, "effective_at": effective_at });
    world.make(TILL, &body).await;
    world.spend(&wallet, 3).await;
}

#[actix_web::test]
async fn what_is_no_json_object_of_ours_does_not_reach_the_ledger() {
    let world = World::new().await;
    let wallet = world.filled_wallet(100).await;
    let twice = format!("{{\"type\":\"spend\",\"wallet_id\":\"{wallet}\",\"amount\":1,\"amount\":2}}");
    let large = format!("{{\"type\":\"spend\",\"reference\":\"{}\"}}", "x".repeat(256 * 1024));
    for (method, kind, body, status) in [
        ("POST", "application/json", "{", 400),
        ("POST", "application/json", "", 400),
        ("POST", "application/json", twice.as_str(), 400),
        ("POST", "text/plain", "{}", 415),
        ("POST", "application/json", large.as_str(), 413),
        ("PUT", "application/json", "{}", 405),
        ("DELETE", "application/json", "{}", 405),
    ] {
        let answer = world.send(method, TILL, kind, body).await;
        assert_eq!(answer.status, status, "{method} {kind} {}", answer.json());
    }
    assert_eq!(world.balance(&wallet).await, 100);
}

#[actix_web::test]
async fn the_document_tells_the_types_apart_by_name() {
    let document = super::world::openapi().await;
    let post = &document["paths"]["/v1/transactions"]["post"];
    let schema = &post["requestBody"]["content"]["application/json"]["schema"];
    let mapping = schema["discriminator"]["mapping"].as_object().expect("a mapping");
    assert_eq!((&schema["discriminator"]["propertyName"], mapping.len()), (&json!("type"), 5));
    for (kind, reference) in mapping {
        let name = text(reference).rsplit('/').next().expect("a name").to_owned();
        let form = &document["components"]["schemas"][&name];
        assert_eq!(form["properties"]["type"]["enum"], json!([kind]));
        assert_eq!(form["additionalProperties"], json!(false));
        let required = form["required"].as_array().expect("required members");
        assert!(required.contains(&json!("type")) && required.contains(&json!("amount")), "{name}");
        assert!(schema["oneOf"].as_array().expect("forms").contains(&json!({ "$ref": reference })));
    }
    for status in ["200", "201", "402", "409", "412", "422"] {
        assert!(!post["responses"][status].is_null(), "{status}");
    }
    let refund = &document["paths"]["/v1/transactions/{id}/refund"]["post"];
    assert_eq!(refund["requestBody"]["required"], json!(false));
}
