//! The configuration: layers, faults, origins.
//!
//! Defaults, then the environment, then files, then Vault, each over the one before.

mod backup;
pub(crate) mod duration;
mod environment;
mod fault;
mod jobs;
mod key_material;
pub(crate) mod keys;
mod layers;
mod limits;
mod peers;
mod settings;
mod show;
mod store;
mod telemetry;
mod tls;
mod value;
mod vault;

#[cfg(test)]
mod tests;

use credit_infra::vault::{Vault, VaultTrouble};

pub(crate) use backup::Backups;
pub(crate) use environment::variable;
pub(crate) use fault::Faults;
pub(crate) use jobs::JobsWait;
pub(crate) use key_material::KeyMaterial;
pub(crate) use layers::{Layers, Sources};
pub(crate) use limits::{Cache, RateLimit, Redis};
pub(crate) use peers::Peers;
pub(crate) use settings::{Auth, Bootstrap, Log, LogFormat, Profile, Server, Settings};
pub(crate) use show::ShowFormat;
pub(crate) use store::{Mongodb, Store};
pub(crate) use tls::Tls;
pub(crate) use value::is_log_filter;
pub(crate) use vault::{VaultSecret, VaultSource};

/// Reads and judges, with what Vault gives if that is configured: the settings, or every fault at once. Blocks.
pub(crate) fn load(sources: &Sources) -> Result<Settings, Faults> {
    layers_with_vault(sources)?.settings()
}

/// The layers with what Vault gives, if that is configured. Blocks.
pub(crate) fn layers_with_vault(sources: &Sources) -> Result<Layers, Faults> {
    let layers = Layers::read(sources)?;
    let Some(source) = layers.settings()?.vault else { return Ok(layers) };
    let fault = |why: String| Faults(vec![fault::Fault::new("secrets.vault", None, why)]);
    let read = || {
        let vault = Vault::try_new(source.settings)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| VaultTrouble::Setup(format!("no runtime: {error}")))?;
        let members = runtime.block_on(vault.read())?;
        Ok::<_, VaultTrouble>(VaultSecret::new(vault.place(), members))
    };
    let secret = read().map_err(|trouble| fault(trouble.to_string()))?;
    Layers::read_with(sources, Some(secret))
}

/// What is known before Vault is asked: a key that Vault may have is not missed yet.
pub(crate) fn before_vault(sources: &Sources) -> Result<Settings, Faults> {
    Layers::read(sources)?.settings()
}

/// The settings with what Vault gave.
pub(crate) fn with_vault(sources: &Sources, secret: VaultSecret) -> Result<Settings, Faults> {
    Layers::read_with(sources, Some(secret))?.settings()
}
