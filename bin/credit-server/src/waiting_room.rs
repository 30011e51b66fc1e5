//! Before Vault has answered: alive, not ready, and saying why. Nothing is opened, signed or made meanwhile.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use credit_api::RenderMetrics;
use credit_infra::vault::Vault;

use crate::config::{Settings, Sources, VaultSecret, VaultSource, with_vault};
use crate::exit::Failure;
use crate::street::Street;
use crate::tls::Certificate;
use crate::web::{Waiting, serve_metrics};
use crate::wiring::{Process, Service};

/// Whoever answers within this needs nobody to wait.
const AT_ONCE: Duration = Duration::from_secs(1);
/// Between two attempts.
const PAUSE: Duration = Duration::from_secs(2);

/// Where somebody can be waited for.
pub(crate) struct WaitingRoom<'a> {
    pub(crate) sources: &'a Sources,
    /// What is known before Vault is asked.
    pub(crate) before: &'a Settings,
    pub(crate) api: &'a TcpListener,
    pub(crate) scrapes: &'a TcpListener,
    pub(crate) certificate: Option<&'a Arc<Certificate>>,
    pub(crate) metrics: &'a RenderMetrics,
    pub(crate) process: &'a Process,
}

impl WaitingRoom<'_> {
    /// Answers the settings with what Vault gave, as soon as it gives all that is needed. Meanwhile the ports are
    /// answered by a house without anything in it.
    pub(crate) async fn wait_for(
        &self,
        vault: &Arc<Vault>,
        source: &VaultSource,
    ) -> Result<Settings, Failure> {
        let mut told = String::new();
        if let Ok(Some(settings)) = tokio::time::timeout(AT_ONCE, self.ask(vault, &mut told)).await {
            return Ok(settings);
        }
        let house = Arc::new(Service::waiting_for(self.before, vault, source.max_age, self.process)?);
        house.manager.start_preparing();
        let is_secure = self.certificate.is_some();
        let street = Arc::new(Street::new(&self.before.allowed_origins, house.door.ids.clone(), is_secure));
        let clone = |listener: &TcpListener| listener.try_clone().map_err(anyhow::Error::from);
        let waiting = Waiting::start(&self.before.server, clone(self.api)?, self.certificate).await?;
        let api = waiting.serve(&house, &street);
        let scrapes = serve_metrics(clone(self.scrapes)?, &house, self.metrics)?;
        tracing::warn!("not ready: Vault has not given the secrets yet");
        let settings = loop {
            if let Some(settings) = self.ask(vault, &mut told).await {
                break settings;
            }
            tokio::time::sleep(PAUSE).await;
        };
        // The sockets stay open: whoever connects now is answered by the house itself.
        api.break_off().await;
        scrapes.stop(false).await;
        house.close().await?;
        tracing::info!("Vault has given the secrets");
        Ok(settings)
    }

    /// One attempt; the same complaint is told once.
    async fn ask(&self, vault: &Vault, told: &mut String) -> Option<Settings> {
        let read = vault.read().await.map_err(|trouble| trouble.to_string());
        let judged = read.and_then(|members| {
            let secret = VaultSecret::new(vault.place(), members);
            with_vault(self.sources, secret).map_err(|faults| {
                vault.reject(faults.to_string());
                faults.to_string()
            })
        });
        match judged {
            Ok(settings) => Some(settings),
            Err(complaint) => {
                if *told != complaint {
                    tracing::error!(complaint, "the secrets are not there");
                    *told = complaint;
                }
                None
            }
        }
    }
}
