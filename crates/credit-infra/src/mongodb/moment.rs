//! All documents as they are at one instant, while services go on writing.
//!
//! MongoDB answers every read of a snapshot session as of the moment of its first one. It keeps that moment for
//! `minSnapshotHistoryWindowInSeconds`, five minutes unless it is configured, and refuses afterwards.

use std::sync::Arc;

use async_trait::async_trait;
use credit_core::AppId;
use credit_core::ports::StoreError;
use credit_core::ports::documents::Collection;
use mongodb::bson::{RawDocumentBuf, doc};
use mongodb::options::{CollectionOptions, ReadConcern, ReadPreference, SelectionCriteria};
use mongodb::{ClientSession, Collection as MongoCollection};
use tokio::sync::Mutex;

use super::error::Failed;
use super::link::Link;
use super::transfer::{behind, read};
use super::{STORE, schema};
use crate::transfer::{DocumentSource, KeptDocument};

/// `SnapshotTooOld` and `SnapshotUnavailable`.
const FORGOTTEN: [i32; 2] = [239, 246];

/// One instant of the documents.
pub(super) struct Moment {
    link: Link,
    /// One read after another: a session takes no two at a time.
    session: Arc<Mutex<ClientSession>>,
}

impl Moment {
    /// This instant: the first read is made here, so that nobody has to know when it is.
    pub(super) async fn begin(link: &Link) -> Result<Self, StoreError> {
        let client = link.client.clone();
        let begun = link.call(async move { client.start_session().snapshot(true).await });
        let session = begun.await.map_err(|failed| unavailable(&failed))?;
        let moment = Self { link: link.clone(), session: Arc::new(Mutex::new(session)) };
        let (store, session) = (moment.collection(STORE), moment.session.clone());
        let first = async move {
            let mut session = session.lock_owned().await;
            store.find_one(doc! {}).session(&mut *session).await
        };
        moment.link.call(first).await.map_err(|failed| unavailable(&failed))?;
        Ok(moment)
    }

    fn collection(&self, name: &str) -> MongoCollection<RawDocumentBuf> {
        let options = CollectionOptions::builder()
            .read_concern(ReadConcern::snapshot())
            .selection_criteria(SelectionCriteria::ReadPreference(ReadPreference::Primary))
            .build();
        self.link.database.collection_with_options(name, options)
    }
}

#[async_trait]
impl DocumentSource for Moment {
    async fn count(&self, collection: &'static Collection) -> Result<u64, StoreError> {
        let documents = self.collection(&schema::documents_name(collection));
        let session = self.session.clone();
        let call = async move {
            let mut session = session.lock_owned().await;
            documents.count_documents(doc! {}).session(&mut *session).await
        };
        self.link.call(call).await.map_err(|failed| unavailable(&failed))
    }

    async fn export(
        &self,
        collection: &'static Collection,
        after: Option<(AppId, String)>,
        limit: usize,
    ) -> Result<Vec<KeptDocument>, StoreError> {
        let documents = self.collection(&schema::documents_name(collection));
        let (filter, limit) = (behind(after), i64::try_from(limit).unwrap_or(i64::MAX));
        let session = self.session.clone();
        let call = async move {
            let mut session = session.lock_owned().await;
            let found = documents.find(filter).sort(doc! {"_id": 1}).limit(limit).session(&mut *session);
            let mut cursor = found.await?;
            let mut rows: Vec<RawDocumentBuf> = Vec::new();
            while let Some(row) = cursor.next(&mut session).await {
                rows.push(row?);
            }
            Ok(rows)
        };
        let found = self.link.call(call).await.map_err(|failed| unavailable(&failed))?;
        found.iter().map(|document| read(collection, document)).collect()
    }
}

/// Nothing was changed by reading; what a store has forgotten it is to be told how to keep.
fn unavailable(failed: &Failed) -> StoreError {
    let why = failed.why();
    let is_forgotten = match failed {
        Failed::Driver(error) => match &*error.kind {
            mongodb::error::ErrorKind::Command(refused) => FORGOTTEN.contains(&refused.code),
            _ => false,
        },
        Failed::Late => false,
    };
    if is_forgotten {
        return StoreError::Unavailable(format!(
            "the moment is forgotten before all was read; raise minSnapshotHistoryWindowInSeconds of MongoDB: {why}"
        ));
    }
    StoreError::Unavailable(why)
}
