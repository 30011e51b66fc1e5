use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use credit_core::Role;
use credit_core::ports::documents::{Batch, Key, Write};
use credit_core::ports::passwords::{PasswordVerdict, Passwords, PasswordsBusy};
use credit_core::testkit::PlainPasswords;
use credit_users::testkit::{TestParts, users_collection};
use secrecy::SecretString;
use serde_json::json;

use super::world::{OTHER_PASSWORD, PASSWORD, World, parts, refused};

/// Counts comparisons.
#[derive(Default)]
struct CountingPasswords {
    hashed: AtomicUsize,
    compared: AtomicUsize,
}

#[async_trait]
impl Passwords for CountingPasswords {
    async fn hash(&self, password: SecretString) -> Result<String, PasswordsBusy> {
        self.hashed.fetch_add(1, Ordering::SeqCst);
        PlainPasswords.hash(password).await
    }

    async fn verify(
        &self,
        password: SecretString,
        kept: Option<String>,
    ) -> Result<PasswordVerdict, PasswordsBusy> {
        self.compared.fetch_add(1, Ordering::SeqCst);
        PlainPasswords.verify(password, kept).await
    }
}

#[actix_web::test]
async fn one_logs_in_by_name_or_address_in_any_case() {
    let world = World::new().await;
    world.person("Ann").await;
    for login in ["Ann", "ANN", "ann@example.org", "Ann@Example.ORG"] {
        let answer = world.login(login, PASSWORD).await;
        assert_eq!(answer.status, 200, "{login}");
        let access = answer.json()["access_token"].as_str().expect("text").to_owned();
        assert_eq!(world.me(&access).await.json()["user"]["username"], "Ann");
    }
}

#[actix_web::test]
async fn a_wrong_password_an_unknown_and_a_suspended_user_are_refused_alike_after_the_same_work() {
    let passwords = Arc::new(CountingPasswords::default());
    let world = World::with(TestParts { passwords: passwords.clone(), ..parts().await }).await;
    let admin = world.operator("root-admin", Role::Admin).await;
    world.person("ann").await;
    let bob = world.person("bob").await;
    assert_eq!(world.ask("POST", &format!("{}/suspend", bob.path()), &admin, None).await.status, 200);
    let without = json!({ "username": "carol", "email": "carol@example.org" });
    assert_eq!(world.ask_as("writer", "POST", "/v1/users", Some(without)).await.status, 201);

    let mut bodies = Vec::new();
    for (login, password) in [
        ("ann", OTHER_PASSWORD),
        ("nobody", PASSWORD),
        ("nobody@example.org", PASSWORD),
        ("bob", PASSWORD),
        ("carol", PASSWORD),
    ] {
        let before = passwords.compared.load(Ordering::SeqCst);
        let hashed = passwords.hashed.load(Ordering::SeqCst);
        let answer = world.login(login, password).await;
        refused(&answer, 401, "invalid_credentials");
        assert_eq!(passwords.compared.load(Ordering::SeqCst) - before, 1, "{login}");
        assert_eq!(passwords.hashed.load(Ordering::SeqCst), hashed, "{login}");
        let mut body = answer.json();
        body["request_id"] = json!("");
        bodies.push(body);
    }
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]));
}

#[actix_web::test]
async fn an_application_is_named_or_the_default_one() {
    let world = World::new().await;
    world.person("ann").await;
    let other = world.parts.apps.create("other".into()).await.expect("new").id;
    let body = |app: &str| json!({ "login": "ann", "password": PASSWORD, "app_id": app });
    let here = world.post("/v1/auth/login", &body(&world.app.to_string())).await;
    assert_eq!(here.status, 200);
    refused(&world.post("/v1/auth/login", &body(&other.to_string())).await, 401, "invalid_credentials");
    refused(&world.post("/v1/auth/login", &body("app_x")).await, 404, "not_found");
}

#[actix_web::test]
async fn a_hash_that_is_weaker_than_todays_is_replaced_at_login() {
    let passwords = Arc::new(CountingPasswords::default());
    let world = World::with(TestParts { passwords: passwords.clone(), ..parts().await }).await;
    let ann = world.person("ann").await;
    let users = users_collection();
    // Only the kept hash is made stale, in place; the keys of the document stay those that the module wrote.
    let kept = world.parts.documents.get(world.app, users, &ann.id).await.expect("up").expect("there");
    let stale = String::from_utf8(kept.body.to_vec()).expect("JSON").replace("plain:", "stale:");
    let write = Write::Replace {
        collection: users,
        id: ann.id.clone(),
        version: kept.version,
        body: stale.into(),
        keys: vec![("username", Key::text("ann"))],
    };
    world.parts.documents.commit(world.app, Batch::of(write)).await.expect("unchanged");
    let hashed = passwords.hashed.load(Ordering::SeqCst);
    assert_eq!(world.login("ann", PASSWORD).await.status, 200);
    assert_eq!(passwords.hashed.load(Ordering::SeqCst), hashed + 1);
    assert_eq!(world.login("ann", PASSWORD).await.status, 200);
    assert_eq!(passwords.hashed.load(Ordering::SeqCst), hashed + 1);
}

#[actix_web::test]
async fn the_public_keys_of_tokens_are_for_anyone() {
    let world = World::new().await;
    let answer = world.house.call("GET", "/.well-known/jwks.json", &[], None).await;
    assert_eq!((answer.status, answer.json()), (200, json!({ "keys": [] })));
}
