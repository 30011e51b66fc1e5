use futures_util::future::{join, join_all};
use serde_json::json;

use super::world::{OTHER_PASSWORD, PASSWORD, World, refused};

#[actix_web::test]
async fn one_sees_oneself_and_the_session_one_asks_with() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    let headers = [("authorization", &*format!("Bearer {}", ann.access)), ("user-agent", "reader/1")];
    let me = world.house.call("GET", "/v1/auth/me", &headers, None).await.json();
    assert_eq!(me["user"]["id"], json!(ann.id));
    assert_eq!((&me["session"]["current"], &me["session"]["address"]), (&json!(true), &json!("127.0.0.1")));
    refused(&world.house.call("GET", "/v1/auth/me", &[], None).await, 401, "unauthenticated");
    refused(&world.ask_as("writer", "GET", "/v1/auth/me", None).await, 403, "forbidden");
}

#[actix_web::test]
async fn a_logout_ends_its_session_at_once_and_no_other() {
    let world = World::new().await;
    let first = world.person("ann").await;
    let second = world.logged_in("ann", &first.id).await;
    assert_eq!(world.ask("POST", "/v1/auth/logout", &first, None).await.status, 204);
    refused(&world.me(&first.access).await, 401, "unauthenticated");
    refused(&world.refresh(&first.refresh).await, 401, "unauthenticated");
    assert_eq!(world.me(&second.access).await.status, 200);
    let unknown = world.ask("POST", "/v1/auth/logout", &second, Some(json!({ "everywhere": true }))).await;
    refused(&unknown, 422, "validation_failed");
    assert_eq!(world.me(&second.access).await.status, 200);
}

#[actix_web::test]
async fn a_logout_counts_in_every_process() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    let (elsewhere, _) = world.parts.open().await;
    assert_eq!(elsewhere.get("/v1/auth/me", &ann.access).await.status, 200);
    assert_eq!(world.ask("POST", "/v1/auth/logout", &ann, None).await.status, 204);
    refused(&elsewhere.get("/v1/auth/me", &ann.access).await, 401, "unauthenticated");
}

#[actix_web::test]
async fn a_logout_everywhere_ends_all_sessions() {
    let world = World::new().await;
    let first = world.person("ann").await;
    let second = world.logged_in("ann", &first.id).await;
    let bob = world.person("bob").await;
    assert_eq!(world.ask("POST", "/v1/auth/logout-all", &first, None).await.status, 204);
    for ended in [&first, &second] {
        refused(&world.me(&ended.access).await, 401, "unauthenticated");
        refused(&world.refresh(&ended.refresh).await, 401, "unauthenticated");
    }
    assert_eq!(world.me(&bob.access).await.status, 200);
}

#[actix_web::test]
async fn a_new_password_ends_every_other_session() {
    let world = World::new().await;
    let here = world.person("ann").await;
    let there = world.logged_in("ann", &here.id).await;
    let body = json!({ "current_password": PASSWORD, "new_password": OTHER_PASSWORD });
    assert_eq!(world.ask("PUT", "/v1/auth/password", &here, Some(body)).await.status, 204);
    assert_eq!(world.me(&here.access).await.status, 200);
    assert_eq!(world.refresh(&here.refresh).await.status, 200);
    refused(&world.me(&there.access).await, 401, "unauthenticated");
    refused(&world.refresh(&there.refresh).await, 401, "unauthenticated");
    refused(&world.login("ann", PASSWORD).await, 401, "invalid_credentials");
    assert_eq!(world.login("ann", OTHER_PASSWORD).await.status, 200);
}

#[actix_web::test]
async fn a_wrong_current_or_a_poor_new_password_changes_nothing() {
    let world = World::new().await;
    let here = world.person("ann").await;
    let there = world.logged_in("ann", &here.id).await;
    let change = |current: &str, new: &str| json!({ "current_password": current, "new_password": new });
    let wrong =
        world.ask("PUT", "/v1/auth/password", &here, Some(change(OTHER_PASSWORD, "fresh-Pear-31"))).await;
    refused(&wrong, 401, "invalid_credentials");
    for poor in ["short", "password123", "ANN@example.org"] {
        let answer = world.ask("PUT", "/v1/auth/password", &here, Some(change(PASSWORD, poor))).await;
        refused(&answer, 422, "validation_failed");
        assert_eq!(answer.json()["errors"][0]["pointer"], "/new_password");
    }
    assert_eq!(world.me(&there.access).await.status, 200);
    assert_eq!(world.login("ann", PASSWORD).await.status, 200);
}

#[actix_web::test]
async fn guessing_the_current_password_is_counted_like_a_login() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    let body = json!({ "current_password": OTHER_PASSWORD, "new_password": "fresh-Pear-31" });
    for _ in 0..10 {
        let answer = world.ask("PUT", "/v1/auth/password", &ann, Some(body.clone())).await;
        refused(&answer, 401, "invalid_credentials");
    }
    refused(&world.ask("PUT", "/v1/auth/password", &ann, Some(body)).await, 429, "rate_limited");
    refused(&world.login("ann", PASSWORD).await, 429, "rate_limited");
}

#[actix_web::test]
async fn sessions_are_listed_newest_first_in_pages_and_ended_one_by_one() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    for _ in 0..4 {
        world.parts.clock.advance_seconds(1);
        world.logged_in("ann", &ann.id).await;
    }
    let bob = world.person("bob").await;
    let first = world.ask("GET", "/v1/auth/sessions?limit=3", &ann, None).await.json();
    assert_eq!((first["data"].as_array().map(Vec::len), &first["has_more"]), (Some(3), &json!(true)));
    let cursor = first["next_cursor"].as_str().expect("text");
    let path = format!("/v1/auth/sessions?limit=3&cursor={cursor}");
    let second = world.ask("GET", &path, &ann, None).await.json();
    assert_eq!((second["data"].as_array().map(Vec::len), &second["has_more"]), (Some(2), &json!(false)));
    assert_eq!(second["data"][1]["current"], json!(true));
    refused(&world.ask("GET", &path, &bob, None).await, 400, "invalid_cursor");

    let newest = first["data"][0]["id"].as_str().expect("text");
    let path = format!("/v1/auth/sessions/{newest}");
    refused(&world.ask("DELETE", &path, &bob, None).await, 404, "not_found");
    refused(&world.ask("DELETE", "/v1/auth/sessions/ses_1", &ann, None).await, 404, "not_found");
    assert_eq!(world.ask("DELETE", &path, &ann, None).await.status, 204);
    refused(&world.ask("DELETE", &path, &ann, None).await, 404, "not_found");
    let left = world.ask("GET", "/v1/auth/sessions", &ann, None).await.json();
    assert_eq!(left["data"].as_array().map(Vec::len), Some(4));
}

#[actix_web::test]
async fn no_login_with_the_old_password_slips_past_a_new_one() {
    for seed in 0..30 {
        let world = World::crossing(seed).await;
        let here = world.person("ann").await;
        let body = json!({ "current_password": PASSWORD, "new_password": OTHER_PASSWORD });
        let (changed, logins) = join(
            world.ask("PUT", "/v1/auth/password", &here, Some(body)),
            join_all((0..8).map(|_| world.login("ann", PASSWORD))),
        )
        .await;
        assert_eq!(changed.status, 204, "{:?}", changed.json());
        for login in logins.iter().filter(|login| login.status == 200) {
            let access = login.json()["access_token"].as_str().expect("text").to_owned();
            refused(&world.me(&access).await, 401, "unauthenticated");
        }
        assert_eq!(world.me(&here.access).await.status, 200);
    }
}
