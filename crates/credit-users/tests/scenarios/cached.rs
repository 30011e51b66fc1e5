//! With a cache beside the store: what is remembered, for how long, and what is lost with it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use credit_core::Role;
use credit_core::memory::MemoryCache;
use credit_core::ports::cache::Cache;
use credit_users::UsersSettings;
use credit_users::testkit::{TestParts, failures_collection};

use serde_json::json;

use super::world::{OTHER_PASSWORD, PASSWORD, World, parts, refused};

/// A cache that cannot be told that something ended: as when it went away just then.
struct Deaf(MemoryCache);

#[async_trait]
impl Cache for Deaf {
    async fn get(&self, key: &str) -> Option<Bytes> {
        self.0.get(key).await
    }
    async fn put(&self, key: &str, value: Bytes, since: Instant, ttl: Duration) {
        self.0.put(key, value, since, ttl).await;
    }
    async fn remove(&self, _: &str) {}
}

async fn world_with(cache: Arc<dyn Cache>) -> World {
    World::with(TestParts { cache: Some(cache), ..parts().await }).await
}

async fn me(world: &World, token: &str) -> u16 {
    world.house.get("/v1/auth/me", token).await.status
}

#[actix_web::test]
async fn a_logout_counts_at_once_where_the_cache_is_shared() {
    let world = world_with(Arc::new(MemoryCache::new())).await;
    let ann = world.person("ann").await;
    for _ in 0..3 {
        assert_eq!(me(&world, &ann.access).await, 200);
    }
    let (other, _) = world.parts.open().await;
    assert_eq!(other.post("/v1/auth/logout", &ann.access, &json!({})).await.status, 204);
    assert_eq!(me(&world, &ann.access).await, 401);
    assert_eq!(other.get("/v1/auth/me", &ann.access).await.status, 401);
}

#[actix_web::test]
async fn a_logout_counts_within_a_second_where_the_cache_could_not_be_told() {
    let world = world_with(Arc::new(Deaf(MemoryCache::new()))).await;
    let ann = world.person("ann").await;
    assert_eq!(me(&world, &ann.access).await, 200);
    assert_eq!(world.house.post("/v1/auth/logout", &ann.access, &json!({})).await.status, 204);
    let ended = Instant::now();
    loop {
        let asked_after = ended.elapsed();
        if me(&world, &ann.access).await == 401 {
            break;
        }
        assert!(asked_after < Duration::from_secs(1), "the session goes on after {asked_after:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // A spent token stays spent, whatever is remembered.
    let refreshed = world.refresh(&ann.refresh).await;
    assert_eq!(refreshed.status, 401);
}

#[actix_web::test]
async fn other_roles_count_from_the_next_request_on() {
    let world = world_with(Arc::new(MemoryCache::new())).await;
    let (admin, ann) = (world.operator("root", Role::Admin).await, world.person("ann").await);
    assert_eq!(me(&world, &ann.access).await, 200);
    for (roles, may_list) in [(json!(["support"]), 200), (json!(["user"]), 403), (json!(["admin"]), 200)] {
        let body = json!({ "roles": roles });
        assert_eq!(world.ask("PUT", &format!("{}/roles", ann.path()), &admin, Some(body)).await.status, 200);
        for _ in 0..2 {
            assert_eq!(world.ask("GET", "/v1/users", &ann, None).await.status, may_list, "{roles}");
        }
    }
}

#[actix_web::test]
async fn an_emptied_cache_brings_no_session_back_and_no_login_in() {
    let cache = Arc::new(MemoryCache::new());
    let settings = UsersSettings { login_failures_per_account: 3, ..UsersSettings::default() };
    let parts = TestParts { cache: Some(cache), settings, ..parts().await };
    let world = World::with(parts).await;
    let ann = world.person("ann").await;
    assert_eq!(me(&world, &ann.access).await, 200);
    assert_eq!(world.house.post("/v1/auth/logout", &ann.access, &json!({})).await.status, 204);
    for _ in 0..3 {
        refused(&world.login("ann", OTHER_PASSWORD).await, 401, "invalid_credentials");
    }
    refused(&world.login("ann", PASSWORD).await, 429, "rate_limited");
    let emptied = TestParts { cache: Some(Arc::new(MemoryCache::new())), ..world.parts };
    let world = World::with(emptied).await;
    assert_eq!(me(&world, &ann.access).await, 401);
    refused(&world.login("ann", PASSWORD).await, 429, "rate_limited");
}

#[actix_web::test]
async fn a_full_counter_is_remembered_until_it_is_not_full_and_the_store_is_not_asked() {
    let settings = UsersSettings { login_failures_per_account: 2, ..UsersSettings::default() };
    let parts = TestParts { cache: Some(Arc::new(MemoryCache::new())), settings, ..parts().await };
    let world = World::with(parts).await;
    world.person("ann").await;
    for _ in 0..2 {
        refused(&world.login("ann", OTHER_PASSWORD).await, 401, "invalid_credentials");
    }
    let first = world.login("ann", PASSWORD).await;
    let again = world.login("ann", PASSWORD).await;
    for answer in [&first, &again] {
        refused(answer, 429, "rate_limited");
        assert_eq!(answer.header("retry-after"), Some("900"));
    }
    world.parts.clock.advance_seconds(901);
    assert_eq!(world.login("ann", PASSWORD).await.status, 200);
    assert!(!world.parts.documents.apps(failures_collection()).await.expect("up").is_empty());
}
