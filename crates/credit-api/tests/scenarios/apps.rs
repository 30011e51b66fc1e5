//! Applications.

use credit_core::AppId;
use serde_json::json;

use super::world::{ADMIN, SUPPORT, USER, World, column};

#[actix_web::test]
async fn an_admin_makes_applications_and_sees_them_newest_first() {
    let world = World::new().await;
    let answer = world.house.post("/v1/apps", ADMIN, &json!({ "name": "shop" })).await;
    assert_eq!(answer.status, 201);
    let app = answer.json();
    assert!(app["id"].as_str().is_some_and(|id| AppId::parse(id).is_ok()), "{app}");
    assert_eq!(
        (app["name"].clone(), app["created_at"].clone()),
        (json!("shop"), json!("2026-01-01T00:00:00.000Z"))
    );
    let list = world.house.get("/v1/apps", ADMIN).await;
    assert_eq!(column(&list, "name"), ["shop", "default"]);
    assert_eq!(
        (list.json()["has_more"].clone(), list.json()["next_cursor"].clone()),
        (json!(false), json!(null))
    );
}

#[actix_web::test]
async fn nobody_else_makes_or_sees_applications() {
    let world = World::new().await;
    let app = world.new_app("shop").await;
    let (_, secret) = world.new_key(&app, &["users:write", "webhooks:write"]).await;
    for token in [USER, SUPPORT] {
        assert_eq!(world.house.get("/v1/apps", token).await.code(), "forbidden");
        assert_eq!(world.house.post("/v1/apps", token, &json!({ "name": "x" })).await.code(), "forbidden");
    }
    assert_eq!(world.with_key("/v1/apps", &secret).await.status, 403);
    assert_eq!(world.get("/v1/apps").await.status, 401);
    assert_eq!(column(&world.house.get("/v1/apps", ADMIN).await, "name"), ["shop", "default"]);
}

#[actix_web::test]
async fn a_name_has_one_to_a_hundred_characters() {
    let world = World::new().await;
    for (name, status) in [("", 422), ("x", 201), (&"ü".repeat(100), 201), (&"x".repeat(101), 422)] {
        assert_eq!(world.house.post("/v1/apps", ADMIN, &json!({ "name": name })).await.status, status);
    }
}

#[actix_web::test]
async fn there_is_one_default_application_however_often_it_is_asked_for() {
    let world = World::new().await;
    let first = world.apps.default_app().await.expect("there");
    assert_eq!(world.apps.default_app().await, Ok(first));
    assert_eq!(world.apps.exists(first).await, Ok(true));
    assert_eq!(world.apps.exists(AppId::from_u128(77)).await, Ok(false));
    let list = world.house.get("/v1/apps", ADMIN).await;
    assert_eq!(column(&list, "id"), [first.to_string()]);
}

#[actix_web::test]
async fn sweeps_see_every_application_also_one_just_made() {
    let world = World::new().await;
    assert_eq!(world.apps.all().await.expect("there").len(), 1);
    let app = world.new_app("shop").await;
    let all = world.apps.all().await.expect("there");
    assert_eq!(all.iter().map(ToString::to_string).filter(|id| *id == app).count(), 1);
    assert_eq!(all.len(), 2);
}
