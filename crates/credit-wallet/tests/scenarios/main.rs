//! The module seen from the street, on the in-memory ports.

// Told again on the real stores by the package `credit-tests`, which takes this file and has its own `stores`.
#[path = "all.rs"]
mod all;

use credit_core::testkit::TestStores;

async fn stores() -> TestStores {
    TestStores::in_memory()
}

async fn shared_stores() -> TestStores {
    TestStores::shared_in_memory()
}
