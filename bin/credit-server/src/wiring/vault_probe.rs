//! How Vault is, for the health of the house.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use credit_api::ports::HealthProbe;
use credit_core::Health;
use credit_infra::vault::{Standing, Vault};

/// Tells what the last reading told: asking Vault is the affair of whoever reads its secrets again and again.
pub(crate) struct VaultProbe {
    vault: Arc<Vault>,
    max_age: Duration,
}

impl VaultProbe {
    /// Keys that were read are good for `max_age`.
    pub(crate) fn new(vault: Arc<Vault>, max_age: Duration) -> Self {
        Self { vault, max_age }
    }
}

#[async_trait]
impl HealthProbe for VaultProbe {
    fn name(&self) -> &'static str {
        "vault"
    }

    /// Without its keys nothing can be opened or signed.
    fn is_required(&self) -> bool {
        true
    }

    async fn check(&self) -> Health {
        let Standing { read_at, trouble } = self.vault.standing();
        match (read_at, trouble) {
            (Some(_), None) => Health::healthy(),
            (Some(read_at), Some(trouble)) if read_at.elapsed() < self.max_age => {
                Health::degraded(format!("{trouble}; the keys that were read before are worked with"))
            }
            (_, Some(trouble)) => Health::unhealthy(trouble.to_string()),
            (None, None) => Health::unhealthy("Vault has not answered yet"),
        }
    }
}
