//! The first admin.

use credit_api::form::Metadata;
use credit_core::ports::passwords::PasswordVerdict;
use credit_core::{AppId, Fault, Problem, Role, UserId};
use secrecy::{ExposeSecret, SecretString};

use super::{NewUser, Users, busy};
use crate::domain::{Email, NewPassword, User, Username, own_name_fault};

/// What is wrong with a first admin to be, each fault at `username`, `email` or `password`.
pub fn first_admin_faults(username: &str, email: &str, password: &SecretString) -> Vec<Fault> {
    let mut faults = Vec::new();
    if Username::parse(username).is_none() {
        let detail = "must have 3 to 32 letters, digits, dots, underscores and hyphens";
        faults.push(Fault::new("username", "invalid_format", detail));
    }
    if Email::parse(email).is_none() {
        faults.push(Fault::new("email", "invalid_format", "must be an e-mail address"));
    }
    match NewPassword::parse(password, "password") {
        Err(problem) => faults.extend_from_slice(problem.faults()),
        Ok(_) => {
            faults.extend(own_name_fault(
                "password",
                password.expose_secret(),
                [Some(username), Some(email)],
            ));
        }
    }
    faults
}

/// A new password that is hashed already.
#[derive(Debug, Clone)]
pub struct PasswordAhead {
    plain: NewPassword,
    hash: String,
}

impl Users {
    /// Whether somebody is an active admin.
    pub async fn admin_exists(&self) -> Result<bool, Problem> {
        if !self.admins().await?.0.is_empty() {
            return Ok(true);
        }
        self.list_all_admins().await?;
        Ok(!self.admins().await?.0.is_empty())
    }

    /// Whether an active admin of the default application has this name and password.
    pub async fn is_admin_with(&self, username: &str, password: &SecretString) -> Result<bool, Problem> {
        let app = self.apps.default_app().await?;
        let Some(user) = self.store.by_username(app, username).await? else { return Ok(false) };
        if !user.is_active_admin() {
            return Ok(false);
        }
        let verdict = self.passwords.verify(password.clone(), user.password_hash).await.map_err(busy)?;
        Ok(verdict != PasswordVerdict::Wrong)
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
        self.create_admin_ahead(username, email, self.hash_ahead(password).await?).await
    }

    /// Hashes a password before there is anybody to give it to: that takes long, and needs no store.
    pub async fn hash_ahead(&self, password: &SecretString) -> Result<PasswordAhead, Problem> {
        let plain = NewPassword::parse(password, "password")?;
        let hash = self.passwords.hash(password.clone()).await.map_err(busy)?;
        Ok(PasswordAhead { plain, hash })
    }

    /// Makes an admin like [`create_admin`](Self::create_admin), with a password that was hashed ahead.
    pub async fn create_admin_ahead(
        &self,
        username: &str,
        email: &str,
        password: PasswordAhead,
    ) -> Result<User, Problem> {
        let fault = |name: &str| {
            let detail = "is not valid";
            Problem::invalid(vec![credit_core::Fault::new(name, "invalid_format", detail)])
        };
        let new = NewUser {
            username: Username::parse(username).ok_or_else(|| fault("username"))?,
            email: Email::parse(email).ok_or_else(|| fault("email"))?,
            password: None,
            profile: Metadata::default(),
            roles: vec![Role::Admin],
        };
        password.plain.refuse_own_name("/password", Some(&new.username), Some(&new.email))?;
        let app: AppId = self.apps.default_app().await?;
        let user = self.insert_hashed(app, new, Some(password.hash)).await?;
        self.furnish(user).await
    }
}
