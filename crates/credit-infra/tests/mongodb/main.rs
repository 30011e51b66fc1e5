//! The store on MongoDB from outside, on real servers.

#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

mod contract;

use credit_core::Timestamp;
use credit_core::testkit::TestClock;
use credit_infra::mongodb::{MongoOptions, MongoStore};
use credit_infra::testkit::mongod::{self, Mongo};

const NOW: Timestamp = TestClock::START;

/// A new database on this server.
fn options(mongo: &Mongo) -> MongoOptions {
    MongoOptions {
        now: NOW,
        new_store_id: 42,
        ..MongoOptions::new(mongo.uri().into(), mongod::fresh_database(), Vec::new())
    }
}

async fn fresh() -> MongoStore {
    MongoStore::connect(options(mongod::shared())).await.unwrap()
}
