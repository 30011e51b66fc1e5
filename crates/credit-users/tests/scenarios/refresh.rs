use credit_core::testkit::TestRun;
use credit_users::testkit::sessions_collection;
use futures_util::future::join_all;
use serde_json::json;

use super::world::{World, refused};

#[actix_web::test]
async fn a_refresh_token_gives_a_new_pair_once() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    world.parts.clock.advance_seconds(60);
    let answer = world.refresh(&ann.refresh).await;
    assert_eq!(answer.status, 200);
    let tokens = answer.json();
    assert_eq!((&tokens["token_type"], &tokens["expires_in"]), (&json!("Bearer"), &json!(600)));
    assert_ne!(tokens["refresh_token"], json!(ann.refresh));
    assert_eq!(world.me(tokens["access_token"].as_str().expect("text")).await.status, 200);
    assert_eq!(world.refresh(tokens["refresh_token"].as_str().expect("text")).await.status, 200);
}

#[actix_web::test]
async fn a_spent_refresh_token_ends_the_session_however_long_ago_it_was_spent() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    let other = world.logged_in("ann", &ann.id).await;
    let mut newest = ann.clone();
    for _ in 0..5 {
        let tokens = world.refresh(&newest.refresh).await.json();
        newest.access = tokens["access_token"].as_str().expect("text").to_owned();
        newest.refresh = tokens["refresh_token"].as_str().expect("text").to_owned();
    }
    refused(&world.refresh(&ann.refresh).await, 401, "refresh_token_reused");
    refused(&world.me(&newest.access).await, 401, "unauthenticated");
    refused(&world.refresh(&newest.refresh).await, 401, "unauthenticated");
    refused(&world.refresh(&ann.refresh).await, 401, "refresh_token_reused");
    assert_eq!(world.me(&other.access).await.status, 200);
}

#[actix_web::test]
async fn of_fifty_that_refresh_with_one_token_at_once_exactly_one_wins() {
    for seed in 0..5 {
        let world = World::crossing(seed).await;
        let ann = world.person("ann").await;
        let answers = join_all((0..50).map(|_| world.refresh(&ann.refresh))).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
        assert_eq!(answers.iter().filter(|answer| answer.code() == "refresh_token_reused").count(), 49);
    }
}

#[actix_web::test]
async fn what_is_not_a_good_refresh_token_is_nobodys() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    let mut forged = ann.refresh.clone();
    forged.replace_range(10..11, if &forged[10..11] == "A" { "B" } else { "A" });
    for wrong in ["rt_", "nonsense", forged.as_str(), ann.access.as_str()] {
        refused(&world.refresh(wrong).await, 401, "unauthenticated");
    }
    refused(&world.post("/v1/auth/refresh", &json!({})).await, 422, "validation_failed");
    assert_eq!(world.refresh(&ann.refresh).await.status, 200);
}

#[actix_web::test]
async fn tokens_end_with_their_time() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    world.parts.clock.advance_seconds(599);
    assert_eq!(world.me(&ann.access).await.status, 200);
    world.parts.clock.advance_seconds(1);
    refused(&world.me(&ann.access).await, 401, "unauthenticated");
    world.parts.clock.advance_seconds(30 * 24 * 3600 - 601);
    let answer = world.refresh(&ann.refresh).await;
    assert_eq!(answer.status, 200);
    world.parts.clock.advance_seconds(30 * 24 * 3600);
    let late = answer.json()["refresh_token"].as_str().expect("text").to_owned();
    refused(&world.refresh(&late).await, 401, "unauthenticated");
}

#[actix_web::test]
async fn nothing_that_is_kept_of_a_session_would_let_anyone_in() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    let id = world.me(&ann.access).await.json()["session"]["id"].as_str().expect("text").to_owned();
    let kept =
        world.parts.documents.get(world.app, sessions_collection(), &id).await.expect("up").expect("there");
    let text = String::from_utf8(kept.body.to_vec()).expect("JSON");
    assert!(!text.contains(&ann.refresh[3..]) && !text.contains(&ann.access));
}

#[actix_web::test]
async fn sessions_that_have_expired_are_forgotten() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    let id = world.me(&ann.access).await.json()["session"]["id"].as_str().expect("text").to_owned();
    world.users.forget_expired_sessions(&TestRun::new()).await.expect("up");
    assert_eq!(world.me(&ann.access).await.status, 200);
    world.parts.clock.advance_seconds(30 * 24 * 3600 + 1);
    world.users.forget_expired_sessions(&TestRun::new()).await.expect("up");
    let kept = world.parts.documents.get(world.app, sessions_collection(), &id).await.expect("up");
    assert!(kept.is_none());
}

#[actix_web::test]
async fn a_sweep_that_is_stopped_forgets_nothing_more_and_the_next_one_goes_on() {
    let world = World::new().await;
    for name in ["ann", "bob", "eve"] {
        world.person(name).await;
    }
    world.parts.clock.advance_seconds(30 * 24 * 3600 + 1);
    let stopped = TestRun::new();
    stopped.stop_after(2);
    let outcome = world.users.forget_expired_sessions(&stopped).await;
    assert_eq!(outcome, Err(credit_core::JobError::Stopped));
    assert_eq!(
        world.users.forget_expired_sessions(&TestRun::new()).await,
        Ok(1),
        "two were forgotten before"
    );
}
