//! Sessions and blocked logins that were seen lately, so that the store is not asked each time.
//!
//! The store stays the truth. What it said is believed for less than a second from before it was asked, wherever it is
//! kept meanwhile: so a session that ends stops everywhere within a second, also if nobody could be told. A blocked
//! counter can be believed as long as it is blocked, since nothing unblocks it before.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use credit_core::ports::cache::Cache;
use credit_core::{AppId, Role, SessionId, Timestamp, UserId};
use serde::{Deserialize, Serialize};

/// The contract promises a second.
const BELIEVED_FOR: Duration = Duration::from_millis(750);

/// What is kept beside the store, if anything is.
#[derive(Clone)]
pub(super) struct Seen(Option<Arc<dyn Cache>>);

/// A session that was live, and whose user was active.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct LiveSession {
    pub(super) user: UserId,
    pub(super) roles: Vec<Role>,
    pub(super) expires_at: Timestamp,
}

impl Seen {
    pub(super) fn new(cache: Option<Arc<dyn Cache>>) -> Self {
        Self(cache)
    }

    /// Whether anything is remembered at all.
    pub(super) fn is_any(&self) -> bool {
        self.0.is_some()
    }

    pub(super) async fn session(&self, app: AppId, id: SessionId) -> Option<LiveSession> {
        let kept = self.0.as_ref()?.get(&session_key(app, id)).await;
        count("session", kept.is_some());
        serde_json::from_slice(&kept?).ok()
    }

    /// A session that the store called live when it was asked at `since`. Those of operators are not remembered: what
    /// they may do is asked of the store each time.
    pub(super) async fn note_session(
        &self,
        app: AppId,
        id: SessionId,
        session: &LiveSession,
        since: Instant,
    ) {
        let Some(cache) = &self.0 else { return };
        if session.roles.iter().any(|role| *role != Role::User) {
            return;
        }
        let body = serde_json::to_vec(session).expect("our own type always has a JSON form");
        cache.put(&session_key(app, id), body.into(), since, BELIEVED_FOR).await;
    }

    /// A session has ended: not to be believed any more, as far as this reaches.
    pub(super) async fn forget_session(&self, app: AppId, id: SessionId) {
        if let Some(cache) = &self.0 {
            cache.remove(&session_key(app, id)).await;
        }
    }

    /// Until when a counter of failed logins is known to be full.
    pub(super) async fn blocked_until(&self, counter: &str) -> Option<Timestamp> {
        let kept = self.0.as_ref()?.get(&block_key(counter)).await;
        count("login_block", kept.is_some());
        std::str::from_utf8(&kept?).ok()?.parse().ok().map(Timestamp::from_millis)
    }

    pub(super) async fn note_block(&self, counter: &str, now: Timestamp, until: Timestamp) {
        let Some(cache) = &self.0 else { return };
        let length = Duration::from_millis(u64::try_from(until.millis_since(now)).unwrap_or(0));
        let body = Bytes::from(until.millis().to_string());
        cache.put(&block_key(counter), body, Instant::now(), length).await;
    }
}

fn session_key(app: AppId, id: SessionId) -> String {
    format!("session|{app}|{id}")
}

fn block_key(counter: &str) -> String {
    format!("login|{counter}")
}

fn count(what: &'static str, is_hit: bool) {
    let outcome = if is_hit { "hit" } else { "miss" };
    metrics::counter!("credit_cache_reads_total", "what" => what, "outcome" => outcome).increment(1);
}
