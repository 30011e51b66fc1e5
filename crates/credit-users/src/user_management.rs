//! The module itself.

use std::sync::Arc;

use async_trait::async_trait;
use credit_api::WebModule;
use credit_api::route::Route;
use credit_core::{Health, InitialiseError, Job, Module};

use crate::service::{Users, UsersParts};
use crate::{jobs, routes};

/// `user_management`: who may come in, and who they are.
pub struct UsersModule {
    users: Arc<Users>,
}

impl UsersModule {
    /// The module from its parts.
    pub fn new(parts: UsersParts) -> Self {
        Self { users: Arc::new(Users::new(parts)) }
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

    /// Makes sure that the store answers.
    async fn initialise(&self) -> Result<(), InitialiseError> {
        let answered = self.users.apps.default_app().await;
        answered.map(|_| ()).map_err(|problem| InitialiseError(problem.to_string()))
    }

    async fn health(&self) -> Health {
        Health::healthy()
    }

    fn jobs(&self) -> Vec<Arc<dyn Job>> {
        jobs::all(&self.users)
    }

    async fn shut_down(&self) {}
}

impl WebModule for UsersModule {
    fn about(&self) -> &'static str {
        "Registration, login, sessions, users and their roles."
    }

    fn routes(&self) -> Vec<Arc<Route>> {
        routes::table(&self.users)
    }
}
