//! How the dependencies of the house are.

use std::sync::Arc;

use async_trait::async_trait;
use credit_api::ports::HealthProbe;
use credit_core::Health;

use super::adapters::SharedStore;

/// The embedded store: it works until it fails, and then until it is restarted it does not.
pub(super) struct StoreProbe(pub(super) Arc<SharedStore>);

#[async_trait]
impl HealthProbe for StoreProbe {
    fn name(&self) -> &'static str {
        "store"
    }

    fn is_required(&self) -> bool {
        true
    }

    async fn check(&self) -> Health {
        match &*self.0.lock() {
            None => Health::unhealthy("the store is closed"),
            Some(store) => store.failed().map_or_else(Health::healthy, Health::unhealthy),
        }
    }
}
