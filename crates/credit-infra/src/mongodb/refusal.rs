//! Why a write was refused, in the words of the port.

use credit_core::AppId;
use credit_core::ports::documents::{Collection, CommitError, IndexKeys, Write};
use mongodb::bson::doc;
use mongodb::error::{Error, ErrorKind, WriteFailure};

use super::documents::MongoDocuments;
use super::layout::{text, uuid};
use super::schema::{documents_name, rows_index_name};

/// Which index has the key that was there already, by its name in the server's words.
pub(super) fn index_of(error: &Error) -> Option<String> {
    let message = match &*error.kind {
        ErrorKind::Write(WriteFailure::WriteError(write)) => &write.message,
        ErrorKind::Command(command) => &command.message,
        _ => return None,
    };
    let named = message.split_once(" index: ")?.1;
    named.split_whitespace().next().map(ToOwned::to_owned)
}

pub(super) fn exists(collection: &Collection, id: &str) -> CommitError {
    CommitError::Exists { collection: collection.name, id: id.to_owned() }
}

pub(super) fn version(collection: &Collection, id: &str) -> CommitError {
    CommitError::Version { collection: collection.name, id: id.to_owned() }
}

/// The collection and id of a write.
pub(super) fn place_of(write: &Write) -> (&'static Collection, &str) {
    match write {
        Write::Insert { collection, id, .. }
        | Write::Replace { collection, id, .. }
        | Write::Require { collection, id, .. }
        | Write::Put { collection, id, .. }
        | Write::Delete { collection, id, .. } => (collection, id),
    }
}

/// The keys of a write.
fn keys_of(write: &Write) -> &[(&'static str, credit_core::ports::documents::Key)] {
    match write {
        Write::Insert { keys, .. } | Write::Replace { keys, .. } | Write::Put { keys, .. } => keys,
        Write::Require { .. } | Write::Delete { .. } => &[],
    }
}

impl MongoDocuments {
    /// Of a write that was refused because a key is there: the id, or a unique key, and then the first in the order of
    /// the write's keys that another document has.
    pub(super) async fn refused(&self, app: AppId, write: &Write, index: Option<&str>) -> CommitError {
        let (collection, id) = place_of(write);
        let Some(named) =
            collection.indexes.iter().find(|one| Some(rows_index_name(one.name).as_str()) == index)
        else {
            return exists(collection, id);
        };
        let unique: IndexKeys = keys_of(write)
            .iter()
            .filter(|(name, _)| collection.declared_index(name).unique)
            .cloned()
            .collect();
        if unique.iter().any(|(name, _)| *name != named.name) {
            for (name, key) in unique {
                if self.is_anothers(app, collection, id, name, key.as_bytes()).await {
                    return CommitError::Taken { collection: collection.name, index: name };
                }
            }
        }
        CommitError::Taken { collection: collection.name, index: named.name }
    }

    async fn is_anothers(
        &self,
        app: AppId,
        collection: &'static Collection,
        id: &str,
        index: &str,
        key: &[u8],
    ) -> bool {
        let filter = doc! {
            "a": uuid(app.as_u128()),
            format!("k.{index}"): text(key),
            "_id.i": {"$ne": text(id.as_bytes())},
        };
        let (link, name) = (self.link.clone(), documents_name(collection));
        let call = async move {
            let mut session = link.session().await?;
            link.collection(&name).find_one(filter).projection(doc! {"_id": 1}).session(&mut session).await
        };
        // What cannot be looked up leaves the server's own answer standing.
        self.link.call(call).await.is_ok_and(|found| found.is_some())
    }
}
