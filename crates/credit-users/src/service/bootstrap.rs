//! The first admin.

use credit_api::form::Metadata;
use credit_core::{AppId, Problem, Role, UserId};
use secrecy::SecretString;

use super::{NewUser, Users};
use crate::domain::{Email, NewPassword, User, Username};

impl Users {
    /// Whether somebody is an active admin.
    pub async fn admin_exists(&self) -> Result<bool, Problem> {
        if !self.admins().await?.0.is_empty() {
            return Ok(true);
        }
        self.list_all_admins().await?;
        Ok(!self.admins().await?.0.is_empty())
    }

    /// Makes an admin in the default application where there is none anywhere, and answers its id. Of several processes
    /// that do it at once with one name, one does.
    pub async fn ensure_first_admin(
        &self,
        username: &str,
        email: &str,
        password: &SecretString,
    ) -> Result<Option<UserId>, Problem> {
        if self.admin_exists().await? {
            return Ok(None);
        }
        match self.create_admin(username, email, password).await {
            Ok(admin) => Ok(Some(admin.id)),
            Err(_) if self.admin_exists().await? => Ok(None),
            Err(problem) => Err(problem),
        }
    }

    /// Makes an admin in the default application: `422 validation_failed`, `409 username_taken` or `email_taken`.
    pub async fn create_admin(
        &self,
        username: &str,
        email: &str,
        password: &SecretString,
    ) -> Result<User, Problem> {
        let fault = |name: &str| {
            let detail = "is not valid";
            Problem::invalid(vec![credit_core::Fault::new(name, "invalid_format", detail)])
        };
        let new = NewUser {
            username: Username::parse(username).ok_or_else(|| fault("username"))?,
            email: Email::parse(email).ok_or_else(|| fault("email"))?,
            password: Some(NewPassword::parse(password, "password")?),
            profile: Metadata::default(),
            roles: vec![Role::Admin],
        };
        let app: AppId = self.apps.default_app().await?;
        self.create(app, new).await
    }
}
