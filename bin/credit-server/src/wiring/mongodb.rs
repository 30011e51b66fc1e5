//! The store on `MongoDB`, from before it is reached until after it is closed.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::anyhow;
use credit_core::Health;
use credit_infra::mongodb::{ConnectError, MongoOptions, MongoStore};
use tokio::runtime::Handle;

use super::collections;
use super::late::{Late, Ports};
use super::store::refuse_unfinished_copy;
use crate::config::Mongodb;
use crate::exit::{Exit, Failure};

/// Between two attempts to reach it.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

pub(super) struct Remote {
    named: Mongodb,
    late: Arc<Late>,
    store: OnceLock<MongoStore>,
}

impl Remote {
    /// Not reached yet.
    pub(super) fn new(named: Mongodb) -> Self {
        Self { named, late: Arc::new(Late::new()), store: OnceLock::new() }
    }

    /// They answer that the store is unavailable until it is reached.
    pub(super) fn ports(&self) -> Ports {
        Ports { documents: self.late.clone(), journal: self.late.clone() }
    }

    /// Reaches it, once, or says why not.
    pub(super) async fn open(&self, runtime: &Handle) -> Result<(), Failure> {
        match self.connect(runtime).await {
            Ok(store) => self.take(store).await,
            Err(error) => Err(Failure::new(Exit::Store, error)),
        }
    }

    /// Reaches it, as often as it takes. It fails if trying again does not help: somebody has to mend something.
    pub(super) async fn reach(&self, runtime: &Handle) -> Result<(), Failure> {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.connect(runtime).await {
                Ok(store) => return self.take(store).await,
                Err(error) if error.is_retryable() => {
                    let why = error.to_string();
                    tracing::warn!(why, "the store is not reached yet; it is tried again until it is");
                    self.late.note(why);
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                Err(error) => {
                    self.late.note(error.to_string());
                    return Err(Failure::new(Exit::Store, error));
                }
            }
        }
    }

    async fn connect(&self, runtime: &Handle) -> Result<MongoStore, ConnectError> {
        // Its connections live where this runs, longer than any worker of the web.
        let connecting = runtime.spawn(MongoStore::connect(options(&self.named)));
        connecting.await.unwrap_or_else(|broken_off| {
            Err(ConnectError::Unreachable { seconds: 0, why: broken_off.to_string() })
        })
    }

    async fn take(&self, store: MongoStore) -> Result<(), Failure> {
        refuse_unfinished_copy(&store).await?;
        self.late.fill(Ports { documents: store.documents(), journal: store.journal() });
        self.store.set(store).map_err(|_| anyhow!("the store was opened twice"))?;
        Ok(())
    }

    /// Why it is not reached yet, if it is not.
    pub(super) fn waits_for(&self) -> Option<String> {
        self.store.get().is_none().then(|| self.late.why())
    }

    /// Asks whether it answers.
    pub(super) async fn check(&self) -> Health {
        let Some(store) = self.store.get() else { return Health::unhealthy(self.late.why()) };
        match store.ping().await {
            Ok(()) => Health::healthy(),
            Err(error) => Health::unhealthy(error.to_string()),
        }
    }

    pub(super) async fn close(&self) {
        if let Some(store) = self.store.get() {
            store.close().await;
        }
    }
}

/// What every module keeps, in the place of the configuration.
pub(crate) fn options(named: &Mongodb) -> MongoOptions {
    let options = MongoOptions::new(named.uri.clone(), named.database.as_str(), collections::all());
    MongoOptions { pinned_store_id: named.store_id, ..options }
}

/// Opens the store on `MongoDB` for a command, on the runtime that this is called on.
pub(crate) async fn open(named: &Mongodb) -> Result<MongoStore, Failure> {
    MongoStore::connect(options(named)).await.map_err(|error| Failure::new(Exit::Store, error))
}
