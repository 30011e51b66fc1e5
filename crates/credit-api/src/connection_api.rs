//! The module itself.

use std::sync::Arc;

use async_trait::async_trait;
use credit_core::{Health, InitialiseError, Jobs, Module};

use crate::WebModule;
use crate::manager::House;
use crate::ports::{HealthProbe, LedgerAudit, LogLevel, Profiles};
use crate::route::Route;
use crate::routes;
use crate::service::{ApiKeys, Apps, Watchman};

/// `connection_api`: tells how the house is and what it can do, and keeps applications and API keys.
pub struct ConnectionApi {
    desk: Arc<Desk>,
}

/// What [`ConnectionApi`] needs.
pub struct ConnectionApiParts {
    /// The name of the product, for `GET /`.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// What the module manager knows.
    pub house: Arc<House>,
    /// The applications.
    pub apps: Arc<Apps>,
    /// The API keys.
    pub api_keys: Arc<ApiKeys>,
    /// The dependencies of the house.
    pub probes: Vec<Arc<dyn HealthProbe>>,
    /// The ledger, unless it was left out of the house.
    pub ledger: Option<Arc<dyn LedgerAudit>>,
    /// The background jobs, where somebody runs them.
    pub jobs: Option<Arc<dyn Jobs>>,
    /// What is logged, where that can be changed.
    pub log: Option<Arc<dyn LogLevel>>,
    /// A look into the process, where that is switched on.
    pub profiles: Option<Arc<dyn Profiles>>,
}

/// What its routes work with.
pub(crate) struct Desk {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    pub(crate) house: Arc<House>,
    pub(crate) apps: Arc<Apps>,
    pub(crate) api_keys: Arc<ApiKeys>,
    pub(crate) watchman: Watchman,
    pub(crate) ledger: Option<Arc<dyn LedgerAudit>>,
    pub(crate) jobs: Option<Arc<dyn Jobs>>,
    pub(crate) log: Option<Arc<dyn LogLevel>>,
    pub(crate) profiles: Option<Arc<dyn Profiles>>,
}

impl ConnectionApi {
    /// The module from its parts.
    pub fn new(parts: ConnectionApiParts) -> Self {
        let desk = Desk {
            name: parts.name,
            version: parts.version,
            house: parts.house.clone(),
            apps: parts.apps,
            api_keys: parts.api_keys,
            watchman: Watchman::new(parts.probes, parts.house),
            ledger: parts.ledger,
            jobs: parts.jobs,
            log: parts.log,
            profiles: parts.profiles,
        };
        Self { desk: Arc::new(desk) }
    }
}

#[async_trait]
impl Module for ConnectionApi {
    fn name(&self) -> &'static str {
        "connection_api"
    }

    fn dependencies(&self) -> &'static [&'static str] {
        &[]
    }

    /// Makes sure that the default application is there.
    async fn initialise(&self) -> Result<(), InitialiseError> {
        match self.desk.apps.default_app().await {
            Ok(_) => Ok(()),
            Err(problem) => Err(InitialiseError(problem.to_string())),
        }
    }

    async fn health(&self) -> Health {
        Health::healthy()
    }

    async fn shut_down(&self) {}
}

impl WebModule for ConnectionApi {
    fn about(&self) -> &'static str {
        "How the house is and what it can do; applications, API keys and the audit of the ledger."
    }

    fn routes(&self) -> Vec<Arc<Route>> {
        routes::table(&self.desk)
    }
}
