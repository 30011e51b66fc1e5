//! Every module's scenarios on the embedded store, in memory: the files and their faults are `credit-infra`'s tests.

#[path = "../../crates/credit-api/tests/scenarios/all.rs"]
mod connection_api;
#[path = "../../crates/credit-transactions/tests/scenarios/all.rs"]
mod transactions_module;
#[path = "../../crates/credit-users/tests/scenarios/all.rs"]
mod user_management;
#[path = "../../crates/credit-wallet/tests/scenarios/all.rs"]
mod wallet_module;

use std::future::{Ready, ready};
use std::sync::Arc;

use credit_core::testkit::{CountingIds, TestClock, TestStores};
use credit_core::{Clock, IdSource};
use credit_infra::embedded::{EmbeddedOptions, EmbeddedStore};

fn stores() -> Ready<TestStores> {
    let options = EmbeddedOptions::new(TestClock::new().now(), CountingIds::new().mint());
    let store = EmbeddedStore::open_in_memory(options).expect("nothing can be wrong with memory");
    ready(TestStores { journal: store.journal(), documents: store.documents(), alive: Arc::new(store) })
}

/// One process has the embedded store for itself: what several on one store do is told in memory.
fn shared_stores() -> Ready<TestStores> {
    ready(TestStores::shared_in_memory())
}
