//! The keys that the house works with, and letting others take their place while it works.

use std::sync::Arc;

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
    now: Mutex<Secrets>,
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
    pub(super) fn new(secrets: Secrets, issuer: &str) -> Result<Self> {
        let made = Made::of(&secrets, issuer)?;
        Ok(Self {
            index: Arc::new(Rotating::new(made.index)),
            cursor: Arc::new(Rotating::new(made.cursor)),
            sealer: Arc::new(Rotating::new(made.sealer)),
            signer: Arc::new(Rotating::new(made.signer)),
            issuer: issuer.to_owned(),
            now: Mutex::new(secrets),
        })
    }

    /// The ids of the keys that sign, as in the key set that is published; the newest first.
    pub(crate) fn token_key_ids(&self) -> Vec<String> {
        let published = self.signer.jwks();
        let keys = published["keys"].as_array().into_iter().flatten();
        keys.filter_map(|key| key["kid"].as_str().map(str::to_owned)).collect()
    }

    /// With these keys from now on: all of them, or none if one cannot be used. Answers whether they are others.
    pub(crate) fn renew(&self, secrets: Secrets) -> Result<bool> {
        let mut now = self.now.lock();
        if *now == secrets {
            return Ok(false);
        }
        for (path, old, new) in [
            ("encryption.keys", &now.encryption_keys, &secrets.encryption_keys),
            ("encryption.index_keys", &now.index_keys, &secrets.index_keys),
        ] {
            // Everything that is kept would become unreadable or unfindable at once.
            let has_common = new.iter().any(|key| old.contains(key));
            ensure!(has_common, "{path} has no key of those in use: put a new key in front of them");
        }
        let made = Made::of(&secrets, &self.issuer)?;
        self.index.replace(made.index);
        self.cursor.replace(made.cursor);
        self.sealer.replace(made.sealer);
        self.signer.replace(made.signer);
        *now = secrets;
        Ok(true)
    }
}

fn bytes(keys: &[KeyMaterial]) -> impl Iterator<Item = &[u8; 32]> {
    keys.iter().map(KeyMaterial::bytes)
}

#[cfg(test)]
mod tests {
    use credit_infra::randomness::OsSecrets;

    use super::*;

    #[test]
    fn other_keys_take_their_place_unless_nothing_could_be_opened_with_them() {
        let first = Secrets::fleeting(&OsSecrets);
        let ring = KeyRing::new(first.clone(), "us").expect("keys");
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
}
