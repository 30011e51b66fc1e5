//! Which store this is, and in which format: one document that is written once.

use credit_core::Timestamp;
use mongodb::bson::{Bson, DateTime, Document, RawDocumentBuf, doc};

use super::error::{ConnectError, is_duplicate};
use super::layout::uuid;
use super::link::Link;
use super::{MongoOptions, STORE};

/// The format that this release writes.
const FORMAT: i64 = 1;

const ID: &str = "store";

/// What the store says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) store_id: u128,
    pub(super) format: i64,
    pub(super) created: Timestamp,
}

/// Reads it, or writes it into a new database; of several processes at once, one writes. Refuses another store than the
/// pinned one, and a newer format.
pub(super) async fn establish(link: &Link, options: &MongoOptions) -> Result<Identity, ConnectError> {
    let fresh = doc! {
        "format": FORMAT,
        "store_id": uuid(options.new_store_id),
        "created": DateTime::from_millis(options.now.millis()),
    };
    let database = options.database.clone();
    let store = link.collection(STORE);
    // A store that is pinned exists: another one is never made in its place.
    let make = options.pinned_store_id.is_none();
    let call = async move {
        if make {
            let written = store.update_one(doc! {"_id": ID}, doc! {"$setOnInsert": fresh}).upsert(true).await;
            // Somebody else wrote it in the same moment.
            written.map(|_| ()).or_else(|error| if is_duplicate(&error) { Ok(()) } else { Err(error) })?;
        }
        store.find_one(doc! {"_id": ID}).await
    };
    let found = link.call(call).await.map_err(|failed| failed.connect(options))?;
    match (judge(found, options)?, options.pinned_store_id) {
        (Some(identity), _) => Ok(identity),
        (None, Some(pinned)) => Err(ConnectError::AnotherStore {
            database,
            found: "of nobody (it has none)".to_owned(),
            expected: shown(pinned),
        }),
        (None, None) => Err(unreadable(database)),
    }
}

/// Which store is there, if any; writes nothing.
pub(super) async fn found(link: &Link, options: &MongoOptions) -> Result<Option<Identity>, ConnectError> {
    let store = link.collection(STORE);
    let call = async move { store.find_one(doc! {"_id": ID}).await };
    let found = link.call(call).await.map_err(|failed| failed.connect(options))?;
    judge(found, options)
}

/// Refuses a newer format, and another store than the pinned one.
fn judge(found: Option<RawDocumentBuf>, options: &MongoOptions) -> Result<Option<Identity>, ConnectError> {
    let Some(found) = found else { return Ok(None) };
    let database = options.database.clone();
    let identity = Document::try_from(&*found).ok().as_ref().and_then(read);
    let Some(identity) = identity else { return Err(unreadable(database)) };
    if identity.format > FORMAT {
        return Err(ConnectError::Newer { database, found: identity.format, known: FORMAT });
    }
    match options.pinned_store_id {
        Some(pinned) if pinned != identity.store_id => Err(ConnectError::AnotherStore {
            database,
            found: shown(identity.store_id),
            expected: shown(pinned),
        }),
        _ => Ok(Some(identity)),
    }
}

fn unreadable(database: String) -> ConnectError {
    ConnectError::Schema {
        database,
        why: format!("the document {ID:?} of the collection {STORE} does not read; restore a backup"),
    }
}

fn read(document: &Document) -> Option<Identity> {
    let Bson::Binary(store_id) = document.get("store_id")? else { return None };
    Some(Identity {
        store_id: u128::from_be_bytes(store_id.bytes.as_slice().try_into().ok()?),
        format: document.get_i64("format").ok()?,
        created: Timestamp::from_millis(document.get_datetime("created").ok()?.timestamp_millis()),
    })
}

/// As other places show ids.
fn shown(id: u128) -> String {
    format!("{id:032x}")
}
