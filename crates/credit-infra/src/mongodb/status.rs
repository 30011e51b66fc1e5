//! How a database stands: for operators, before and beside the service. Nothing is written here.

use std::collections::HashMap;

use credit_core::Timestamp;
use mongodb::bson::{Bson, Document, doc};
use mongodb::options::CreateCollectionOptions;

use super::error::ConnectError;
use super::gate;
use super::identity;
use super::likeness;
use super::link::Link;
use super::rights::{CHANGE, Rights};
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
    /// What stands in the way, as sentences that say how to mend it: `store migrate` takes nothing away.
    pub wrong: Vec<String>,
}

impl MongoStatus {
    /// Whether there is a store, and nothing is missing of it or wrong with it.
    pub fn is_ready(&self) -> bool {
        let is_whole =
            |collection: &CollectionStatus| collection.missing.is_empty() && collection.wrong.is_empty();
        self.store_id.is_some() && self.collections.iter().all(is_whole)
    }
}

/// More indexes than a collection can have.
const INDEXES: i32 = 100;

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
    let shapes: Vec<Shape> =
        [Shape::journal(), Shape::parts(), Shape::store()].into_iter().chain(modules).collect();
    let rights = Rights::ask(link, options).await?;
    rights.check(&shapes.iter().map(|shape| shape.name.as_str()).collect::<Vec<_>>())?;
    let mut collections = Vec::new();
    for shape in &shapes {
        let mut status = look_at(link, options, shape, there.get(&shape.name), server.is_sharded).await?;
        if status.missing.iter().any(|what| what == VALIDATOR) && !rights.allow(CHANGE, &shape.name) {
            let mend = "the validator cannot be put in place: the user lacks the right collMod, which the role dbAdmin on \
                        the database gives";
            status.wrong.push(mend.to_owned());
        }
        collections.push(status);
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

/// How the validator is called among what is missing.
const VALIDATOR: &str = "the validator";

/// The collections that are there, with their options.
async fn listed(
    link: &Link,
    options: &MongoOptions,
) -> Result<HashMap<String, CreateCollectionOptions>, ConnectError> {
    let database = link.database.clone();
    let call = async move {
        let mut cursor = database.list_collections().await?;
        let mut found = HashMap::new();
        while cursor.advance().await? {
            let specification = cursor.deserialize_current()?;
            found.insert(specification.name, specification.options);
        }
        Ok(found)
    };
    link.call(call).await.map_err(|failed| failed.connect(options))
}

async fn look_at(
    link: &Link,
    options: &MongoOptions,
    shape: &Shape,
    there: Option<&CreateCollectionOptions>,
    is_sharded: bool,
) -> Result<CollectionStatus, ConnectError> {
    let mut status = CollectionStatus {
        name: shape.name.clone(),
        documents: 0,
        bytes: 0,
        index_bytes: 0,
        missing: Vec::new(),
        wrong: Vec::new(),
    };
    let Some(there) = there else {
        status.missing.push("the collection".to_owned());
        return Ok(status);
    };
    if !shape.is_validated_by(there) {
        status.missing.push(VALIDATOR.to_owned());
    }
    let (database, name) = (link.database.clone(), shape.name.clone());
    let collection = link.collection(&shape.name);
    let call = async move {
        let listed = doc! {"listIndexes": name, "cursor": {"batchSize": INDEXES}, "includeBuildUUIDs": true};
        let indexes = database.run_command(listed).await?;
        let pipeline = vec![doc! {"$collStats": {"storageStats": {}}}];
        let mut cursor = collection.aggregate(pipeline).await?;
        let mut shards = Vec::new();
        // One for each shard.
        while cursor.advance().await? {
            shards.push(Document::try_from(cursor.current())?);
        }
        Ok((indexes, shards))
    };
    let (indexes, shards) = link.call(call).await.map_err(|failed| failed.connect(options))?;
    let indexes = indexes.get_document("cursor").and_then(|cursor| cursor.get_array("firstBatch"));
    let indexes: Vec<Document> =
        indexes.into_iter().flatten().filter_map(Bson::as_document).cloned().collect();
    let likeness = likeness::compare(shape, &indexes, is_sharded);
    status.missing.extend(likeness.missing);
    status.wrong.extend(likeness.wrong);
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
