//! What a spend leaves on MongoDB: bytes of journal and views, on disk and in the oplog.

use anyhow::{Context, anyhow};
use credit_core::Clock;
use credit_infra::clock::SystemClock;
use credit_infra::testkit::mongod::Mongo;
use serde_json::{Value, json};

/// How much room there is taken.
pub(crate) struct Room {
    /// Groups, as documents.
    journal: f64,
    /// All documents.
    documents: f64,
    /// On disk, compressed: documents and indexes.
    stored: f64,
    /// When it was, in seconds, as the oplog counts; the server is on this machine.
    second: i64,
}

impl Room {
    pub(crate) fn take(mongo: &Mongo, database: &str) -> anyhow::Result<Self> {
        // What is on disk is so only after a checkpoint.
        ask(mongo, "admin", "fsync", &json!(1), &json!({}))?;
        let journal = ask(mongo, database, "collStats", &json!("journal"), &json!({}))?;
        let all = ask(mongo, database, "dbStats", &json!(1), &json!({}))?;
        Ok(Self {
            journal: number(&journal["size"])?,
            documents: number(&all["dataSize"])?,
            stored: number(&all["storageSize"])? + number(&all["indexSize"])?,
            second: SystemClock::new().now().millis() / 1000,
        })
    }

    /// What so many spends have left since, in megabytes for each million of them.
    pub(crate) fn told_since(&self, before: &Self, mongo: &Mongo, spends: f64) -> anyhow::Result<String> {
        let pipeline = json!([
            {"$match": {"$expr": {"$and": [
                {"$gte": [{"$tsSecond": "$ts"}, before.second]},
                {"$lte": [{"$tsSecond": "$ts"}, self.second]},
            ]}}},
            {"$group": {"_id": null, "bytes": {"$sum": {"$bsonSize": "$$ROOT"}}}},
        ]);
        let members = json!({"pipeline": pipeline, "cursor": {}});
        let oplog = ask(mongo, "local", "aggregate", &json!("oplog.rs"), &members)?;
        let oplog = number(&oplog["cursor"]["firstBatch"][0]["bytes"])?;
        // Bytes for one are megabytes for a million.
        let each = |bytes: f64| format!("{:.0}", bytes / spends);
        Ok(format!(
            "MB for a million spends: journal {}, views {}, oplog {}; on disk, compressed, with indexes: {}",
            each(self.journal - before.journal),
            each((self.documents - self.journal) - (before.documents - before.journal)),
            each(oplog),
            each(self.stored - before.stored),
        ))
    }
}

fn ask(
    mongo: &Mongo,
    database: &str,
    name: &str,
    argument: &Value,
    members: &Value,
) -> anyhow::Result<Value> {
    mongo.command(0, database, name, argument, members).map_err(|why| anyhow!("{name}: {why}"))
}

fn number(value: &Value) -> anyhow::Result<f64> {
    value.as_f64().with_context(|| format!("{value} is no number"))
}
