//! Modules that are needed and not tested.

use std::sync::Arc;

use async_trait::async_trait;
use credit_core::{Health, InitialiseError, Module};

use crate::WebModule;
use crate::route::Route;

struct StandIn(&'static str);

/// Adds a stand-in for every module that these need and that is not among them.
pub(super) fn complete(modules: &mut Vec<Arc<dyn WebModule>>) {
    let needed: Vec<&'static str> =
        modules.iter().flat_map(|module| module.dependencies().iter().copied()).collect();
    for name in needed {
        if !modules.iter().any(|module| module.name() == name) {
            modules.push(Arc::new(StandIn(name)));
        }
    }
}

#[async_trait]
impl Module for StandIn {
    fn name(&self) -> &'static str {
        self.0
    }

    fn dependencies(&self) -> &'static [&'static str] {
        &[]
    }

    async fn initialise(&self) -> Result<(), InitialiseError> {
        Ok(())
    }

    async fn health(&self) -> Health {
        Health::healthy()
    }

    async fn shut_down(&self) {}
}

impl WebModule for StandIn {
    fn routes(&self) -> Vec<Arc<Route>> {
        Vec::new()
    }
}
