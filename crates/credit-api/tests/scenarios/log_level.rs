use std::sync::{Arc, Mutex};

use credit_api::ports::LogLevel;
use serde_json::json;

use super::world::{ADMIN, Builder, SUPPORT, USER, World};

/// A log that knows two levels.
struct Quiet(Mutex<String>);

impl LogLevel for Quiet {
    fn current(&self) -> String {
        self.0.lock().expect("whole").clone()
    }

    fn configured(&self) -> String {
        "info".to_owned()
    }

    fn set(&self, level: &str) -> Result<(), String> {
        if !matches!(level, "info" | "debug") {
            return Err("it takes info or debug".to_owned());
        }
        level.clone_into(&mut self.0.lock().expect("whole"));
        Ok(())
    }
}

async fn world() -> World {
    Builder::default().log(Arc::new(Quiet(Mutex::new("info".to_owned())))).open().await
}

async fn put(world: &World, token: &str, level: &serde_json::Value) -> (u16, serde_json::Value) {
    let bearer = format!("Bearer {token}");
    let body = json!({ "level": level });
    let answer = world.house.call("PUT", "/v1/log-level", &[("authorization", &bearer)], Some(&body)).await;
    (answer.status, answer.json())
}

#[actix_web::test]
async fn an_admin_changes_what_is_logged_and_sees_what_was_configured() {
    let world = world().await;
    let shown = world.house.get("/v1/log-level", ADMIN).await;
    assert_eq!((shown.status, shown.json()), (200, json!({ "level": "info", "configured": "info" })));
    let changed = put(&world, ADMIN, &json!("debug")).await;
    assert_eq!(changed, (200, json!({ "level": "debug", "configured": "info" })));
    assert_eq!(world.house.get("/v1/log-level", ADMIN).await.json()["level"], "debug");
}

#[actix_web::test]
async fn a_level_that_is_none_is_refused_and_nothing_changes() {
    let world = world().await;
    for wrong in [json!("loud"), json!(""), json!(3), json!(null)] {
        let (status, problem) = put(&world, ADMIN, &wrong).await;
        assert_eq!((status, &problem["errors"][0]["pointer"]), (422, &json!("/level")), "{wrong}");
    }
    assert_eq!(world.house.get("/v1/log-level", ADMIN).await.json()["level"], "info");
}

#[actix_web::test]
async fn what_is_logged_is_for_admins_only() {
    let world = world().await;
    for token in [SUPPORT, USER] {
        assert_eq!(world.house.get("/v1/log-level", token).await.status, 403);
        assert_eq!(put(&world, token, &json!("debug")).await.0, 403);
    }
    assert_eq!(world.get("/v1/log-level").await.status, 401);
}

#[actix_web::test]
async fn where_nothing_can_be_changed_the_answer_says_so() {
    let world = World::new().await;
    assert_eq!(world.house.get("/v1/log-level", ADMIN).await.code(), "module_unavailable");
}
