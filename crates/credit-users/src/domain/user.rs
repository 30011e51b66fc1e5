//! Users.

use credit_api::form::{Metadata, NamedValue};
use credit_core::{AppId, Role, Timestamp, UserId};
use serde::{Deserialize, Serialize};

use super::{Email, Username};

/// What has become of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = UserStatus)]
pub enum Status {
    /// May log in.
    Active,
    /// May not, until it is reactivated.
    Suspended,
    /// Its personal fields are erased; what it did stays.
    Deleted,
}

impl NamedValue for Status {
    const NAMES: &'static [(Self, &'static str)] =
        &[(Self::Active, "active"), (Self::Suspended, "suspended"), (Self::Deleted, "deleted")];
}
credit_api::named_value!(Status);

impl Status {
    /// The text form.
    pub(crate) fn as_str(self) -> &'static str {
        Self::NAMES.iter().find(|(status, _)| *status == self).map_or("", |(_, text)| text)
    }
}

/// A user of one application. Not printable: it carries a person and a password hash.
#[derive(Clone)]
pub struct User {
    /// Whose.
    pub app: AppId,
    /// Which.
    pub id: UserId,
    /// `None` once it is deleted, as with the other personal fields.
    pub username: Option<Username>,
    /// Encrypted at rest.
    pub email: Option<Email>,
    /// What the application keeps of it: flat pairs of text, bounded like metadata. Encrypted at rest.
    pub profile: Option<Metadata>,
    /// In PHC string form; without one nobody can log in.
    pub(crate) password_hash: Option<String>,
    /// What has become of it.
    pub status: Status,
    /// In the order user, support, admin.
    pub roles: Vec<Role>,
    /// Since when.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Counts changes from 1.
    pub version: u64,
}

impl User {
    /// Whether it is an admin that can act.
    pub fn is_active_admin(&self) -> bool {
        self.status == Status::Active && self.roles.contains(&Role::Admin)
    }

    /// The same user without a person behind it.
    pub(crate) fn erased(&self, now: Timestamp) -> Self {
        Self {
            username: None,
            email: None,
            profile: None,
            password_hash: None,
            status: Status::Deleted,
            roles: Vec::new(),
            updated_at: now,
            ..self.clone()
        }
    }
}
