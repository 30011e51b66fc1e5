//! API keys: until when which of their secrets is good.

use credit_core::{ApiKeyId, AppId, Scope, Timestamp};
use serde::{Deserialize, Serialize};

/// The keyed hash of a secret: all that is kept of it.
pub(crate) type SecretHash = [u8; 32];

/// An API key as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptKey {
    pub(crate) id: ApiKeyId,
    pub(crate) app_id: AppId,
    pub(crate) name: String,
    pub(crate) scopes: Vec<Scope>,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) created_at: Timestamp,
    pub(crate) secret: SecretHash,
    pub(crate) old_secrets: Vec<OldSecret>,
    /// Under which key of ours the secret was hashed; empty where that was not noted yet.
    #[serde(default)]
    pub(crate) hashed_under: String,
}

/// A secret that was rotated out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OldSecret {
    pub(crate) secret: SecretHash,
    /// The first instant at which it is not good any more.
    pub(crate) until: Timestamp,
}

impl KeptKey {
    /// The first instant at which this secret of the key is not good any more: `Some(None)` is never, `None` means
    /// that it is not a secret of this key.
    #[expect(clippy::option_option, reason = "outer: a secret of this key; inner: it ends")]
    pub(crate) fn good_until(&self, secret: &SecretHash) -> Option<Option<Timestamp>> {
        if self.secret == *secret {
            return Some(self.expires_at);
        }
        let old = self.old_secrets.iter().find(|old| old.secret == *secret)?;
        Some(Some(self.expires_at.map_or(old.until, |end| end.min(old.until))))
    }

    /// The key with another hash of one of its secrets, under the key of ours that is the newest.
    pub(crate) fn rehashed(mut self, old: &SecretHash, new: SecretHash, under: &str) -> Self {
        if self.secret == *old {
            self.secret = new;
            under.clone_into(&mut self.hashed_under);
        }
        for kept in self.old_secrets.iter_mut().filter(|kept| kept.secret == *old) {
            kept.secret = new;
        }
        self
    }

    /// The key with a new secret; the present one stays good for the grace.
    pub(crate) fn rotated(
        mut self,
        secret: SecretHash,
        under: &str,
        now: Timestamp,
        grace_seconds: i64,
    ) -> Self {
        self.old_secrets.retain(|old| old.until > now);
        self.old_secrets.push(OldSecret { secret: self.secret, until: now.plus_seconds(grace_seconds) });
        self.secret = secret;
        under.clone_into(&mut self.hashed_under);
        self
    }

    /// Every secret that is kept.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &SecretHash> {
        std::iter::once(&self.secret).chain(self.old_secrets.iter().map(|old| &old.secret))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    fn key(expires_at: Option<Timestamp>) -> KeptKey {
        KeptKey {
            id: ApiKeyId::from_u128(1),
            app_id: AppId::from_u128(2),
            name: "till".into(),
            scopes: vec![Scope::WalletsRead],
            expires_at,
            created_at: NOW,
            secret: [1; 32],
            old_secrets: Vec::new(),
            hashed_under: "k1".into(),
        }
    }

    #[test]
    fn a_rotated_secret_lives_for_the_grace_and_never_longer_than_its_key() {
        let rotated = key(None).rotated([2; 32], "k1", NOW, 60);
        assert_eq!(rotated.good_until(&[2; 32]), Some(None));
        assert_eq!(rotated.good_until(&[1; 32]), Some(Some(NOW.plus_seconds(60))));
        assert_eq!(rotated.good_until(&[3; 32]), None);

        let ending = key(Some(NOW.plus_seconds(5))).rotated([2; 32], "k1", NOW, 60);
        assert_eq!(ending.good_until(&[1; 32]), Some(Some(NOW.plus_seconds(5))));
    }

    #[test]
    fn a_secret_that_is_hashed_again_is_good_as_long_as_before() {
        let rotated = key(None).rotated([2; 32], "k1", NOW, 60);
        let again = rotated.clone().rehashed(&[2; 32], [12; 32], "k2");
        assert_eq!(again.good_until(&[12; 32]), Some(None));
        assert_eq!((again.good_until(&[2; 32]), again.hashed_under.as_str()), (None, "k2"));
        let old = rotated.rehashed(&[1; 32], [11; 32], "k2");
        assert_eq!(old.good_until(&[11; 32]), Some(Some(NOW.plus_seconds(60))));
        assert_eq!(old.hashed_under, "k1", "the present secret is as it was");
    }

    #[test]
    fn rotating_twice_keeps_what_still_lives_and_forgets_the_rest() {
        let twice =
            key(None).rotated([2; 32], "k1", NOW, 60).rotated([3; 32], "k1", NOW.plus_seconds(59), 60);
        assert_eq!(twice.secrets().count(), 3);
        let later = twice.rotated([4; 32], "k1", NOW.plus_seconds(60), 60);
        assert_eq!(later.good_until(&[1; 32]), None);
        assert_eq!(later.good_until(&[2; 32]), Some(Some(NOW.plus_seconds(119))));
    }
}
