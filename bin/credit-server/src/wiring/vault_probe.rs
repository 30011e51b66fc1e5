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
        let Standing { read_at, trouble, .. } = self.vault.standing();
        match (read_at, trouble) {
            (Some(_), None) => Health::healthy(),
            (Some(read_at), Some(trouble)) if read_at.elapsed() < self.max_age => {
                Health::degraded(format!("{trouble}; the keys that were read before are worked with"))
            }
            (_, Some(trouble)) => Health::unhealthy(trouble.to_string()),
            (None, None) => Health::unhealthy("Vault has not answered yet"),
        }
    }

    fn breaker(&self) -> Option<&'static str> {
        Some(self.vault.breaker())
    }
}

#[cfg(test)]
mod tests {
    use credit_core::HealthState;
    use credit_infra::testkit::vault::{FakeVault, ROOT_TOKEN};
    use credit_infra::vault::{Credential, KvVersion, VaultAuth, VaultSettings};

    use super::*;

    #[tokio::test]
    async fn keys_are_worked_with_for_as_long_as_is_said_and_then_it_is_not_ready() {
        let fake = FakeVault::up();
        fake.put("credit", &serde_json::json!({}));
        let settings = VaultSettings {
            address: fake.url(),
            auth: VaultAuth::Token(Credential::Given(ROOT_TOKEN.into())),
            mount: "secret".into(),
            path: "credit".into(),
            kv: KvVersion::Two,
            namespace: None,
            ca: None,
            timeout: Duration::from_secs(1),
        };
        let vault = Arc::new(Vault::try_new(settings).expect("settings"));
        let state = async |max_age| VaultProbe::new(vault.clone(), max_age).check().await.state;
        let (long, none) = (Duration::from_secs(60), Duration::ZERO);
        assert_eq!(state(long).await, HealthState::Unhealthy, "nothing was read yet");
        vault.read().await.expect("it is there");
        assert_eq!(state(none).await, HealthState::Healthy);
        fake.stop();
        vault.read().await.expect_err("it is gone");
        assert_eq!(state(long).await, HealthState::Degraded);
        assert_eq!(state(none).await, HealthState::Unhealthy);
    }
}
