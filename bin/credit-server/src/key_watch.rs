//! Reading the secrets again while the service runs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use credit_core::Jobs;
use credit_infra::vault::Vault;

use crate::config::{Settings, Sources, VaultSecret, VaultSource, before_vault, with_vault};
use crate::secrets::Secrets;
use crate::wiring::Service;

/// Where the secrets of a service come from.
pub(crate) struct KeyWatch {
    sources: Sources,
    service: Arc<Service>,
    vault: Option<Asked>,
}

/// The Vault that is asked, and how one gets there.
struct Asked {
    vault: Arc<Vault>,
    source: VaultSource,
}

/// What became of reading the secrets again.
struct Taken {
    keys_are_new: bool,
    /// What could not be taken up beside the keys.
    troubles: Vec<anyhow::Error>,
}

/// Between two attempts while something is wrong, if it is not shorter anyhow.
const SOON: Duration = Duration::from_secs(3);

/// The job that is due when the keys have changed.
const REENCRYPTION: &str = "key_reencryption";

impl KeyWatch {
    /// Over a service that works with them; with the Vault that was asked, if there is one.
    pub(crate) fn new(
        sources: Sources,
        settings: &Settings,
        service: Arc<Service>,
        vault: Option<Arc<Vault>>,
    ) -> Self {
        let vault = vault.zip(settings.vault.clone()).map(|(vault, source)| Asked { vault, source });
        Self { sources, service, vault }
    }

    /// Reads them again and again, for ever. What cannot be read or used changes nothing.
    pub(crate) async fn keep_fresh(mut self, pause: Duration) {
        // A process that was to make it due may have gone away before it did.
        if self.service.adapters.keys.is_rotating() {
            self.start_reencryption().await;
        }
        let mut complaint = String::new();
        loop {
            self.rest(if complaint.is_empty() { pause } else { pause.min(SOON) }).await;
            let (is_new, troubles) = match self.refresh().await {
                Ok(Taken { keys_are_new, troubles }) => (keys_are_new, troubles),
                Err(error) => (false, vec![error]),
            };
            if is_new {
                tracing::info!("the keys were replaced: they were changed where they come from");
                self.start_reencryption().await;
            }
            let troubles: Vec<String> = troubles.iter().map(|error| format!("{error:#}")).collect();
            let now = troubles.join("; ");
            if !now.is_empty() && now != complaint {
                tracing::error!(error = now, "the secrets cannot be read again; the last good ones stay");
            }
            if now.is_empty() && !complaint.is_empty() {
                tracing::info!("the secrets can be read again");
            }
            complaint = now;
        }
    }

    /// Sleeps so long, and meanwhile renews the login at Vault whenever that is due.
    async fn rest(&self, pause: Duration) {
        let until = Instant::now() + pause;
        while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            let due = match &self.vault {
                Some(asked) => asked.vault.due_in().await,
                None => None,
            };
            match (&self.vault, due.filter(|due| *due < left)) {
                (Some(asked), Some(due)) => {
                    tokio::time::sleep(due).await;
                    asked.vault.tend().await;
                }
                _ => tokio::time::sleep(left).await,
            }
        }
    }

    async fn refresh(&mut self) -> Result<Taken> {
        let vault_secret = self.ask_vault().await?;
        let taken = self.take_up(vault_secret).await;
        // Of Redis and of the store their own health tells.
        if let (Err(error), Some(asked)) = (&taken, &self.vault) {
            asked.vault.reject(format!("{error:#}"));
        }
        taken
    }

    /// Keys, store and Redis each for themselves: what is wrong with one keeps none of the others waiting. It fails if
    /// the keys cannot be used.
    async fn take_up(&self, vault_secret: Option<VaultSecret>) -> Result<Taken> {
        let sources = self.sources.clone();
        let read = tokio::task::spawn_blocking(move || {
            let settings = match vault_secret {
                Some(secret) => with_vault(&sources, secret)?,
                None => before_vault(&sources)?,
            };
            let secrets = Secrets::kept(&settings)?;
            Ok::<_, anyhow::Error>((settings, secrets))
        });
        let (settings, secrets) = read.await.context("reading broke off")??;
        let keys = self.service.adapters.keys.renew(secrets);
        let mut troubles = Vec::new();
        match self.service.renew_store(&settings).await {
            Ok(false) => {}
            Ok(true) => {
                tracing::info!(
                    "the store is reached in another way: its address or credentials were changed"
                );
            }
            Err(error) => troubles.push(error),
        }
        match self.service.shared.renew(&settings) {
            Ok(false) => {}
            Ok(true) => {
                tracing::info!("Redis is reached in another way: its address or credentials were changed");
            }
            Err(error) => troubles.push(error.context("cache.redis")),
        }
        Ok(Taken { keys_are_new: keys?, troubles })
    }

    /// What Vault gives now. Its address and the proof may have been changed as well: it is asked as they say now.
    async fn ask_vault(&mut self) -> Result<Option<VaultSecret>> {
        let Some(asked) = &mut self.vault else { return Ok(None) };
        let sources = self.sources.clone();
        let now = tokio::task::spawn_blocking(move || before_vault(&sources))
            .await
            .context("reading broke off")??;
        if let Some(source) = now.vault.filter(|source| !source.is_same(&asked.source)) {
            asked.vault.change(source.settings.clone()).await?;
            asked.source = source;
        }
        let members = asked.vault.read().await?;
        Ok(Some(VaultSecret::new(asked.vault.place(), members)))
    }

    /// What is under earlier keys is brought under the new ones now, and not only when its hour comes.
    async fn start_reencryption(&self) {
        if let Err(error) = self.service.jobs.run_now(REENCRYPTION).await {
            tracing::warn!(%error, "the re-encryption could not be started; it is done within the hour");
        }
    }
}
