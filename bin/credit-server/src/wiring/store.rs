//! The store of the house, whichever it is: its ports, how it is, and its end.

use std::sync::Arc;

use anyhow::{Context, Result};
use async_trait::async_trait;
use credit_api::ports::HealthProbe;
use credit_core::memory::{MemoryDocuments, MemoryJournal};
use credit_core::{Clock, Health, IdSource};
use credit_infra::clock::SystemClock;
use credit_infra::embedded::{EmbeddedOptions, EmbeddedStore};
use credit_infra::randomness::OsIds;
use parking_lot::Mutex;
use tokio::runtime::Handle;

use super::late::Ports;
use crate::config::{Settings, Store};
use crate::exit::{Exit, Failure};
use crate::private_file;

/// Keeps the store from before it is open until after it is closed.
pub(crate) struct Keeper {
    ports: Ports,
    held: Held,
}

enum Held {
    /// Nothing to open and nothing to close.
    Memory,
    /// Until it is closed.
    Embedded(Mutex<Option<EmbeddedStore>>),
}

/// Opens the embedded store in `data_dir`; nobody else has it then.
pub(crate) fn open_embedded(settings: &Settings) -> Result<EmbeddedStore, Failure> {
    private_file::create_directory(&settings.data_dir)?;
    let options = EmbeddedOptions::new(SystemClock::new().now(), OsIds::new().mint());
    EmbeddedStore::open(&settings.data_dir, options).map_err(|error| Failure::new(Exit::Store, error))
}

impl Keeper {
    /// The store of the configuration: open if it is the embedded one, else to be reached.
    pub(super) fn of(settings: &Settings) -> Result<Self, Failure> {
        match &settings.store {
            Store::Embedded => Ok(Self::embedded(open_embedded(settings)?)),
            Store::Mongodb(_) => Err(anyhow::anyhow!("mongodb is not in this version yet").into()),
        }
    }

    /// Nothing outlives it.
    pub(super) fn in_memory() -> Self {
        let ports =
            Ports { documents: Arc::new(MemoryDocuments::new()), journal: Arc::new(MemoryJournal::new()) };
        Self { ports, held: Held::Memory }
    }

    fn embedded(store: EmbeddedStore) -> Self {
        let ports = Ports { documents: store.documents(), journal: store.journal() };
        Self { ports, held: Held::Embedded(Mutex::new(Some(store))) }
    }

    /// Opens a store that is not open, on this runtime: once, or it fails.
    pub(super) async fn open(&self, runtime: &Handle) -> Result<(), Failure> {
        Ok(())
    }

    /// The same, as often as it takes, as long as trying again may help.
    pub(super) async fn reach(&self, runtime: &Handle) -> Result<(), Failure> {
        Ok(())
    }

    /// Its ports; of a store that is not reached yet they answer that it is unavailable.
    pub(crate) fn ports(&self) -> &Ports {
        &self.ports
    }

    /// Writes what waits and closes the store. The ports answer nothing from then on.
    pub(super) async fn close(&self) -> Result<()> {
        match &self.held {
            Held::Memory => Ok(()),
            Held::Embedded(store) => {
                let Some(store) = store.lock().take() else { return Ok(()) };
                let closed = tokio::task::spawn_blocking(move || store.close()).await;
                closed.context("the store did not close")?.context("the store cannot be closed")
            }
        }
    }
}

/// Asks the store how it is, wherever it keeps anything.
pub(super) struct StoreProbe(pub(super) Arc<Keeper>);

#[async_trait]
impl HealthProbe for StoreProbe {
    fn name(&self) -> &'static str {
        "store"
    }

    fn is_required(&self) -> bool {
        true
    }

    async fn check(&self) -> Health {
        match &self.0.held {
            Held::Memory => Health::healthy(),
            // It works until it fails, and then until it is restarted it does not.
            Held::Embedded(store) => match &*store.lock() {
                None => Health::unhealthy("the store is closed"),
                Some(store) => store.failed().map_or_else(Health::healthy, Health::unhealthy),
            },
        }
    }
}
