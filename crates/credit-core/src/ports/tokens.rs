//! Access tokens: signed, short-lived, verified without a look-up.

use crate::{AppId, SessionId, Timestamp, UserId};

/// What an access token says. Every claim is required.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessClaims {
    /// Its own number: no two tokens are the same, though they say the same in the same second.
    pub id: u128,
    /// The user.
    pub user: UserId,
    /// The user's application.
    pub app: AppId,
    /// The session that it belongs to.
    pub session: SessionId,
    /// When it was signed.
    pub issued_at: Timestamp,
    /// When it stops being good.
    pub expires_at: Timestamp,
}

/// The token is not good: wrong signature, form, type, audience, or its time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the access token is not valid")]
pub struct InvalidToken;

/// Signs and verifies access tokens (JWT, `EdDSA`, `typ: at+jwt`, RFC 9068).
pub trait TokenSigner: Send + Sync {
    /// Signs with the newest key.
    fn sign(&self, claims: &AccessClaims) -> String;

    /// Verifies signature, type, issuer, audience and time against every key still good.
    fn verify(&self, token: &str, now: Timestamp) -> Result<AccessClaims, InvalidToken>;

    /// The public keys as a JSON Web Key Set (RFC 7517).
    fn jwks(&self) -> serde_json::Value;

    /// Another number whenever the keys are others: what was verified under another one is verified again.
    fn generation(&self) -> u64 {
        0
    }
}
