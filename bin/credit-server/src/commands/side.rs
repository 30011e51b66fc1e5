//! Opens a store by its kind, whichever the service works on.

use std::sync::Arc;

use anyhow::{Context, Result};
use credit_infra::embedded::EmbeddedStore;
use credit_infra::transfer::Transfer;
use serde_json::Value;

use crate::cli::Backend;
use crate::config::{Settings, Store};
use crate::exit::Failure;
use crate::wiring::{Ports, open_embedded};

/// An open store with everything that can be done to it.
pub(super) struct Side {
    pub(super) name: &'static str,
    pub(super) ports: Ports,
    pub(super) transfer: Arc<dyn Transfer>,
    held: Held,
}

enum Held {
    Embedded(Arc<EmbeddedStore>),
}

impl Side {
    /// Opens the one that the service works on, or fails.
    pub(super) async fn configured(settings: &Settings) -> Result<Self, Failure> {
        let backend = match settings.store {
            Store::Embedded => Backend::Embedded,
            Store::Mongodb(_) => Backend::Mongodb,
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
            Backend::Mongodb => Err(anyhow::anyhow!("mongodb is not in this version yet").into()),
        }
    }

    /// What only this kind of store tells of itself.
    pub(super) async fn details(&self) -> Result<Vec<(&'static str, Value)>> {
        match &self.held {
            Held::Embedded(_) => Ok(Vec::new()),
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
        }
    }
}
