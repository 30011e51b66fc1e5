//! A store that lets others go first, so that what happens at once in a test really crosses.

use std::sync::Arc;

use async_trait::async_trait;
use credit_core::AppId;
use credit_core::ports::StoreError;
use credit_core::ports::documents::{Batch, Collection, CommitError, Document, Documents, Query, Row};
use credit_core::testkit::Dice;
use parking_lot::Mutex;

/// Before and after each call, others go first up to three times: how often depends on the seed only.
pub(crate) struct Interleaved {
    documents: Arc<dyn Documents>,
    dice: Mutex<Dice>,
}

impl Interleaved {
    pub(crate) fn new(documents: Arc<dyn Documents>, seed: u64) -> Self {
        Self { documents, dice: Mutex::new(Dice::new(seed)) }
    }

    async fn step_aside(&self) {
        let times = self.dice.lock().below(4);
        for _ in 0..times {
            tokio::task::yield_now().await;
        }
    }
}

#[async_trait]
impl Documents for Interleaved {
    async fn get(
        &self,
        app: AppId,
        collection: &'static Collection,
        id: &str,
    ) -> Result<Option<Document>, StoreError> {
        self.step_aside().await;
        let answer = self.documents.get(app, collection, id).await;
        self.step_aside().await;
        answer
    }

    async fn get_many(
        &self,
        app: AppId,
        collection: &'static Collection,
        ids: &[String],
    ) -> Result<Vec<Option<Document>>, StoreError> {
        self.step_aside().await;
        self.documents.get_many(app, collection, ids).await
    }

    async fn query(&self, app: AppId, query: Query) -> Result<Vec<Row>, StoreError> {
        self.step_aside().await;
        let answer = self.documents.query(app, query).await;
        self.step_aside().await;
        answer
    }

    async fn commit(&self, app: AppId, batch: Batch) -> Result<(), CommitError> {
        self.step_aside().await;
        let answer = self.documents.commit(app, batch).await;
        self.step_aside().await;
        answer
    }

    async fn apps(&self, collection: &'static Collection) -> Result<Vec<AppId>, StoreError> {
        self.documents.apps(collection).await
    }
}
