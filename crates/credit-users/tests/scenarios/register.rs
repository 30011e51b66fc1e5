use credit_api::testkit::TestAnswer;
use credit_core::testkit::TestRun;
use credit_core::{Clock, Role, Scope};
use credit_users::testkit::{TestParts, TestWallet};
use credit_users::{Registration, UsersSettings};
use futures_util::future::join_all;
use serde_json::json;

use super::world::{PASSWORD, World, parts, refused, registration};

#[actix_web::test]
async fn a_registration_answers_the_user_with_tokens_and_its_wallet_is_there() {
    let world = World::new().await;
    let answer = world.register("Ann").await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.header("etag"), Some("\"1\""));
    let body = answer.json();
    let now = world.parts.clock.now().to_string();
    assert_eq!(
        body["user"],
        json!({
            "id": body["user"]["id"], "app_id": world.app.to_string(), "username": "Ann",
            "email": "Ann@example.org", "status": "active", "roles": ["user"], "profile": {},
            "created_at": now, "updated_at": now, "version": 1,
        })
    );
    assert_eq!((&body["token_type"], &body["expires_in"]), (&json!("Bearer"), &json!(600)));
    assert!(body["refresh_token"].as_str().expect("text").starts_with("rt_"));
    let id = credit_core::UserId::parse(body["user"]["id"].as_str().expect("text")).expect("an id");
    assert_eq!(world.parts.wallets.of(world.app, id), Some(TestWallet::Empty));
    assert_eq!(world.me(body["access_token"].as_str().expect("text")).await.status, 200);
}

#[actix_web::test]
async fn every_fault_of_a_registration_is_told_at_once_and_nothing_is_made() {
    let world = World::new().await;
    let body = json!({ "username": "a b", "email": "nobody", "password": "short", "roles": ["admin"] });
    let answer = world.post("/v1/auth/register", &body).await;
    refused(&answer, 422, "validation_failed");
    let mut pointers: Vec<String> = answer.json()["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .map(|fault| fault["pointer"].as_str().expect("text").to_owned())
        .collect();
    pointers.sort();
    assert_eq!(pointers, ["/email", "/password", "/roles", "/username"]);
    assert_eq!(world.parts.wallets.count(), 0);
}

#[actix_web::test]
async fn a_password_that_everybody_tries_or_that_is_the_name_is_refused() {
    let world = World::new().await;
    for (name, password) in [
        ("ann", "password123"),
        ("margarethe-k", "MARGARETHE-K"),
        ("ann", "ANN@example.org"),
        ("ann", "qwertyuiop"),
    ] {
        let mut body = registration(name);
        body["password"] = json!(password);
        let answer = world.post("/v1/auth/register", &body).await;
        refused(&answer, 422, "validation_failed");
        assert_eq!(answer.json()["errors"][0]["pointer"], "/password");
    }
    assert_eq!(world.parts.wallets.count(), 0);
}

#[actix_web::test]
async fn names_and_addresses_are_unique_in_an_application_and_free_in_another() {
    let world = World::new().await;
    world.person("ann").await;
    let mut same_email = registration("bob");
    same_email["email"] = json!("ANN@EXAMPLE.ORG");
    refused(&world.register("ANN").await, 409, "username_taken");
    refused(&world.post("/v1/auth/register", &same_email).await, 409, "email_taken");
    assert_eq!(world.parts.wallets.count(), 1);
    let other = world.parts.apps.create("other".into()).await.expect("new");
    let mut elsewhere = registration("ann");
    elsewhere["app_id"] = json!(other.id.to_string());
    let answer = world.post("/v1/auth/register", &elsewhere).await;
    assert_eq!((answer.status, &answer.json()["user"]["app_id"]), (201, &elsewhere["app_id"]));
}

#[actix_web::test]
async fn an_api_key_registers_users_of_its_own_application_only() {
    let world = World::new().await;
    let own = world.parts.apps.create("own".into()).await.expect("new").id;
    world.parts.api_keys.learn_key("own", own, &[Scope::WalletsRead]);
    let answer = world.ask_as("own", "POST", "/v1/auth/register", Some(registration("ann"))).await;
    assert_eq!((answer.status, &answer.json()["user"]["app_id"]), (201, &json!(own.to_string())));
    for wrong in [world.app.to_string(), "app_1".into(), format!("app_{:032x}", 5)] {
        let mut body = registration("bob");
        body["app_id"] = json!(wrong);
        refused(
            &world.ask_as("own", "POST", "/v1/auth/register", Some(body.clone())).await,
            404,
            "not_found",
        );
        if wrong != world.app.to_string() {
            refused(&world.post("/v1/auth/register", &body).await, 404, "not_found");
        }
    }
    let wrong_key = world.ask_as("nobody's", "POST", "/v1/auth/register", Some(registration("bob"))).await;
    refused(&wrong_key, 401, "unauthenticated");
    assert_eq!(world.parts.wallets.count(), 1);
}

#[actix_web::test]
async fn where_registration_is_closed_only_keys_with_the_scope_and_admins_register() {
    let settings = UsersSettings { registration: Registration::Closed, ..UsersSettings::default() };
    let world = World::with(TestParts { settings, ..parts().await }).await;
    refused(&world.register("ann").await, 403, "registration_closed");
    let reader = world.ask_as("reader", "POST", "/v1/auth/register", Some(json!({}))).await;
    refused(&reader, 403, "registration_closed");
    refused(&world.post("/v1/auth/register", &json!({ "roles": [] })).await, 403, "registration_closed");
    let text =
        world.house.call_raw("POST", "/v1/auth/register", &[("content-type", "text/plain")], "{").await;
    refused(&text, 403, "registration_closed");
    assert_eq!(world.parts.wallets.count(), 0);
    let writer = world.ask_as("writer", "POST", "/v1/auth/register", Some(registration("ann"))).await;
    assert_eq!(writer.status, 201);
    let admin = world.operator("root-admin", Role::Admin).await;
    assert_eq!(world.ask("POST", "/v1/auth/register", &admin, Some(registration("bob"))).await.status, 201);
}

#[actix_web::test]
async fn of_a_hundred_that_want_one_name_exactly_one_gets_it() {
    let world = World::new().await;
    let answers: Vec<TestAnswer> = join_all((0..100).map(|number| {
        let mut body = registration("ann");
        body["email"] = json!(format!("ann-{number}@example.org"));
        body["username"] = json!(if number % 2 == 0 { "ann" } else { "ANN" });
        let world = &world;
        async move { world.post("/v1/auth/register", &body).await }
    }))
    .await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.code() == "username_taken").count(), 99);
    assert_eq!(world.parts.wallets.count(), 1);
}

#[actix_web::test]
async fn of_a_hundred_that_send_the_same_registration_exactly_one_is_answered_so() {
    let world = World::new().await;
    world.parts.wallets.set_slow(true);
    let answers: Vec<TestAnswer> = join_all((0..100).map(|_| world.register("ann"))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.code() == "username_taken").count(), 99);
    assert_eq!(world.parts.wallets.count(), 1);
}

#[actix_web::test]
async fn a_registration_whose_wallet_cannot_be_opened_goes_on_when_it_is_repeated() {
    let world = World::new().await;
    world.parts.wallets.set_down(true);
    refused(&world.register("ann").await, 503, "unavailable");
    world.parts.wallets.set_down(false);
    let mut stranger = registration("ann");
    stranger["password"] = json!("heron-Vase-77");
    refused(&world.post("/v1/auth/register", &stranger).await, 409, "username_taken");
    let answer = world.register("ann").await;
    assert_eq!((answer.status, world.parts.wallets.count()), (201, 1));
    refused(&world.register("ann").await, 409, "username_taken");
}

#[actix_web::test]
async fn a_wallet_that_a_crash_left_out_is_opened_at_the_next_login_and_by_the_sweep() {
    let world = World::new().await;
    world.parts.wallets.set_down(true);
    refused(&world.register("ann").await, 503, "unavailable");
    refused(&world.register("bob").await, 503, "unavailable");
    world.parts.wallets.set_down(false);
    assert_eq!(world.login("ann", PASSWORD).await.status, 200);
    assert_eq!(world.parts.wallets.count(), 1);
    world.users.heal_wallets(&TestRun::new()).await.expect("all is up");
    assert_eq!(world.parts.wallets.count(), 1, "younger than a minute: it may be on its way");
    world.parts.clock.advance_seconds(61);
    world.users.heal_wallets(&TestRun::new()).await.expect("all is up");
    assert_eq!(world.parts.wallets.count(), 2);
    refused(&world.register("bob").await, 409, "username_taken");
}
