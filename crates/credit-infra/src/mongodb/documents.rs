//! The documents port.

use std::collections::HashMap;

use async_trait::async_trait;
use credit_core::ports::StoreError;
use credit_core::ports::documents::{
    Batch, Collection, CommitError, Document as Kept, Documents, Query, Row, Write,
};
use credit_core::{AppId, IdSource};
use mongodb::bson::{Bson, RawDocumentBuf, doc};

use super::error::Failed;
use super::kept::decode;
use super::layout::{text, uuid};
use super::link::Link;
use super::puts::Habits;
use super::refusal::place_of;
use super::schema::{Schema, documents_name};
use crate::randomness::OsIds;

/// The most ids asked for at a time.
const GET_IDS: usize = 1000;

/// The documents port.
pub(super) struct MongoDocuments {
    pub(super) link: Link,
    pub(super) habits: Habits,
    schema: Schema,
    ids: OsIds,
}

impl MongoDocuments {
    pub(super) fn new(link: Link, schema: Schema) -> Self {
        Self { link, habits: Habits::default(), schema, ids: OsIds::new() }
    }

    /// Tells the writes of one commit from those of every other.
    pub(super) fn nonce(&self) -> u128 {
        self.ids.mint()
    }

    /// The collection is there, with its indexes.
    async fn ensure(&self, collection: &'static Collection) -> Result<(), StoreError> {
        self.schema.ensure(collection).await
    }

    /// A document as it is in the database.
    pub(super) async fn raw(
        &self,
        app: AppId,
        collection: &'static Collection,
        id: &str,
    ) -> Result<Option<RawDocumentBuf>, StoreError> {
        let (link, name, place) =
            (self.link.clone(), documents_name(collection), self.link.place(app, collection, id));
        let call = async move {
            let mut session = link.session().await?;
            let found = link.collection(&name).find_one(place).session(&mut session).await?;
            link.note(&session);
            Ok(found)
        };
        self.link.call(call).await.map_err(Failed::read)
    }

    async fn some(
        &self,
        app: AppId,
        collection: &'static Collection,
        ids: &[String],
    ) -> Result<Vec<Kept>, StoreError> {
        let app = uuid(app.as_u128());
        let places: Vec<Bson> =
            ids.iter().map(|id| doc! {"a": app.clone(), "i": text(id.as_bytes())}.into()).collect();
        let mut filter = doc! {"_id": {"$in": places}};
        if self.link.is_sharded && !collection.indexes.is_empty() {
            filter.insert("a", app);
        }
        let (link, name) = (self.link.clone(), documents_name(collection));
        let batch = u32::try_from(ids.len()).unwrap_or_default();
        let call = async move {
            let mut session = link.session().await?;
            let mut cursor =
                link.collection(&name).find(filter).batch_size(batch + 1).session(&mut session).await?;
            let mut found = Vec::new();
            while cursor.advance(&mut session).await? {
                found.push(cursor.current().to_owned());
            }
            link.note(&session);
            Ok(found)
        };
        let found = self.link.call(call).await.map_err(Failed::read)?;
        found.iter().map(|document| decode(document)).collect()
    }
}

#[async_trait]
impl Documents for MongoDocuments {
    async fn get(
        &self,
        app: AppId,
        collection: &'static Collection,
        id: &str,
    ) -> Result<Option<Kept>, StoreError> {
        self.ensure(collection).await?;
        let found = self.raw(app, collection, id).await?;
        found.map(|document| decode(&document)).transpose()
    }

    async fn get_many(
        &self,
        app: AppId,
        collection: &'static Collection,
        ids: &[String],
    ) -> Result<Vec<Option<Kept>>, StoreError> {
        self.ensure(collection).await?;
        let mut found = HashMap::with_capacity(ids.len());
        for part in ids.chunks(GET_IDS) {
            let documents = self.some(app, collection, part).await?;
            found.extend(documents.into_iter().map(|document| (document.id.clone(), document)));
        }
        Ok(ids.iter().map(|id| found.get(id).cloned()).collect())
    }

    async fn query(&self, app: AppId, query: Query) -> Result<Vec<Row>, StoreError> {
        self.ensure(query.collection).await?;
        self.rows(app, query).await
    }

    async fn commit(&self, app: AppId, batch: Batch) -> Result<(), CommitError> {
        batch.assert_declared();
        for write in &batch.writes {
            self.ensure(place_of(write).0).await?;
        }
        let mut writes = batch.writes;
        if writes.iter().all(|write| matches!(write, Write::Put { .. })) {
            return self.put_all(app, writes).await.map_err(CommitError::Store);
        }
        if writes.len() == 1 {
            return self.single(app, writes.remove(0)).await;
        }
        self.transact(app, writes).await
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
        self.ensure(collection).await?;
        self.apps_part(collection, after).await
    }
}

impl std::fmt::Debug for MongoDocuments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MongoDocuments").finish_non_exhaustive()
    }
}
