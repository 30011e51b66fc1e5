//! API keys.

use std::sync::Arc;

use serde_json::{Value, json};

use super::probe::Probe;
use super::world::{ADMIN, Builder, GRACE_SECONDS, SUPPORT, World, column, text};

async fn world() -> World {
    Builder::default().neighbour(Arc::new(Probe)).open().await
}

/// Whether the secret opens the door now: 200 or 401.
async fn knocks(world: &World, secret: &str) -> u16 {
    world.with_key("/v1/things/a", secret).await.status
}

/// Waits until the last use of the only key is noted so: that is done behind the answer.
async fn noted(world: &World, at: &Value) {
    for _ in 0..500 {
        let list = world.house.get("/v1/api-keys", ADMIN).await;
        if column(&list, "last_used_at") == [at.clone()] {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the last use is not noted as {at}");
}

#[actix_web::test]
async fn a_key_opens_the_door_and_its_secret_is_shown_once() {
    let world = world().await;
    let app = world.new_app("shop").await;
    let body = json!({ "app_id": app, "name": "till", "scopes": ["wallets:read", "users:read"] });
    let answer = world.house.post("/v1/api-keys", ADMIN, &body).await;
    assert_eq!(answer.status, 201);
    let mut key = answer.json();
    let secret = text(&key["secret"]);
    assert!(secret.starts_with("ck_") && secret.len() == 46, "{secret}");
    assert_eq!(knocks(&world, &secret).await, 200);
    noted(&world, &json!("2026-01-01T00:00:00.000Z")).await;

    let list = world.house.get("/v1/api-keys", ADMIN).await;
    assert!(!String::from_utf8_lossy(&list.body).contains(&secret));
    key.as_object_mut().expect("an object").remove("secret");
    key["last_used_at"] = json!("2026-01-01T00:00:00.000Z");
    assert_eq!(list.json()["data"], json!([key]));
    assert_eq!(key["scopes"], body["scopes"]);
    assert_eq!(key["expires_at"], Value::Null);
}

#[actix_web::test]
async fn what_is_not_a_secret_of_ours_opens_nothing() {
    let world = world().await;
    let app = world.new_app("shop").await;
    let (_, secret) = world.new_key(&app, &["users:read"]).await;
    let mut other = secret.clone();
    other.pop();
    other.push(if secret.ends_with('A') { 'B' } else { 'A' });
    for wrong in [other.as_str(), "", "ck_", &secret[..45], &format!("{secret}A"), &secret.to_uppercase()] {
        assert_eq!(knocks(&world, wrong).await, 401, "{wrong}");
    }
}

#[actix_web::test]
async fn the_form_of_a_key_is_checked_before_its_application_is_looked_for() {
    let world = world().await;
    let app = world.new_app("shop").await;
    let nowhere = "app_00000000000070008000000000000bad";
    let cases = [
        (json!({ "app_id": app, "name": "n", "scopes": [] }), 422, "/scopes"),
        (json!({ "app_id": app, "name": "n", "scopes": ["users:read", "users:read"] }), 422, "/scopes/1"),
        (json!({ "app_id": app, "name": "n", "scopes": ["everything"] }), 422, "/scopes/0"),
        (json!({ "app_id": app, "name": "", "scopes": ["users:read"] }), 422, "/name"),
        (
            json!({ "app_id": "junk", "name": "n", "scopes": ["users:read"], "expires_at": "2020-01-01T00:00:00Z" }),
            422,
            "/expires_at",
        ),
        (json!({ "app_id": "junk", "name": "n", "scopes": ["users:read"] }), 404, ""),
        (json!({ "app_id": nowhere, "name": "n", "scopes": ["users:read"] }), 404, ""),
    ];
    for (body, status, pointer) in cases {
        let answer = world.house.post("/v1/api-keys", ADMIN, &body).await;
        assert_eq!(answer.status, status, "{body}");
        let faults = answer.json()["errors"].as_array().expect("a list").clone();
        let pointers: Vec<Value> = faults.iter().map(|fault| fault["pointer"].clone()).collect();
        assert_eq!(pointers, if pointer.is_empty() { vec![] } else { vec![json!(pointer)] }, "{body}");
    }
    let body = json!({ "app_id": app, "name": "", "expires_at": "2020-01-01T00:00:00Z", "extra": 1 });
    let faults = world.house.post("/v1/api-keys", ADMIN, &body).await.json()["errors"].clone();
    let mut pointers: Vec<&str> =
        faults.as_array().expect("a list").iter().filter_map(|fault| fault["pointer"].as_str()).collect();
    pointers.sort_unstable();
    assert_eq!(pointers, ["/expires_at", "/extra", "/name", "/scopes"]);
    assert_eq!(column(&world.house.get("/v1/api-keys", ADMIN).await, "id").len(), 0);
}

#[actix_web::test]
async fn keys_are_listed_by_application_newest_first() {
    let world = world().await;
    let (shop, game) = (world.new_app("shop").await, world.new_app("game").await);
    let (first, _) = world.new_key(&shop, &["users:read"]).await;
    let (second, _) = world.new_key(&game, &["users:read"]).await;
    let (third, _) = world.new_key(&shop, &["users:read"]).await;
    let ids = async |path: String| column(&world.house.get(&path, ADMIN).await, "id");
    assert_eq!(ids("/v1/api-keys".into()).await, [third.clone(), second, first.clone()]);
    assert_eq!(ids(format!("/v1/api-keys?app_id={shop}")).await, [third, first]);
    assert!(ids("/v1/api-keys?app_id=junk".into()).await.is_empty());
    assert!(ids("/v1/api-keys?app_id=app_00000000000070008000000000000bad".into()).await.is_empty());
}

#[actix_web::test]
async fn a_rotated_keys_old_secret_lives_on_for_the_grace() {
    let world = world().await;
    let app = world.new_app("shop").await;
    let (id, old) = world.new_key(&app, &["users:read"]).await;
    assert_eq!(knocks(&world, &old).await, 200);
    let path = format!("/v1/api-keys/{id}/rotate");
    let answer = world.house.call("POST", &path, &[("authorization", "Bearer admin")], None).await;
    assert_eq!((answer.status, answer.json()["id"].clone()), (200, json!(id)));
    let new = text(&answer.json()["secret"]);
    assert_ne!(new, old);
    assert_eq!((knocks(&world, &old).await, knocks(&world, &new).await), (200, 200));
    world.clock.advance_seconds(GRACE_SECONDS - 1);
    assert_eq!(knocks(&world, &old).await, 200);
    world.clock.advance_seconds(1);
    assert_eq!((knocks(&world, &old).await, knocks(&world, &new).await), (401, 200));
    let with_body = world.house.post(&path, ADMIN, &json!({ "grace": 1 })).await;
    assert_eq!(with_body.status, 422);
}

#[actix_web::test]
async fn a_key_stops_when_it_expires() {
    let world = world().await;
    let app = world.new_app("shop").await;
    let end = "2026-01-01T00:01:00Z";
    let body = json!({ "app_id": app, "name": "n", "scopes": ["users:read"], "expires_at": end });
    let secret = text(&world.house.post("/v1/api-keys", ADMIN, &body).await.json()["secret"]);
    world.clock.advance_millis(59_999);
    assert_eq!(knocks(&world, &secret).await, 200);
    world.clock.advance_millis(1);
    assert_eq!(knocks(&world, &secret).await, 401);
}

#[actix_web::test]
async fn a_deleted_key_stops_at_once_with_all_its_secrets() {
    let world = world().await;
    let app = world.new_app("shop").await;
    let (id, old) = world.new_key(&app, &["users:read"]).await;
    let path = format!("/v1/api-keys/{id}");
    let rotated = world.house.post(&format!("{path}/rotate"), ADMIN, &json!({})).await;
    let new = text(&rotated.json()["secret"]);
    assert_eq!((knocks(&world, &old).await, knocks(&world, &new).await), (200, 200));
    let answer = world.delete(&path).await;
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    assert_eq!((knocks(&world, &old).await, knocks(&world, &new).await), (401, 401));
    assert_eq!(world.delete(&path).await.code(), "not_found");
    assert!(column(&world.house.get("/v1/api-keys", ADMIN).await, "id").is_empty());
}

#[actix_web::test]
async fn a_key_deleted_by_another_process_stops_within_a_second() {
    let stores = crate::stores().await;
    let documents = || stores.documents.clone();
    let here =
        Builder::default().neighbour(Arc::new(Probe)).documents(documents(), stores.clone()).open().await;
    let there = Builder::default().documents(documents(), stores.clone()).open().await;
    let app = here.new_app("shop").await;
    let (id, secret) = here.new_key(&app, &["users:read"]).await;
    assert_eq!(knocks(&here, &secret).await, 200);
    assert_eq!(there.delete(&format!("/v1/api-keys/{id}")).await.status, 204);
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(knocks(&here, &secret).await, 401);
}

#[actix_web::test]
async fn the_last_use_is_noted_at_most_once_a_minute() {
    let world = world().await;
    let app = world.new_app("shop").await;
    let (_, secret) = world.new_key(&app, &["users:read"]).await;
    noted(&world, &Value::Null).await;
    for (seconds, time) in [(5, "00:00:05"), (59, "00:00:05"), (1, "00:01:05"), (3600, "01:01:05")] {
        world.clock.advance_seconds(seconds);
        assert_eq!(knocks(&world, &secret).await, 200);
        noted(&world, &json!(format!("2026-01-01T{time}.000Z"))).await;
    }
}

#[actix_web::test]
async fn only_admins_keep_keys_and_a_wrong_id_is_not_found() {
    let world = world().await;
    let app = world.new_app("shop").await;
    let (id, secret) = world.new_key(&app, &["users:write"]).await;
    let path = format!("/v1/api-keys/{id}");
    for headers in [("authorization", "Bearer support"), ("x-api-key", secret.as_str())] {
        assert_eq!(world.house.call("DELETE", &path, &[headers], None).await.code(), "forbidden");
        assert_eq!(world.house.call("GET", "/v1/api-keys", &[headers], None).await.code(), "forbidden");
    }
    assert_eq!(world.house.get("/v1/api-keys", SUPPORT).await.status, 403);
    for wrong in
        ["junk", &id.to_uppercase(), &id.replace("key_", "app_"), "key_00000000000070008000000000000bad"]
    {
        assert_eq!(world.delete(&format!("/v1/api-keys/{wrong}")).await.code(), "not_found", "{wrong}");
        let rotate = format!("/v1/api-keys/{wrong}/rotate");
        assert_eq!(world.house.post(&rotate, ADMIN, &json!({})).await.code(), "not_found", "{wrong}");
    }
}
