//! What is answered.

use std::collections::BTreeMap;

use credit_core::{AppId, Role, SessionId, Timestamp, UserId};
use secrecy::ExposeSecret;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain;
use crate::domain::Status;
use crate::service::Tokens;

/// A user. Of a deleted one the personal fields are null.
#[derive(Serialize, ToSchema)]
#[schema(as = User)]
pub(super) struct UserAnswer {
    #[schema(value_type = String, example = "usr_019aabbccddeeff0123456789abcdef0")]
    id: UserId,
    #[schema(value_type = String)]
    app_id: AppId,
    #[schema(required)]
    username: Option<String>,
    #[schema(required)]
    email: Option<String>,
    status: Status,
    #[schema(value_type = Vec<String>)]
    roles: Vec<Role>,
    /// Flat pairs of text.
    #[schema(required)]
    profile: Option<BTreeMap<String, String>>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    version: u64,
}

impl From<domain::User> for UserAnswer {
    fn from(user: domain::User) -> Self {
        Self {
            id: user.id,
            app_id: user.app,
            username: user.username.map(|name| name.as_str().to_owned()),
            email: user.email.map(|email| email.as_str().to_owned()),
            status: user.status,
            roles: user.roles,
            profile: user.profile.map(|profile| profile.0),
            created_at: user.created_at,
            updated_at: user.updated_at,
            version: user.version,
        }
    }
}

/// A login session.
#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
pub(super) struct SessionAnswer {
    #[schema(value_type = String, example = "ses_019aabbccddeeff0123456789abcdef0")]
    id: SessionId,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it last got tokens: late by the life of an access token at most.
    #[schema(value_type = String, format = DateTime)]
    last_seen_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// Where it logged in from.
    address: String,
    /// `User-Agent`, then.
    #[schema(required)]
    agent: Option<String>,
    /// Whether it is the one that asks.
    current: bool,
}

impl SessionAnswer {
    pub(super) fn new(session: domain::Session, asking: SessionId) -> Self {
        Self {
            current: session.id == asking,
            id: session.id,
            created_at: session.created_at,
            last_seen_at: session.last_seen_at,
            expires_at: session.expires_at,
            address: session.address,
            agent: session.agent,
        }
    }
}

/// Who asks.
#[derive(Serialize, ToSchema)]
#[schema(as = Me)]
pub(super) struct MeAnswer {
    pub(super) user: UserAnswer,
    pub(super) session: SessionAnswer,
}

/// A pair of tokens.
#[derive(Serialize, ToSchema)]
#[schema(as = Tokens)]
pub(super) struct TokensAnswer {
    /// For `Authorization: Bearer …`.
    access_token: String,
    /// For a new pair, once.
    refresh_token: String,
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// How long the access token is good, in seconds.
    expires_in: i64,
}

impl From<Tokens> for TokensAnswer {
    fn from(tokens: Tokens) -> Self {
        Self {
            access_token: tokens.access.expose_secret().to_owned(),
            refresh_token: tokens.refresh.expose_secret().to_owned(),
            token_type: "Bearer",
            expires_in: tokens.expires_in_seconds,
        }
    }
}

/// A new user with its first pair of tokens.
#[derive(Serialize, ToSchema)]
#[schema(as = Registration)]
pub(super) struct RegistrationAnswer {
    pub(super) user: UserAnswer,
    #[serde(flatten)]
    pub(super) tokens: TokensAnswer,
}
