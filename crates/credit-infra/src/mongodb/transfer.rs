//! The store on MongoDB as something to move from and to.

use std::collections::BTreeSet;

use async_trait::async_trait;
use credit_core::AppId;
use credit_core::ports::StoreError;
use credit_core::ports::documents::{Collection, Document as Kept, IndexKeys, Key};
use futures_util::TryStreamExt;
use mongodb::bson::{Document, RawBsonRef, RawDocument, RawDocumentBuf, doc};

use super::layout::{bytes, damaged, millis, read_app, uuid};
use super::link::Link;
use super::moment::Moment;
use super::{MongoStore, STORE, kept, schema};
use crate::transfer::{CopyNote, DocumentSource, KeptDocument, Transfer};

/// The id of the note beside what the store says of itself.
const COPY: &str = "copy";

#[async_trait]
impl DocumentSource for MongoStore {
    async fn count(&self, collection: &'static Collection) -> Result<u64, StoreError> {
        let documents = self.link.collection(&schema::documents_name(collection));
        let call = async move { documents.count_documents(doc! {}).await };
        self.link.call(call).await.map_err(|failed| StoreError::Unavailable(failed.why()))
    }

    async fn export(
        &self,
        collection: &'static Collection,
        after: Option<(AppId, String)>,
        limit: usize,
    ) -> Result<Vec<KeptDocument>, StoreError> {
        let documents = self.link.collection(&schema::documents_name(collection));
        let (filter, limit) = (behind(after), i64::try_from(limit).unwrap_or(i64::MAX));
        let call = async move {
            documents.find(filter).sort(doc! {"_id": 1}).limit(limit).await?.try_collect::<Vec<_>>().await
        };
        let found: Vec<RawDocumentBuf> =
            self.link.call(call).await.map_err(|failed| StoreError::Unavailable(failed.why()))?;
        found.iter().map(|document| read(collection, document)).collect()
    }
}

#[async_trait]
impl Transfer for MongoStore {
    fn store_id(&self) -> u128 {
        self.identity.store_id
    }

    async fn moment(&self) -> Result<Option<Box<dyn DocumentSource>>, StoreError> {
        Ok(Some(Box::new(Moment::begin(&self.link).await?)))
    }

    async fn import(
        &self,
        collection: &'static Collection,
        documents: Vec<KeptDocument>,
    ) -> Result<(), StoreError> {
        let writes: Vec<Document> = documents
            .iter()
            .map(|document| write(&self.link, collection, document))
            .collect::<Result<_, _>>()?;
        if writes.is_empty() {
            return Ok(());
        }
        let answer = run(
            &self.link,
            doc! {
                "update": schema::documents_name(collection),
                "updates": writes,
                "ordered": false,
                "writeConcern": {"w": "majority", "j": true, "wtimeout": millis(self.link.deadline)},
            },
        )
        .await?;
        // A command does not raise what its statements were refused for.
        match answer.get("writeErrors").or_else(|| answer.get("writeConcernError")) {
            None => Ok(()),
            Some(refused) => Err(StoreError::OutcomeUnknown(format!("{}: {refused}", collection.name))),
        }
    }

    async fn copy_note(&self) -> Result<Option<CopyNote>, StoreError> {
        let store = self.link.collection(STORE);
        let call = async move { store.find_one(doc! {"_id": COPY}).await };
        let found = self.link.call(call).await.map_err(|failed| StoreError::Unavailable(failed.why()))?;
        let read = |note: &RawDocument| {
            let source = read_app(note, "source")?.as_u128();
            let done = note.get_bool("done").map_err(|error| damaged(&error))?;
            Ok(CopyNote { source, done })
        };
        found.as_deref().map(read).transpose()
    }

    async fn note_copy(&self, note: CopyNote) -> Result<(), StoreError> {
        let store = self.link.collection(STORE);
        let set = doc! {"$set": {"source": uuid(note.source), "done": note.done}};
        let call = async move { store.update_one(doc! {"_id": COPY}, set).upsert(true).await };
        let noted = self.link.call(call).await;
        noted.map(|_| ()).map_err(|failed| StoreError::OutcomeUnknown(failed.why()))
    }
}

/// What comes after a place, in the order of export.
pub(super) fn behind(place: Option<(AppId, String)>) -> Document {
    place.map_or_else(Document::new, |(app, id)| doc! {"_id": {"$gt": kept::document_id(app, &id)}})
}

async fn run(link: &Link, command: Document) -> Result<Document, StoreError> {
    let database = link.database.clone();
    let call = async move { database.run_command(command).await };
    link.call(call).await.map_err(|failed| StoreError::OutcomeUnknown(failed.why()))
}

/// A document with all that is kept of it.
pub(super) fn read(
    collection: &'static Collection,
    document: &RawDocument,
) -> Result<KeptDocument, StoreError> {
    let Kept { id, version, body } = kept::decode(document)?;
    let keys = read_keys(collection, document)?;
    Ok(KeptDocument { app: kept::decode_app(document)?, id, version, body, keys })
}

/// One statement: the document as it is, in the place of what is there.
fn write(
    link: &Link,
    collection: &'static Collection,
    document: &KeptDocument,
) -> Result<Document, StoreError> {
    let KeptDocument { app, id, version, body, keys } = document;
    let kept = kept::encode(*app, collection, (id, *version, body), keys, None);
    let kept = Document::try_from(&*kept).map_err(|error| damaged(&error))?;
    Ok(doc! {"q": link.place(*app, collection, id), "u": kept, "upsert": true})
}

/// The keys as they were given: those of `k`, and those of `m`, where a look-up has several.
fn read_keys(collection: &'static Collection, document: &RawDocument) -> Result<IndexKeys, StoreError> {
    let mut found = BTreeSet::new();
    if let Some(single) = document.get("k").map_err(|error| damaged(&error))? {
        let RawBsonRef::Document(single) = single else { return Err(damaged(&"k is no object")) };
        for member in single {
            let (name, key) = member.map_err(|error| damaged(&error))?;
            match key {
                RawBsonRef::String(key) => {
                    found.insert((name.to_string(), key.to_owned()));
                }
                // The same stand in `m`.
                RawBsonRef::Array(_) => {}
                _ => return Err(damaged(&"a key is no text")),
            }
        }
    }
    if let Some(several) = document.get("m").map_err(|error| damaged(&error))? {
        let RawBsonRef::Array(several) = several else { return Err(damaged(&"m is no list")) };
        for element in several {
            let element = element.map_err(|error| damaged(&error))?;
            let RawBsonRef::Document(element) = element else { return Err(damaged(&"a key is no object")) };
            let member = |name| element.get_str(name).map_err(|error| damaged(&error));
            found.insert((member("x")?.to_owned(), member("k")?.to_owned()));
        }
    }
    let keys = found.into_iter().map(|(name, key)| {
        let undeclared = || StoreError::Corrupt(format!("{} declares no index {name}", collection.name));
        let index = collection.indexes.iter().find(|index| index.name == name).ok_or_else(undeclared)?;
        Ok((index.name, Key::from_bytes(bytes(&key)?)))
    });
    keys.collect()
}
