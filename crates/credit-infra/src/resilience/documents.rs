//! The documents port behind a guard.

use std::sync::Arc;

use async_trait::async_trait;
use credit_core::AppId;
use credit_core::ports::StoreError;
use credit_core::ports::documents::{Batch, Collection, CommitError, Document, Documents, Query, Row};

use super::guard::Guard;
use super::operations::Operation;

/// Documents that are asked only while their store is not known to be away, and not for longer than the deadline; the
/// list of applications is asked for in parts, and the deadline is for each of them.
pub struct GuardedDocuments {
    inner: Arc<dyn Documents>,
    guard: Arc<Guard>,
    operations: Operations,
}

struct Operations {
    get: Operation,
    get_many: Operation,
    query: Operation,
    commit: Operation,
    apps: Operation,
}

impl GuardedDocuments {
    /// These documents behind this guard. Their futures are dropped at the deadline, as they are when a caller hangs up.
    pub fn new(inner: Arc<dyn Documents>, guard: Arc<Guard>) -> Self {
        let operation = |name| Operation::new("documents", name);
        let operations = Operations {
            get: operation("get"),
            get_many: operation("get_many"),
            query: operation("query"),
            commit: operation("commit"),
            apps: operation("apps"),
        };
        Self { inner, guard, operations }
    }
}

#[async_trait]
impl Documents for GuardedDocuments {
    async fn get(
        &self,
        app: AppId,
        collection: &'static Collection,
        id: &str,
    ) -> Result<Option<Document>, StoreError> {
        self.operations.get.measured(self.guard.read(|| self.inner.get(app, collection, id))).await
    }

    async fn get_many(
        &self,
        app: AppId,
        collection: &'static Collection,
        ids: &[String],
    ) -> Result<Vec<Option<Document>>, StoreError> {
        self.operations.get_many.measured(self.guard.read(|| self.inner.get_many(app, collection, ids))).await
    }

    async fn query(&self, app: AppId, query: Query) -> Result<Vec<Row>, StoreError> {
        self.operations.query.measured(self.guard.read(|| self.inner.query(app, query.clone()))).await
    }

    async fn commit(&self, app: AppId, batch: Batch) -> Result<(), CommitError> {
        self.operations.commit.measured(self.guard.write(self.inner.commit(app, batch))).await
    }

    async fn apps(&self, collection: &'static Collection) -> Result<Vec<AppId>, StoreError> {
        let mut apps: Vec<AppId> = Vec::new();
        loop {
            let part = self.apps_after(collection, apps.last().copied()).await?;
            if part.is_empty() {
                return Ok(apps);
            }
            apps.extend(part);
        }
    }

    async fn apps_after(
        &self,
        collection: &'static Collection,
        after: Option<AppId>,
    ) -> Result<Vec<AppId>, StoreError> {
        self.operations.apps.measured(self.guard.read(|| self.inner.apps_after(collection, after))).await
    }
}
