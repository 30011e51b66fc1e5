//! Opens a store by its kind, whichever the service works on.

use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use credit_infra::embedded::EmbeddedStore;
use credit_infra::mongodb::MongoStore;
use credit_infra::transfer::Transfer;

use crate::cli::Backend;
use crate::config::{Mongodb, Settings, Store};
use crate::exit::{Exit, Failure};
use crate::wiring::{Ports, mongodb, open_embedded};

/// An open store with everything that can be done to it.
pub(super) struct Side {
    pub(super) name: &'static str,
    pub(super) ports: Ports,
    pub(super) transfer: Arc<dyn Transfer>,
    held: Held,
}

enum Held {
    Embedded(Arc<EmbeddedStore>),
    Mongodb(Arc<MongoStore>),
}

impl Side {
    /// Opens the one that the service works on, or fails.
    pub(super) async fn configured(settings: &Settings) -> Result<Self, Failure> {
        let backend = match settings.store {
            Store::Embedded => Backend::Embedded,
            Store::Mongodb => Backend::Mongodb,
        };
        Self::open(settings, backend).await
    }

    /// Opens it, or fails.
    pub(super) async fn open(settings: &Settings, backend: Backend) -> Result<Self, Failure> {
        match backend {
            Backend::Embedded => {
                let store = Arc::new(open_embedded(settings)?);
                let ports = Ports { documents: store.documents(), journal: store.journal() };
                Ok(Self { name: "embedded", ports, transfer: store.clone(), held: Held::Embedded(store) })
            }
            Backend::Mongodb => {
                let store = Arc::new(mongodb::open(named(settings)?).await?);
                let ports = Ports { documents: store.documents(), journal: store.journal() };
                Ok(Self { name: "mongodb", ports, transfer: store.clone(), held: Held::Mongodb(store) })
            }
        }
    }

    /// Writes what waits and closes it.
    pub(super) async fn close(self) -> Result<()> {
        drop((self.ports, self.transfer));
        match self.held {
            Held::Embedded(store) => {
                let store = Arc::into_inner(store).context("the store is still in use")?;
                store.close().context("the store cannot be closed")
            }
            Held::Mongodb(store) => {
                store.close().await;
                Ok(())
            }
        }
    }
}

/// Where `MongoDB` is.
pub(super) fn named(settings: &Settings) -> Result<&Mongodb, Failure> {
    let missing = || anyhow!("store.mongodb.uri is missing; it says where the MongoDB is");
    settings.mongodb.as_ref().ok_or_else(|| Failure::new(Exit::Configuration, missing()))
}
