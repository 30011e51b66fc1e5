use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use credit_api::ports::{NoProfile, Profiles};

use super::world::{ADMIN, Builder, SUPPORT, USER, World};

const PATHS: [&str; 2] = ["/v1/debug/pprof/profile", "/v1/debug/pprof/heap"];

/// Says for how long it was to look, and has no heap.
struct Glance;

#[async_trait]
impl Profiles for Glance {
    async fn cpu(&self, length: Duration) -> Result<Vec<u8>, NoProfile> {
        Ok(format!("{} s", length.as_secs()).into_bytes())
    }

    async fn heap(&self) -> Result<Vec<u8>, NoProfile> {
        Err(NoProfile("The allocator keeps no profile.".to_owned()))
    }
}

async fn world() -> World {
    Builder::default().profiles(Arc::new(Glance)).open().await
}

#[actix_web::test]
async fn an_admin_takes_a_profile_for_as_long_as_it_says() {
    let world = world().await;
    for (query, told) in [("", "10 s"), ("?seconds=1", "1 s"), ("?seconds=60", "60 s")] {
        let answer = world.house.get(&format!("{}{query}", PATHS[0]), ADMIN).await;
        assert_eq!((answer.status, &answer.body[..]), (200, told.as_bytes()));
        assert_eq!(answer.header("content-type"), Some("application/gzip"));
    }
    for wrong in ["0", "61", "-1", "long", ""] {
        let answer = world.house.get(&format!("{}?seconds={wrong}", PATHS[0]), ADMIN).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "invalid_parameter"), "{wrong}");
    }
    let heap = world.house.get(PATHS[1], ADMIN).await;
    assert_eq!((heap.status, heap.json()["detail"].as_str()), (503, Some("The allocator keeps no profile.")));
}

#[actix_web::test]
async fn profiles_are_for_admins_only() {
    let world = world().await;
    for path in PATHS {
        for token in [SUPPORT, USER] {
            assert_eq!(world.house.get(path, token).await.status, 403);
        }
        assert_eq!(world.get(path).await.status, 401);
    }
}

#[actix_web::test]
async fn where_profiling_is_off_there_is_nothing() {
    let world = World::new().await;
    for path in PATHS {
        assert_eq!(world.house.get(path, ADMIN).await.code(), "not_found");
    }
}
