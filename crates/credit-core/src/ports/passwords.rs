//! Passwords: kept as slow hashes.

use async_trait::async_trait;
use secrecy::SecretString;

/// What comparing a password told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordVerdict {
    /// It is right.
    Right,
    /// It is right, and the kept hash is weaker than what is made today: keep a new one.
    RightButStale,
    /// It is wrong.
    Wrong,
}

/// The hashing could not be done now: too many are waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords are being checked")]
pub struct PasswordsBusy;

/// Hashes and compares passwords, off the reactor, with bounded concurrency.
#[async_trait]
pub trait Passwords: Send + Sync {
    /// A new hash with a salt of its own, in PHC string form.
    async fn hash(&self, password: SecretString) -> Result<String, PasswordsBusy>;

    /// Compares with a kept hash (argon2id or bcrypt). With `None` it takes the same time and says `Wrong`, so that
    /// nobody learns from the time which accounts exist.
    async fn verify(
        &self,
        password: SecretString,
        kept: Option<String>,
    ) -> Result<PasswordVerdict, PasswordsBusy>;

    /// Whether a text that somebody else made is a hash that [`verify`](Self::verify) can compare with at a bearable
    /// cost.
    fn is_hash(&self, text: &str) -> bool {
        !text.is_empty()
    }
}
