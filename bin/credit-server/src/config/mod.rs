//! The configuration: layers, faults, origins.
//!
//! Defaults, then the environment, then files, each over the one before; Vault will come above the files.

mod duration;
mod environment;
mod fault;
mod key_material;
mod keys;
mod layers;
mod limits;
mod settings;
mod show;
mod store;
mod tls;
mod value;

#[cfg(test)]
mod tests;

pub(crate) use fault::Faults;
pub(crate) use key_material::KeyMaterial;
pub(crate) use limits::{Cache, RateLimit, Redis};
pub(crate) use layers::{Layers, Sources};
pub(crate) use settings::{Auth, Bootstrap, Log, LogFormat, Profile, Server, Settings};
pub(crate) use show::ShowFormat;
pub(crate) use store::{Mongodb, Store};
pub(crate) use tls::Tls;

/// Reads and judges: the settings, or every fault at once.
pub(crate) fn load(sources: &Sources) -> Result<Settings, Faults> {
    Layers::read(sources)?.settings()
}
