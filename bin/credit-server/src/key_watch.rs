//! Reading the secrets again while the service runs.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use credit_infra::randomness::OsSecrets;

use crate::config::{Sources, load};
use crate::secrets::Secrets;
use crate::wiring::Service;

/// Where the secrets of a service come from.
pub(crate) struct KeyWatch {
    sources: Sources,
    service: Arc<Service>,
}

impl KeyWatch {
    /// Over a service that works with them.
    pub(crate) fn new(sources: Sources, service: Arc<Service>) -> Self {
        Self { sources, service }
    }

    /// Reads them again and again, for ever. What cannot be read or used changes nothing.
    pub(crate) async fn keep_fresh(self, pause: Duration) {
        let mut complaint = String::new();
        loop {
            tokio::time::sleep(pause).await;
            match self.refresh().await {
                Ok(true) => tracing::info!("the keys were replaced: they were rotated where they come from"),
                Ok(false) => complaint.clear(),
                Err(error) => {
                    let error = format!("{error:#}");
                    if error != complaint {
                        tracing::error!(error, "the secrets cannot be read again; the last good ones stay");
                        complaint = error;
                    }
                }
            }
        }
    }

    async fn refresh(&self) -> Result<bool> {
        let sources = self.sources.clone();
        let read = tokio::task::spawn_blocking(move || {
            let settings = load(&sources)?;
            let secrets = Secrets::complete(&settings, &OsSecrets)?;
            Ok::<_, anyhow::Error>((settings, secrets))
        });
        let (settings, secrets) = read.await.context("reading broke off")??;
        if self.service.shared.renew(&settings)? {
            tracing::info!("Redis is reached in another way: its address or credentials were changed");
        }
        self.service.adapters.keys.renew(secrets)
    }
}
