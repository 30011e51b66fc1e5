//! Callers by name.

use std::collections::HashMap;

use async_trait::async_trait;
use credit_core::{ApiKeyId, AppId, Principal, Role, Scope, SessionId, UserId};
use parking_lot::Mutex;

use crate::front_door::{AuthFailure, Authenticator};

/// Knows the credentials that it was told, and no others.
#[derive(Default)]
pub struct TestAuthenticator(Mutex<HashMap<String, Principal>>);

impl TestAuthenticator {
    /// Who shows this credential is this caller from now on.
    pub fn learn(&self, credential: &str, principal: Principal) {
        self.0.lock().insert(credential.to_owned(), principal);
    }

    /// Who shows this credential is nobody from now on.
    pub fn forget(&self, credential: &str) {
        self.0.lock().remove(credential);
    }

    /// [`learn`](Self::learn)s a user with these roles beside `user`.
    pub fn learn_user(&self, credential: &str, app: AppId, user: UserId, roles: &[Role]) {
        let roles = std::iter::once(Role::User).chain(roles.iter().copied()).collect();
        self.learn(credential, Principal::User { app, user, session: SessionId::from_u128(1), roles });
    }

    /// [`learn`](Self::learn)s an application's key with these scopes.
    pub fn learn_key(&self, credential: &str, app: AppId, scopes: &[Scope]) {
        let key = ApiKeyId::from_u128(1);
        self.learn(credential, Principal::Application { app, key, scopes: scopes.to_vec() });
    }
}

#[async_trait]
impl Authenticator for TestAuthenticator {
    async fn authenticate(&self, credential: &str) -> Result<Principal, AuthFailure> {
        self.0.lock().get(credential).cloned().ok_or(AuthFailure::Invalid)
    }
}
