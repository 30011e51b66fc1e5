//! Login sessions.

use credit_core::{AppId, SessionId, Timestamp, UserId};

/// One login of a user: a family of refresh tokens of which the newest one is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Session {
    /// Which.
    pub(crate) id: SessionId,
    /// In which application.
    pub(crate) app: AppId,
    /// Whose.
    pub(crate) user: UserId,
    /// The number of the refresh token that is good now; every token with a smaller one is spent.
    pub(crate) generation: u32,
    /// The keyed hash of that token.
    pub(crate) refresh_hash: String,
    /// Since when.
    pub(crate) created_at: Timestamp,
    /// When tokens were last given out for it: late by the life of an access token at most.
    pub(crate) last_seen_at: Timestamp,
    /// Where from, then.
    pub(crate) address: String,
    /// `User-Agent`, then.
    pub(crate) agent: Option<String>,
    /// Until when the refresh token is good.
    pub(crate) expires_at: Timestamp,
    /// Logged out, or ended for another reason. Kept until it expires, to know its spent tokens by.
    pub(crate) ended: bool,
}

impl Session {
    /// Whether its tokens are good.
    pub(crate) fn is_live(&self, now: Timestamp) -> bool {
        !self.ended && now < self.expires_at
    }
}
