//! The keys that the house works with, and letting others take their place while it works.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use credit_core::ports::tokens::TokenSigner;
use credit_infra::hashing::HmacKeyedHash;
use credit_infra::rotating::Rotating;
use credit_infra::sealing::FernetSealer;
use credit_infra::tokens::JwtSigner;
use parking_lot::Mutex;

use crate::config::KeyMaterial;
use crate::secrets::Secrets;

/// For whom access tokens are.
const AUDIENCE: &str = "credit-api";

/// What has keys in it.
pub(crate) struct KeyRing {
    pub(super) index: Arc<Rotating<HmacKeyedHash>>,
    pub(super) cursor: Arc<Rotating<HmacKeyedHash>>,
    pub(super) sealer: Arc<Rotating<FernetSealer>>,
    pub(super) signer: Arc<Rotating<JwtSigner>>,
    issuer: String,
    /// How long a key that is new here is only accepted before it signs, seals and finds: until every other process on
    /// the same store has read it too.
    stage: Duration,
    now: Mutex<Present>,
}

/// Which keys there are, and in what order they are worked with.
struct Present {
    /// As they were read last.
    read: Secrets,
    /// As they are worked with: the same, but for keys that others may not have yet, which stand last.
    used: Secrets,
    /// Since when there are keys that others may not have.
    staged: Option<Instant>,
}

/// The same, made of one state of the secrets.
struct Made {
    index: HmacKeyedHash,
    cursor: HmacKeyedHash,
    sealer: FernetSealer,
    signer: JwtSigner,
}

impl Made {
    fn of(secrets: &Secrets, issuer: &str) -> Result<Self> {
        Ok(Self {
            index: HmacKeyedHash::try_new(bytes(&secrets.index_keys)).context("encryption.index_keys")?,
            cursor: HmacKeyedHash::new(secrets.cursor_key.bytes()),
            sealer: FernetSealer::try_new(bytes(&secrets.encryption_keys)).context("encryption.keys")?,
            signer: JwtSigner::try_new(bytes(&secrets.token_keys), issuer, AUDIENCE)
                .context("auth.token_keys")?,
        })
    }
}

impl KeyRing {
    /// With these keys.
    pub(super) fn new(secrets: Secrets, issuer: &str, stage: Duration) -> Result<Self> {
        let made = Made::of(&secrets, issuer)?;
        Ok(Self {
            index: Arc::new(Rotating::new(made.index)),
            cursor: Arc::new(Rotating::new(made.cursor)),
            sealer: Arc::new(Rotating::new(made.sealer)),
            signer: Arc::new(Rotating::new(made.signer)),
            issuer: issuer.to_owned(),
            stage,
            now: Mutex::new(Present { read: secrets.clone(), used: secrets, staged: None }),
        })
    }

    /// The ids of the keys that sign, as in the key set that is published; the newest first.
    pub(crate) fn token_key_ids(&self) -> Vec<String> {
        let published = self.signer.jwks();
        let keys = published["keys"].as_array().into_iter().flatten();
        keys.filter_map(|key| key["kid"].as_str().map(str::to_owned)).collect()
    }

    /// Whether a set has several keys: then something may still be under one that is not the newest.
    pub(crate) fn is_rotating(&self) -> bool {
        let now = self.now.lock();
        [&now.read.token_keys, &now.read.encryption_keys, &now.read.index_keys]
            .iter()
            .any(|keys| keys.len() > 1)
    }

    /// With these keys from now on: all of them, or none if one cannot be used. Keys that are new are accepted at once,
    /// and worked with when others must have read them too: call it again and again. Answers whether other keys than
    /// before sign, seal and find.
    pub(crate) fn renew(&self, secrets: Secrets) -> Result<bool> {
        let mut now = self.now.lock();
        if now.read != secrets {
            for (path, old, new) in [
                ("encryption.keys", &now.read.encryption_keys, &secrets.encryption_keys),
                ("encryption.index_keys", &now.read.index_keys, &secrets.index_keys),
            ] {
                // Everything that is kept would become unreadable or unfindable at once.
                let has_common = new.iter().any(|key| old.contains(key));
                ensure!(has_common, "{path} has no key of those in use: put a new key in front of them");
            }
            let used = if self.stage.is_zero() { secrets.clone() } else { staged(&now.used, &secrets) };
            let staged = (used != secrets).then(Instant::now);
            let is_new = self.work_with(&now.used, &used)?;
            *now = Present { read: secrets, used, staged };
            return Ok(is_new);
        }
        if now.staged.is_none_or(|since| since.elapsed() < self.stage) {
            return Ok(false);
        }
        let is_new = self.work_with(&now.used, &now.read)?;
        (now.used, now.staged) = (now.read.clone(), None);
        Ok(is_new)
    }

    /// Answers whether others come first than before.
    fn work_with(&self, before: &Secrets, secrets: &Secrets) -> Result<bool> {
        let made = Made::of(secrets, &self.issuer)?;
        self.index.replace(made.index);
        self.cursor.replace(made.cursor);
        self.sealer.replace(made.sealer);
        self.signer.replace(made.signer);
        let first = |secrets: &Secrets| {
            [&secrets.token_keys, &secrets.encryption_keys, &secrets.index_keys]
                .map(|keys| keys.first().cloned())
        };
        Ok(first(before) != first(secrets))
    }
}

/// The new keys in the order in which they are worked with until everybody has them: those that were worked with before
/// come first, in their order.
fn staged(before: &Secrets, new: &Secrets) -> Secrets {
    let order = |before: &[KeyMaterial], new: &[KeyMaterial]| {
        let (known, fresh): (Vec<_>, Vec<_>) = new.iter().cloned().partition(|key| before.contains(key));
        let is_rotated = new.first().is_some_and(|first| fresh.contains(first));
        if is_rotated { [known, fresh].concat() } else { new.to_vec() }
    };
    Secrets {
        token_keys: order(&before.token_keys, &new.token_keys),
        encryption_keys: order(&before.encryption_keys, &new.encryption_keys),
        index_keys: order(&before.index_keys, &new.index_keys),
        cursor_key: new.cursor_key.clone(),
    }
}

fn bytes(keys: &[KeyMaterial]) -> impl Iterator<Item = &[u8; 32]> {
    keys.iter().map(KeyMaterial::bytes)
}

#[cfg(test)]
mod tests {
    use credit_core::ports::keys::{KeyedHash, Sealer};
    use credit_infra::randomness::OsSecrets;

    use super::*;

    #[test]
    fn other_keys_take_their_place_unless_nothing_could_be_opened_with_them() {
        let first = Secrets::fleeting(&OsSecrets);
        let ring = KeyRing::new(first.clone(), "us", Duration::ZERO).expect("keys");
        assert!(!ring.renew(first.clone()).expect("the same"));
        let mut rotated = Secrets::fleeting(&OsSecrets);
        let refused = ring.renew(rotated.clone()).expect_err("strangers").to_string();
        assert!(refused.contains("encryption.keys has no key of those in use"), "{refused}");
        rotated.encryption_keys.extend(first.encryption_keys);
        rotated.index_keys.extend(first.index_keys);
        let before = ring.token_key_ids();
        assert!(ring.renew(rotated).expect("rotated"));
        assert_ne!(ring.token_key_ids(), before);
    }
    #[test]
    fn with_other_processes_a_new_key_is_accepted_first_and_worked_with_when_all_must_have_it() {
        let first = Secrets::fleeting(&OsSecrets);
        let stage = Duration::from_millis(300);
        let ring = KeyRing::new(first.clone(), "us", stage).expect("keys");
        let mut rotated = Secrets::fleeting(&OsSecrets);
        rotated.cursor_key = first.cursor_key.clone();
        let new = KeyRing::new(rotated.clone(), "us", stage).expect("keys");
        rotated.token_keys.extend(first.token_keys);
        rotated.encryption_keys.extend(first.encryption_keys);
        rotated.index_keys.extend(first.index_keys);
        let before = (ring.sealer.key_ids(), ring.index.key_ids(), ring.token_key_ids());
        assert!(!ring.renew(rotated.clone()).expect("rotated"), "nothing works with the new ones yet");
        assert_eq!(ring.sealer.key_ids(), [before.0.clone(), new.sealer.key_ids()].concat());
        assert_eq!(ring.index.key_ids(), [before.1.clone(), new.index.key_ids()].concat());
        assert_eq!(ring.token_key_ids(), [before.2.clone(), new.token_key_ids()].concat());
        let began = Instant::now();
        while !ring.renew(rotated.clone()).expect("the same") {
            assert!(began.elapsed() < Duration::from_secs(10));
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(began.elapsed() > stage / 2, "{:?}", began.elapsed());
        assert_eq!(ring.sealer.key_ids(), [new.sealer.key_ids(), before.0].concat());
        assert_eq!(ring.token_key_ids(), [new.token_key_ids(), before.2].concat());
        assert!(!ring.renew(rotated).expect("the same"), "once");
    }
}
