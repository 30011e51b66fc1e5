//! The store on MongoDB from outside, on real servers.

#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

mod books;
mod check;
mod contract;
mod crowd;
mod differential;
mod doubt;
mod failover;
mod faults;
mod faulty;
mod gate;
mod large;
mod schema;
mod table;
mod transactions;

use credit_core::testkit::TestClock;
use credit_core::testkit::documents_contract::{PEOPLE, PLAIN, VIEWS};
use credit_core::{AppId, Timestamp};
use credit_infra::mongodb::{MongoOptions, MongoStore};
use credit_infra::testkit::mongod::{self, Mongo};

const NOW: Timestamp = TestClock::START;
const APP: AppId = AppId::from_u128(1);

/// A new database on this server.
fn options(mongo: &Mongo) -> MongoOptions {
    MongoOptions {
        now: NOW,
        new_store_id: 42,
        ..MongoOptions::new(mongo.uri().into(), mongod::fresh_database(), vec![&PEOPLE, &VIEWS, &PLAIN])
    }
}

async fn fresh() -> MongoStore {
    MongoStore::connect(options(mongod::shared())).await.unwrap()
}
