//! Passwords kept as they are.

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};

use crate::ports::passwords::{PasswordVerdict, Passwords, PasswordsBusy};

/// Keeps `plain:` and the password; one kept as `stale:` and the password is right and to be kept anew.
#[derive(Debug, Default, Clone, Copy)]
pub struct PlainPasswords;

#[async_trait]
impl Passwords for PlainPasswords {
    async fn hash(&self, password: SecretString) -> Result<String, PasswordsBusy> {
        Ok(format!("plain:{}", password.expose_secret()))
    }

    async fn verify(
        &self,
        password: SecretString,
        kept: Option<String>,
    ) -> Result<PasswordVerdict, PasswordsBusy> {
        let Some(kept) = kept else { return Ok(PasswordVerdict::Wrong) };
        let password = password.expose_secret();
        Ok(if kept.strip_prefix("plain:") == Some(password) {
            PasswordVerdict::Right
        } else if kept.strip_prefix("stale:") == Some(password) {
            PasswordVerdict::RightButStale
        } else {
            PasswordVerdict::Wrong
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_plain_password_is_right_stale_or_wrong() {
        let kept = PlainPasswords.hash("secret".into()).await.expect("never busy");
        let cases = [
            (Some(kept), PasswordVerdict::Right),
            (Some("stale:secret".to_owned()), PasswordVerdict::RightButStale),
            (Some("plain:other".to_owned()), PasswordVerdict::Wrong),
            (None, PasswordVerdict::Wrong),
        ];
        for (kept, verdict) in cases {
            assert_eq!(PlainPasswords.verify("secret".into(), kept).await, Ok(verdict));
        }
    }
}
