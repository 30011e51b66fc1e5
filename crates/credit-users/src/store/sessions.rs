//! Sessions as documents.

use credit_core::ports::StoreError;
use credit_core::ports::documents::{Collection, Document, Index, IndexKeys, Key, Position, Query, Write};
use credit_core::{AppId, SessionId, Timestamp, UserId};
use serde::{Deserialize, Serialize};

use super::{decode, encode};
use crate::domain::Session;

pub(crate) static SESSIONS: Collection = Collection {
    name: "sessions",
    indexes: &[Index { name: BY_USER, unique: false }, Index { name: BY_EXPIRY, unique: false }],
};
const BY_USER: &str = "by_user";
const BY_EXPIRY: &str = "by_expiry";

#[derive(Serialize, Deserialize)]
struct SessionDocument {
    /// Of this layout.
    format: u8,
    user: UserId,
    generation: u32,
    refresh_hash: String,
    created_at: Timestamp,
    last_seen_at: Timestamp,
    address: String,
    agent: Option<String>,
    expires_at: Timestamp,
    ended: bool,
}

/// A new session.
pub(crate) fn insert(session: &Session) -> Write {
    Write::Insert {
        collection: &SESSIONS,
        id: session.id.to_string(),
        body: body(session).into(),
        keys: keys(session),
    }
}

/// The next version of a session that was read at `version`.
pub(crate) fn replace(session: &Session, version: u64) -> Write {
    Write::Replace {
        collection: &SESSIONS,
        id: session.id.to_string(),
        version,
        body: body(session).into(),
        keys: keys(session),
    }
}

/// A session that was read at `version` is forgotten.
pub(crate) fn delete(id: String, version: u64) -> Write {
    Write::Delete { collection: &SESSIONS, id, version }
}

/// The sessions of a user that were not ended, newest first.
pub(crate) fn of_user(user: UserId, after: Option<Position>, limit: usize) -> Query {
    let query = Query::new(&SESSIONS, Some(BY_USER), live_key(user), limit).descending();
    Query { after, ..query }
}

/// The sessions of a user that were ended and are still known.
pub(crate) fn ended_of_user(user: UserId, limit: usize) -> Query {
    Query::new(&SESSIONS, Some(BY_USER), ended_key(user), limit)
}

/// Sessions that expired before `now`.
pub(crate) fn expired(now: Timestamp, limit: usize) -> Query {
    let query = Query::new(&SESSIONS, Some(BY_EXPIRY), Key::empty(), limit);
    Query { until: Some(Key::number(now.sortable())), ..query }
}

/// The session in a document.
pub(crate) fn open(app: AppId, document: &Document) -> Result<Session, StoreError> {
    let kept: SessionDocument = decode(document)?;
    Ok(Session {
        id: SessionId::parse(&document.id)
            .map_err(|_| StoreError::Corrupt(format!("session {}: id", document.id)))?,
        app,
        user: kept.user,
        generation: kept.generation,
        refresh_hash: kept.refresh_hash,
        created_at: kept.created_at,
        last_seen_at: kept.last_seen_at,
        address: kept.address,
        agent: kept.agent,
        expires_at: kept.expires_at,
        ended: kept.ended,
    })
}

fn keys(session: &Session) -> IndexKeys {
    let by_user = if session.ended { ended_key(session.user) } else { live_key(session.user) };
    vec![(BY_USER, by_user), (BY_EXPIRY, Key::number(session.expires_at.sortable()))]
}

fn live_key(user: UserId) -> Key {
    Key::text("live").and_text(&user.to_string())
}

fn ended_key(user: UserId) -> Key {
    Key::text("ended").and_text(&user.to_string())
}

fn body(session: &Session) -> Vec<u8> {
    encode(&SessionDocument {
        format: 1,
        user: session.user,
        generation: session.generation,
        refresh_hash: session.refresh_hash.clone(),
        created_at: session.created_at,
        last_seen_at: session.last_seen_at,
        address: session.address.clone(),
        agent: session.agent.clone(),
        expires_at: session.expires_at,
        ended: session.ended,
    })
}
