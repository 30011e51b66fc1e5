use credit_core::testkit::TestRun;
use credit_users::UsersSettings;
use credit_users::testkit::{TestParts, failures_collection};
use futures_util::future::join_all;

use super::world::{OTHER_PASSWORD, PASSWORD, World, parts, refused};

async fn strict(per_account: usize, per_address: usize) -> World {
    let settings = UsersSettings {
        login_failures_per_account: per_account,
        login_failures_per_address: per_address,
        ..UsersSettings::default()
    };
    World::with(TestParts { settings, ..parts().await }).await
}

#[actix_web::test]
async fn after_too_many_failures_of_an_account_even_the_right_password_waits() {
    let world = World::new().await;
    world.person("ann").await;
    world.person("bob").await;
    for number in 0..10 {
        let login = if number % 2 == 0 { "ann" } else { "ann@example.org" };
        refused(&world.login(login, OTHER_PASSWORD).await, 401, "invalid_credentials");
        world.parts.clock.advance_seconds(1);
    }
    let answer = world.login("ann", PASSWORD).await;
    refused(&answer, 429, "rate_limited");
    assert_eq!(answer.header("retry-after"), Some("890"));
    assert_eq!(world.login("bob", PASSWORD).await.status, 200);
    world.parts.clock.advance_seconds(889);
    refused(&world.login("ann", PASSWORD).await, 429, "rate_limited");
    world.parts.clock.advance_seconds(1);
    assert_eq!(world.login("ann", PASSWORD).await.status, 200);
}

#[actix_web::test]
async fn an_account_that_nobody_has_is_throttled_like_one_that_somebody_has() {
    let world = strict(3, 100).await;
    for _ in 0..3 {
        refused(&world.login("nobody", PASSWORD).await, 401, "invalid_credentials");
    }
    refused(&world.login("NOBODY", PASSWORD).await, 429, "rate_limited");
}

#[actix_web::test]
async fn a_right_password_forgets_the_failures_before_it() {
    let world = strict(3, 100).await;
    world.person("ann").await;
    for _ in 0..5 {
        refused(&world.login("ann", OTHER_PASSWORD).await, 401, "invalid_credentials");
        refused(&world.login("ann", OTHER_PASSWORD).await, 401, "invalid_credentials");
        assert_eq!(world.login("ann", PASSWORD).await.status, 200);
    }
}

#[actix_web::test]
async fn an_address_that_tries_many_accounts_is_throttled() {
    let world = strict(10, 5).await;
    world.person("ann").await;
    for number in 0..5 {
        refused(&world.login(&format!("guess-{number}"), PASSWORD).await, 401, "invalid_credentials");
        if number == 2 {
            assert_eq!(world.login("ann", PASSWORD).await.status, 200);
        }
    }
    refused(&world.login("ann", PASSWORD).await, 429, "rate_limited");
    refused(&world.login("guess-9", PASSWORD).await, 429, "rate_limited");
}

#[actix_web::test]
async fn any_number_of_guesses_at_once_are_no_more_than_the_limit() {
    let world = World::new().await;
    world.person("ann").await;
    let answers = join_all((0..60).map(|_| world.login("ann", OTHER_PASSWORD))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 401).count(), 10);
    assert_eq!(answers.iter().filter(|answer| answer.status == 429).count(), 50);
}

#[actix_web::test]
async fn any_number_of_right_logins_at_once_are_no_failures() {
    let world = World::new().await;
    world.person("ann").await;
    for answer in join_all((0..300).map(|_| world.login("ann", PASSWORD))).await {
        assert_eq!(answer.status, 200, "{}", answer.json());
    }
}

#[actix_web::test]
async fn the_count_is_shared_by_all_processes_and_outlives_them() {
    let world = strict(2, 100).await;
    world.person("ann").await;
    for _ in 0..2 {
        refused(&world.login("ann", OTHER_PASSWORD).await, 401, "invalid_credentials");
    }
    let World { parts, .. } = world;
    refused(&World::with(parts).await.login("ann", PASSWORD).await, 429, "rate_limited");
}

#[actix_web::test]
async fn failures_that_count_no_more_are_forgotten() {
    let world = World::new().await;
    world.person("ann").await;
    refused(&world.login("ann", OTHER_PASSWORD).await, 401, "invalid_credentials");
    let kept = async || world.parts.documents.apps(failures_collection()).await.expect("up").len();
    world.users.forget_old_failures(&TestRun::new()).await.expect("up");
    assert_eq!(kept().await, 2);
    world.parts.clock.advance_seconds(901);
    world.users.forget_old_failures(&TestRun::new()).await.expect("up");
    assert_eq!(kept().await, 0);
}
