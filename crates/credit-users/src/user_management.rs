//! The module itself.

use std::sync::Arc;

use async_trait::async_trait;
use credit_api::WebModule;
use credit_api::route::Route;
use credit_core::{Health, InitialiseError, Module};
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use crate::service::{Users, UsersParts};
use crate::{jobs, routes};

/// `user_management`: who may come in, and who they are.
pub struct UsersModule {
    users: Arc<Users>,
    tidying: Mutex<Option<JoinHandle<()>>>,
}

impl UsersModule {
    /// The module from its parts.
    pub fn new(parts: UsersParts) -> Self {
        Self { users: Arc::new(Users::new(parts)), tidying: Mutex::new(None) }
    }

    /// What it can do: also the authenticator of access tokens for the front door.
    pub fn users(&self) -> Arc<Users> {
        self.users.clone()
    }
}

#[async_trait]
impl Module for UsersModule {
    fn name(&self) -> &'static str {
        "user_management"
    }

    fn dependencies(&self) -> &'static [&'static str] {
        &["connection_api"]
    }

    /// Makes sure that the store answers and starts tidying up.
    async fn initialise(&self) -> Result<(), InitialiseError> {
        self.users.apps.default_app().await.map_err(|problem| InitialiseError(problem.to_string()))?;
        let before = self.tidying.lock().replace(jobs::start(self.users.clone()));
        if let Some(before) = before {
            before.abort();
        }
        Ok(())
    }

    async fn health(&self) -> Health {
        match &*self.tidying.lock() {
            Some(tidying) if tidying.is_finished() => Health::degraded("nobody tidies up"),
            _ => Health::healthy(),
        }
    }

    async fn shut_down(&self) {
        if let Some(tidying) = self.tidying.lock().take() {
            tidying.abort();
        }
    }
}

impl WebModule for UsersModule {
    fn about(&self) -> &'static str {
        "Registration, login, sessions, users and their roles."
    }

    fn routes(&self) -> Vec<Arc<Route>> {
        routes::table(&self.users)
    }
}
