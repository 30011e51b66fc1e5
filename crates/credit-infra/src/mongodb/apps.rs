//! Which applications have documents in a collection.
//!
//! By ids alone, in their order: many at a time as long as they are of different applications, and past all documents of
//! one that has many. So it takes as many looks as there are large applications, and few for any number of small ones.

use credit_core::AppId;
use credit_core::ports::StoreError;
use credit_core::ports::documents::Collection;
use mongodb::bson::{Bson, RawDocumentBuf, doc};

use super::documents::MongoDocuments;
use super::error::Failed;
use super::kept::decode_app;
use super::layout::uuid;
use super::schema::documents_name;

/// How many ids are looked at at a time.
const LOOK: usize = 1000;

/// How many looks make a part of the list: little time, even where each takes some.
const LOOKS: usize = 16;

impl MongoDocuments {
    /// The next part of the list.
    pub(super) async fn apps_part(
        &self,
        collection: &'static Collection,
        after: Option<AppId>,
    ) -> Result<Vec<AppId>, StoreError> {
        let mut apps: Vec<AppId> = Vec::new();
        for _ in 0..LOOKS {
            let ids = self.ids_behind(collection, apps.last().copied().or(after)).await?;
            for id in &ids {
                let app = decode_app(id)?;
                if apps.last() != Some(&app) {
                    apps.push(app);
                }
            }
            if ids.len() < LOOK {
                break;
            }
        }
        Ok(apps)
    }

    /// The first ids of the applications behind this one.
    async fn ids_behind(
        &self,
        collection: &'static Collection,
        app: Option<AppId>,
    ) -> Result<Vec<RawDocumentBuf>, StoreError> {
        let behind = app.map_or_else(
            || doc! {},
            |app| doc! {"_id": {"$gt": {"a": uuid(app.as_u128()), "i": Bson::MaxKey}}},
        );
        let (link, name) = (self.link.clone(), documents_name(collection));
        let call = async move {
            let mut session = link.session().await?;
            let mut cursor = link
                .collection(&name)
                .find(behind)
                .sort(doc! {"_id": 1})
                .projection(doc! {"_id": 1})
                .limit(i64::try_from(LOOK).unwrap_or(i64::MAX))
                .batch_size(u32::try_from(LOOK).unwrap_or(u32::MAX))
                .session(&mut session)
                .await?;
            let mut found = Vec::new();
            while cursor.advance(&mut session).await? {
                found.push(cursor.current().to_owned());
            }
            link.note(&session);
            Ok(found)
        };
        self.link.call(call).await.map_err(Failed::read)
    }
}
