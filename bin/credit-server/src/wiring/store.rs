//! The store of the house, whichever it is: its ports, how it is, and its end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use async_trait::async_trait;
use credit_api::ports::HealthProbe;
use credit_core::memory::{MemoryDocuments, MemoryJournal};
use credit_core::{Clock, Health, IdSource};
use credit_infra::clock::SystemClock;
use credit_infra::embedded::{EmbeddedOptions, EmbeddedStore};
use credit_infra::randomness::OsIds;
use credit_infra::transfer::{CopyNote, Transfer};
use parking_lot::Mutex;
use tokio::runtime::Handle;

use super::late::Ports;
use super::mongodb::Remote;
use crate::config::{Settings, Store};
use crate::exit::{Exit, Failure};
use crate::private_file;

/// How long whoever has the store in hand when it closes may take to let it go.
const LET_GO: Duration = Duration::from_secs(10);

/// Keeps the store from before it is open until after it is closed.
pub(crate) struct Keeper {
    ports: Ports,
    held: Held,
}

enum Held {
    /// Nothing to open and nothing to close.
    Memory,
    /// Until it is closed.
    Embedded(Mutex<Option<Arc<EmbeddedStore>>>),
    Mongodb(Box<Remote>),
}

/// Opens the embedded store in `data_dir`; nobody else has it then.
pub(crate) fn open_embedded(settings: &Settings) -> Result<EmbeddedStore, Failure> {
    private_file::create_directory(&settings.data_dir)
        .context("data_dir has to be a directory that this process may write to")
        .map_err(|error| Failure::new(Exit::Store, error))?;
    let options = EmbeddedOptions::new(SystemClock::new().now(), OsIds::new().mint());
    EmbeddedStore::open(&settings.data_dir, options).map_err(|error| Failure::new(Exit::Store, error))
}

/// Refuses a store that is the target of a copy which was not finished: half of what it should hold is not there.
pub(super) async fn refuse_unfinished_copy(store: &dyn Transfer) -> Result<(), Failure> {
    match store.copy_note().await.context("the store cannot be read")? {
        Some(CopyNote { done: false, .. }) => {
            let why = "the store is an unfinished copy of another one; run credit-server store copy again until it is \
                       done, or work on an empty store";
            Err(Failure::new(Exit::Store, anyhow!(why)))
        }
        _ => Ok(()),
    }
}

impl Keeper {
    /// The store of the configuration: open if it is the embedded one, else to be reached.
    pub(super) fn of(settings: &Settings) -> Result<Self, Failure> {
        match (settings.store, &settings.mongodb) {
            (Store::Embedded, _) => Ok(Self::embedded(open_embedded(settings)?)),
            (Store::Mongodb, Some(named)) => {
                let remote = Remote::new(named.clone());
                Ok(Self { ports: remote.ports(), held: Held::Mongodb(Box::new(remote)) })
            }
            (Store::Mongodb, None) => Err(anyhow!("store.mongodb.uri is missing").into()),
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
        Self { ports, held: Held::Embedded(Mutex::new(Some(Arc::new(store)))) }
    }

    /// Opens a store that is not open, on this runtime: once, or it fails.
    pub(super) async fn open(&self, runtime: &Handle) -> Result<(), Failure> {
        match &self.held {
            Held::Mongodb(remote) => remote.open(runtime).await,
            _ => self.refuse_unfinished_copy().await,
        }
    }

    /// The same, as often as it takes, as long as trying again may help.
    pub(super) async fn reach(&self, runtime: &Handle) -> Result<(), Failure> {
        match &self.held {
            Held::Mongodb(remote) => remote.reach(runtime).await,
            _ => self.refuse_unfinished_copy().await,
        }
    }

    /// Goes over to credentials of the store that were changed where they come from. Answers whether there were any.
    pub(super) async fn renew(&self, settings: &Settings, runtime: &Handle) -> Result<bool> {
        match (&self.held, &settings.mongodb) {
            (Held::Mongodb(remote), Some(named)) => {
                remote.renew(&named.uri, runtime).await.context("store.mongodb.uri")
            }
            _ => Ok(false),
        }
    }

    async fn refuse_unfinished_copy(&self) -> Result<(), Failure> {
        let Held::Embedded(store) = &self.held else { return Ok(()) };
        let store = store.lock().clone();
        match store {
            Some(store) => refuse_unfinished_copy(&*store).await,
            None => Ok(()),
        }
    }

    /// The embedded store, while it is open, if it is that one.
    pub(crate) fn embedded_store(&self) -> Option<Arc<EmbeddedStore>> {
        match &self.held {
            Held::Embedded(store) => store.lock().clone(),
            _ => None,
        }
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
                let store = last_one(store).await.context("the store is still being asked")?;
                let closed = tokio::task::spawn_blocking(move || store.close()).await;
                closed.context("the store did not close")?.context("the store cannot be closed")
            }
            Held::Mongodb(remote) => {
                remote.close().await;
                Ok(())
            }
        }
    }
}

/// The store itself, once nobody else has it: a backup that was told to stop lets it go after the few MiB it is at.
async fn last_one(mut store: Arc<EmbeddedStore>) -> Option<EmbeddedStore> {
    let limit = Instant::now() + LET_GO;
    loop {
        store = match Arc::try_unwrap(store) {
            Ok(store) => return Some(store),
            Err(shared) if Instant::now() < limit => shared,
            Err(_) => return None,
        };
        tokio::time::sleep(Duration::from_millis(10)).await;
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
            Held::Mongodb(remote) => remote.check().await,
        }
    }
}

/// A store that is not reached yet says why; from then on the probe behind the guards is asked.
pub(super) struct ReachedFirst {
    pub(super) keeper: Arc<Keeper>,
    pub(super) guarded: Arc<dyn HealthProbe>,
}

#[async_trait]
impl HealthProbe for ReachedFirst {
    fn name(&self) -> &'static str {
        self.guarded.name()
    }

    fn is_required(&self) -> bool {
        self.guarded.is_required()
    }

    async fn check(&self) -> Health {
        match &self.keeper.held {
            Held::Mongodb(remote) => match remote.waits_for() {
                Some(why) => Health::unhealthy(why),
                None => self.guarded.check().await,
            },
            _ => self.guarded.check().await,
        }
    }

    fn breaker(&self) -> Option<&'static str> {
        self.guarded.breaker()
    }
}
