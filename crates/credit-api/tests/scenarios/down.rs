//! With the store away.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use credit_core::AppId;
use credit_core::ports::StoreError;
use credit_core::ports::documents::{Documents, Query, Row};
use credit_core::testkit::{Between, MeddlesWithDocuments};
use parking_lot::RwLock;
use serde_json::json;

use super::world::{ADMIN, Builder, World};

/// Documents that can be cut off. Queries take a while, and are counted.
struct Cable {
    kept: Arc<dyn Documents>,
    is_cut: RwLock<bool>,
    queries: AtomicU32,
}

impl Cable {
    fn cut(kept: Arc<dyn Documents>) -> Self {
        Self { kept, is_cut: RwLock::new(true), queries: AtomicU32::new(0) }
    }

    fn mend(&self) {
        *self.is_cut.write() = false;
    }
}

#[async_trait]
impl MeddlesWithDocuments for Cable {
    fn behind(&self) -> &dyn Documents {
        &*self.kept
    }

    async fn before(&self) -> Result<(), StoreError> {
        if *self.is_cut.read() { Err(StoreError::Unavailable("cut".into())) } else { Ok(()) }
    }

    async fn query(&self, app: AppId, query: Query) -> Result<Vec<Row>, StoreError> {
        self.queries.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(20)).await;
        self.kept.query(app, query).await
    }
}

async fn world() -> (World, Arc<Between<Cable>>) {
    let stores = crate::stores().await;
    let cable = Arc::new(Between(Cable::cut(stores.documents.clone())));
    (Builder::default().documents(cable.clone(), stores).open().await, cable)
}

#[actix_web::test]
async fn the_house_stands_says_how_it_is_and_opens_when_the_store_returns() {
    let (world, cable) = world().await;
    for path in ["/", "/health/live", "/modules/status", "/openapi.json", "/docs", "/problems/not_found"] {
        assert_eq!(world.get(path).await.status, 200, "{path}");
    }
    let ready = world.get("/health/ready").await;
    assert_eq!(
        (ready.status, ready.json()["reasons"].clone()),
        (503, json!(["connection_api is not available"]))
    );
    let refused = world.house.get("/v1/apps", ADMIN).await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "module_unavailable"));
    assert!(refused.header("retry-after").is_some());

    cable.mend();
    world.house.manager().look_after(Instant::now() + Duration::from_secs(2)).await;
    assert_eq!(world.get("/health/ready").await.status, 200);
    assert_eq!(world.house.get("/v1/apps", ADMIN).await.status, 200);
}

#[actix_web::test]
async fn a_key_that_cannot_be_checked_is_not_refused_and_health_takes_it_for_nobodys() {
    let (world, cable) = world().await;
    cable.mend();
    world.house.manager().look_after(Instant::now() + Duration::from_secs(2)).await;
    *cable.is_cut.write() = true;
    let secret = format!("ck_{}", "A".repeat(43));
    let answer = world.with_key("/v1/apps", &secret).await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "unavailable"));
    assert_eq!(world.with_key("/health", &secret).await.status, 200);
}

#[actix_web::test]
async fn of_many_callers_with_one_key_one_looks_again_and_the_others_believe_on_for_less_than_a_second() {
    let (world, cable) = world().await;
    cable.mend();
    world.house.manager().look_after(Instant::now() + Duration::from_secs(2)).await;
    let app = world.new_app("shop").await;
    let (_, secret) = world.new_key(&app, &["users:read"]).await;
    // Known, and not allowed.
    assert_eq!(world.with_key("/v1/apps", &secret).await.status, 403);
    let (before, begun) = (cable.queries.load(Ordering::Relaxed), Instant::now());
    while begun.elapsed() < Duration::from_secs(2) {
        let callers = (0..20).map(|_| world.with_key("/v1/apps", &secret));
        for answer in futures_util::future::join_all(callers).await {
            assert_eq!(answer.status, 403);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let looks = cable.queries.load(Ordering::Relaxed) - before;
    // Some five; all twenty together each time would be more than fifty.
    assert!((1..30).contains(&looks), "{looks} looks in two seconds");

    // While nobody can be asked, what was said is believed until its time is over.
    *cable.is_cut.write() = true;
    let (cut, mut believed) = (Instant::now(), 0);
    while world.with_key("/v1/apps", &secret).await.status == 403 {
        believed += 1;
        assert!(cut.elapsed() < Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(believed > 1);
    assert_eq!(world.with_key("/v1/apps", &secret).await.code(), "unavailable");
    *cable.is_cut.write() = false;
    assert_eq!(world.with_key("/v1/apps", &secret).await.status, 403);
}
