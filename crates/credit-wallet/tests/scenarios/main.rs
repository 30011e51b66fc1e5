//! The module seen from the street, on the in-memory ports.

// Told again on the real stores by the package `credit-tests`, which takes this file and has its own `stores`.
#[path = "all.rs"]
mod all;

use std::future::{Ready, ready};

use credit_core::testkit::TestStores;

fn stores() -> Ready<TestStores> {
    ready(TestStores::in_memory())
}

fn shared_stores() -> Ready<TestStores> {
    ready(TestStores::shared_in_memory())
}
