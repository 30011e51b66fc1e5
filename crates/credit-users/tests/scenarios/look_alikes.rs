use serde_json::json;

use super::world::{PASSWORD, World, refused, registration};

#[actix_web::test]
async fn a_name_that_looks_like_a_taken_one_is_taken() {
    for (taken, alike) in [
        ("paypal", "PAYPAL"),
        ("paypal", "paypaI"),
        ("paypal", "paypa1"),
        ("paypal", "p\u{430}yp\u{430}l"),
        ("modern", "rnodern"),
        ("b0b-1", "bob-l"),
        ("alice", "\u{ff41}\u{ff4c}\u{ff49}\u{ff43}\u{ff45}"),
        ("caf\u{e9}", "cafe\u{301}"),
    ] {
        let world = World::new().await;
        let mut first = registration(taken);
        first["email"] = json!("first@example.org");
        assert_eq!(world.post("/v1/auth/register", &first).await.status, 201, "{taken}");
        let mut second = registration(alike);
        second["email"] = json!("second@example.org");
        refused(&world.post("/v1/auth/register", &second).await, 409, "username_taken");
        assert_eq!(world.parts.wallets.count(), 1);
    }
}

#[actix_web::test]
async fn a_name_that_only_looks_alike_does_not_log_in() {
    let world = World::new().await;
    world.person("paypal").await;
    assert_eq!(world.login("PayPal", PASSWORD).await.status, 200);
    refused(&world.login("paypa1", PASSWORD).await, 401, "invalid_credentials");
}

#[actix_web::test]
async fn names_are_free_again_when_their_user_takes_another_or_is_deleted() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    let change = json!({ "username": "anna", "email": "anna@example.org" });
    assert_eq!(world.ask("PATCH", &ann.path(), &ann, Some(change)).await.status, 200);
    let second = world.person("ann").await;
    assert_eq!(world.ask("DELETE", &second.path(), &second, None).await.status, 204);
    world.person("ann").await;
}
