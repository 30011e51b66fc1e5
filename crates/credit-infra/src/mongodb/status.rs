//! How a database stands: for operators, before and beside the service. Nothing is written here.

use std::collections::HashMap;

use credit_core::Timestamp;
use mongodb::bson::{Document, doc};

use super::error::ConnectError;
use super::gate;
use super::identity;
use super::link::Link;
use super::schema::Shape;
use super::{MongoOptions, connected};

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MongoStatus {
    /// The server's release.
    pub server_version: String,
    /// Whether it is a sharded cluster.
    pub is_sharded: bool,
    /// The name of the replica set, if it is one.
    pub replica_set: Option<String>,
    /// The database.
    pub database: String,
    /// Which store it holds, if any.
    pub store_id: Option<u128>,
    /// The format of that store.
    pub format: Option<i64>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// What is kept, the journal first.
    pub collections: Vec<CollectionStatus>,
}

/// One collection of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectionStatus {
    /// Its name there.
    pub name: String,
    /// How many documents it has; groups, and fences of books, in the journal.
    pub documents: u64,
    /// Bytes of its documents, compressed, on disk.
    pub bytes: u64,
    /// Bytes of its indexes on disk.
    pub index_bytes: u64,
    /// What `store migrate` would make: the collection, its validator, indexes by name.
    pub missing: Vec<String>,
}

impl MongoStatus {
    /// Whether there is a store, and nothing is missing of it.
    pub fn is_ready(&self) -> bool {
        self.store_id.is_some() && self.collections.iter().all(|collection| collection.missing.is_empty())
    }
}

/// Passes the gate and looks.
pub(super) async fn look(options: &MongoOptions) -> Result<MongoStatus, ConnectError> {
    let link = connected(options).await?;
    let status = look_through(&link, options).await;
    link.end().await;
    status
}

async fn look_through(link: &Link, options: &MongoOptions) -> Result<MongoStatus, ConnectError> {
    let server = gate::check(link, options).await?;
    let identity = identity::found(link, options).await?;
    let there = listed(link, options).await?;
    let modules = options.collections.iter().map(|collection| Shape::of_collection(collection));
    let mut collections = Vec::new();
    for shape in [Shape::journal(), Shape::store()].into_iter().chain(modules) {
        collections.push(look_at(link, options, &shape, there.get(&shape.name)).await?);
    }
    Ok(MongoStatus {
        server_version: server.version,
        is_sharded: server.is_sharded,
        replica_set: server.set,
        database: options.database.clone(),
        store_id: identity.map(|identity| identity.store_id),
        format: identity.map(|identity| identity.format),
        created: identity.map(|identity| identity.created),
        collections,
    })
}

/// The collections that are there, with their options.
async fn listed(link: &Link, options: &MongoOptions) -> Result<HashMap<String, Document>, ConnectError> {
    let database = link.database.clone();
    let call = async move {
        let mut cursor = database.list_collections().await?;
        let mut found = HashMap::new();
        while cursor.advance().await? {
            let specification = cursor.deserialize_current()?;
            let validator = specification.options.validator.unwrap_or_default();
            found.insert(specification.name, validator);
        }
        Ok(found)
    };
    link.call(call).await.map_err(|failed| failed.connect(options))
}

async fn look_at(
    link: &Link,
    options: &MongoOptions,
    shape: &Shape,
    validator: Option<&Document>,
) -> Result<CollectionStatus, ConnectError> {
    let mut status = CollectionStatus {
        name: shape.name.clone(),
        documents: 0,
        bytes: 0,
        index_bytes: 0,
        missing: Vec::new(),
    };
    let Some(validator) = validator else {
        status.missing.push("the collection".to_owned());
        return Ok(status);
    };
    if *validator != shape.validator {
        status.missing.push("the validator".to_owned());
    }
    let collection = link.collection(&shape.name);
    let call = async move {
        let names = collection.list_index_names().await?;
        let pipeline = vec![doc! {"$collStats": {"storageStats": {}}}];
        let mut cursor = collection.aggregate(pipeline).await?;
        let mut shards = Vec::new();
        // One for each shard.
        while cursor.advance().await? {
            shards.push(Document::try_from(cursor.current())?);
        }
        Ok((names, shards))
    };
    let (names, shards) = link.call(call).await.map_err(|failed| failed.connect(options))?;
    status.missing.extend(shape.index_names().filter(|name| !names.iter().any(|there| there == name)));
    for stats in shards.iter().filter_map(|shard| shard.get_document("storageStats").ok()) {
        status.documents += number(stats, "count");
        status.bytes += number(stats, "storageSize");
        status.index_bytes += number(stats, "totalIndexSize");
    }
    Ok(status)
}

/// A count, whichever type the server chose for it.
fn number(stats: &Document, member: &str) -> u64 {
    let whole = stats.get_i64(member).or_else(|_| stats.get_i32(member).map(i64::from));
    whole.ok().and_then(|number| u64::try_from(number).ok()).unwrap_or_default()
}
