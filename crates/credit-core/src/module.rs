//! What a module is to the house.

use std::sync::Arc;

use async_trait::async_trait;

use crate::Job;

/// How well something works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthState {
    /// Everything works.
    Healthy,
    /// It works, with something missing.
    Degraded,
    /// It does not work.
    Unhealthy,
}

/// A health report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// How well.
    pub state: HealthState,
    /// Why, for operators. No secrets.
    pub detail: Option<String>,
}

impl Health {
    /// Everything works.
    pub const fn healthy() -> Self {
        Self { state: HealthState::Healthy, detail: None }
    }

    /// It does not work, because.
    pub fn unhealthy(why: impl Into<String>) -> Self {
        Self { state: HealthState::Unhealthy, detail: Some(why.into()) }
    }

    /// It works with something missing.
    pub fn degraded(why: impl Into<String>) -> Self {
        Self { state: HealthState::Degraded, detail: Some(why.into()) }
    }
}

/// A module could not be initialised.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct InitialiseError(pub String);

/// A part of the house with its own rooms. The module manager in `credit-api` discovers, orders, initialises and
/// watches modules, and `credit_api::WebModule` adds the routes.
///
/// A module that fails degrades its own routes and not the house.
#[async_trait]
pub trait Module: Send + Sync {
    /// The stable name, for example `wallet_module`.
    fn name(&self) -> &'static str;

    /// The names of the modules that must be initialised before.
    fn dependencies(&self) -> &'static [&'static str];

    /// Prepares stores and starts background work. May be called again after it failed.
    async fn initialise(&self) -> Result<(), InitialiseError>;

    /// How it is now. Quick; must not wait for anything slower than a second.
    async fn health(&self) -> Health;

    /// What it does unasked. The same every time.
    fn jobs(&self) -> Vec<Arc<dyn Job>> {
        Vec::new()
    }

    /// Finishes what is in flight and stops background work.
    async fn shut_down(&self);
}
