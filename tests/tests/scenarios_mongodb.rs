//! Every module's scenarios on MongoDB.

#[path = "../../crates/credit-api/tests/scenarios/all.rs"]
mod connection_api;
#[path = "../../crates/credit-transactions/tests/scenarios/all.rs"]
mod transactions_module;
#[path = "../../crates/credit-users/tests/scenarios/all.rs"]
mod user_management;
#[path = "../../crates/credit-wallet/tests/scenarios/all.rs"]
mod wallet_module;

use std::sync::Arc;

use credit_core::testkit::TestStores;
use credit_infra::mongodb::{MongoOptions, MongoStore};
use credit_infra::testkit::mongod::{fresh_database, shared};

async fn stores() -> TestStores {
    let uri = shared().uri().into();
    let store =
        MongoStore::connect(MongoOptions::new(uri, fresh_database(), Vec::new())).await.expect("it answers");
    TestStores { journal: store.journal(), documents: store.documents(), alive: Arc::new(store) }
}

async fn shared_stores() -> TestStores {
    stores().await
}
