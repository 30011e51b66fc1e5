//! Who calls, and who did it.

use serde::{Deserialize, Serialize};

use crate::{ApiKeyId, AppId, SessionId, UserId};

/// What a user may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Sees and moves its own.
    User,
    /// Reads all; may suspend users and freeze wallets.
    Support,
    /// Acts across applications.
    Admin,
}

/// What an API key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Scope {
    #[serde(rename = "users:read")]
    UsersRead,
    #[serde(rename = "users:write")]
    UsersWrite,
    #[serde(rename = "wallets:read")]
    WalletsRead,
    #[serde(rename = "wallets:write")]
    WalletsWrite,
    #[serde(rename = "transactions:read")]
    TransactionsRead,
    #[serde(rename = "transactions:write")]
    TransactionsWrite,
    #[serde(rename = "webhooks:write")]
    WebhooksWrite,
}

impl Scope {
    /// All scopes with their texts.
    pub const ALL: [(Self, &'static str); 7] = [
        (Self::UsersRead, "users:read"),
        (Self::UsersWrite, "users:write"),
        (Self::WalletsRead, "wallets:read"),
        (Self::WalletsWrite, "wallets:write"),
        (Self::TransactionsRead, "transactions:read"),
        (Self::TransactionsWrite, "transactions:write"),
        (Self::WebhooksWrite, "webhooks:write"),
    ];

    /// The text form.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(scope, _)| *scope == self).map_or("", |(_, text)| text)
    }

    /// From the text form.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, name)| *name == text).map(|(scope, _)| *scope)
    }
}

/// A known caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// A user with a token; an operator if its roles say so.
    User {
        /// Its application.
        app: AppId,
        /// Itself.
        user: UserId,
        /// The session of its token.
        session: SessionId,
        /// What it may be.
        roles: Vec<Role>,
    },
    /// An application with an API key.
    Application {
        /// The application.
        app: AppId,
        /// The key.
        key: ApiKeyId,
        /// What the key may do.
        scopes: Vec<Scope>,
    },
}

impl Principal {
    /// The application that the caller belongs to.
    pub fn app(&self) -> AppId {
        match self {
            Self::User { app, .. } | Self::Application { app, .. } => *app,
        }
    }

    /// Whether it is a user with this role.
    pub fn has_role(&self, role: Role) -> bool {
        matches!(self, Self::User { roles, .. } if roles.contains(&role))
    }

    /// Whether it is an operator: support or admin.
    pub fn is_operator(&self) -> bool {
        self.has_role(Role::Support) || self.has_role(Role::Admin)
    }

    /// Whether it is an admin.
    pub fn is_admin(&self) -> bool {
        self.has_role(Role::Admin)
    }

    /// Whether it is an application whose key has this scope.
    pub fn has_scope(&self, scope: Scope) -> bool {
        matches!(self, Self::Application { scopes, .. } if scopes.contains(&scope))
    }

    /// Who it is, for the record.
    pub fn actor(&self) -> Actor {
        match self {
            Self::User { user, .. } => Actor::User(*user),
            Self::Application { key, .. } => Actor::ApiKey(*key),
        }
    }
}

/// Who did something: `created_by` on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Actor {
    /// A user.
    User(UserId),
    /// An application, by its key.
    ApiKey(ApiKeyId),
    /// The service itself, for example when credits expire.
    System,
}

impl std::fmt::Display for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::User(id) => id.fmt(f),
            Self::ApiKey(id) => id.fmt(f),
            Self::System => f.write_str("system"),
        }
    }
}

#[derive(Serialize, Deserialize)]
enum ActorTag {
    User(UserId),
    ApiKey(ApiKeyId),
    System,
}

impl Serialize for Actor {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.collect_str(self);
        }
        match self {
            Self::User(id) => ActorTag::User(*id),
            Self::ApiKey(id) => ActorTag::ApiKey(*id),
            Self::System => ActorTag::System,
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Actor {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
            return match &*text {
                "system" => Ok(Self::System),
                text if text.starts_with(UserId::PREFIX) => {
                    UserId::parse(text).map(Self::User).map_err(serde::de::Error::custom)
                }
                text => ApiKeyId::parse(text).map(Self::ApiKey).map_err(serde::de::Error::custom),
            };
        }
        Ok(match ActorTag::deserialize(deserializer)? {
            ActorTag::User(id) => Self::User(id),
            ActorTag::ApiKey(id) => Self::ApiKey(id),
            ActorTag::System => Self::System,
        })
    }
}
