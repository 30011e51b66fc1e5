//! With the store away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use credit_core::AppId;
use credit_core::ports::StoreError;
use credit_core::ports::documents::{Batch, Collection, CommitError, Document, Documents, Query, Row};
use parking_lot::RwLock;
use serde_json::json;

use super::world::{ADMIN, Builder, World};

/// Documents that can be cut off.
struct Cable {
    kept: Arc<dyn Documents>,
    is_cut: RwLock<bool>,
}

impl Cable {
    fn cut(kept: Arc<dyn Documents>) -> Self {
        Self { kept, is_cut: RwLock::new(true) }
    }

    fn mend(&self) {
        *self.is_cut.write() = false;
    }

    fn check(&self) -> Result<(), StoreError> {
        if *self.is_cut.read() { Err(StoreError::Unavailable("cut".into())) } else { Ok(()) }
    }
}

#[async_trait]
impl Documents for Cable {
    async fn get(
        &self,
        app: AppId,
        collection: &'static Collection,
        id: &str,
    ) -> Result<Option<Document>, StoreError> {
        self.check()?;
        self.kept.get(app, collection, id).await
    }

    async fn get_many(
        &self,
        app: AppId,
        collection: &'static Collection,
        ids: &[String],
    ) -> Result<Vec<Option<Document>>, StoreError> {
        self.check()?;
        self.kept.get_many(app, collection, ids).await
    }

    async fn query(&self, app: AppId, query: Query) -> Result<Vec<Row>, StoreError> {
        self.check()?;
        self.kept.query(app, query).await
    }

    async fn commit(&self, app: AppId, batch: Batch) -> Result<(), CommitError> {
        self.check()?;
        self.kept.commit(app, batch).await
    }

    async fn apps(&self, collection: &'static Collection) -> Result<Vec<AppId>, StoreError> {
        self.check()?;
        self.kept.apps(collection).await
    }
}

async fn world() -> (World, Arc<Cable>) {
    let stores = crate::stores().await;
    let cable = Arc::new(Cable::cut(stores.documents.clone()));
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
