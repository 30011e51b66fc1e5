//! Every module's scenarios on the embedded store, in memory: the files and their faults are `credit-infra`'s tests.

#[path = "../../crates/credit-api/tests/scenarios/all.rs"]
mod api;
#[path = "../../crates/credit-transactions/tests/scenarios/all.rs"]
mod transactions;
#[path = "../../crates/credit-users/tests/scenarios/all.rs"]
mod users;
#[path = "../../crates/credit-wallet/tests/scenarios/all.rs"]
mod wallet;

use std::sync::Arc;

use credit_core::testkit::{CountingIds, TestClock, TestStores};
use credit_core::{Clock, IdSource};
use credit_infra::embedded::{EmbeddedOptions, EmbeddedStore};

async fn stores() -> TestStores {
    let options = EmbeddedOptions::new(TestClock::new().now(), CountingIds::new().mint());
    let store = EmbeddedStore::open_in_memory(options).expect("nothing can be wrong with memory");
    TestStores { journal: store.journal(), documents: store.documents(), alive: Arc::new(store) }
}

/// One process has the embedded store for itself: what several on one store do is told in memory.
async fn shared_stores() -> TestStores {
    TestStores::shared_in_memory()
}
