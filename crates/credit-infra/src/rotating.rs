//! Keys that are replaced while they are used.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use credit_core::Timestamp;
use credit_core::ports::keys::{CannotOpen, KeyedHash, Place, Sealer};
use credit_core::ports::tokens::{AccessClaims, InvalidToken, TokenSigner};
use parking_lot::RwLock;

/// Stands in place of an adapter with keys, and lets another one with other keys take that place. Each call works with
/// one of the two, whole.
pub struct Rotating<T> {
    inside: RwLock<Arc<T>>,
    generation: AtomicU64,
}

impl<T> Rotating<T> {
    /// With the first one.
    pub fn new(first: T) -> Self {
        Self { inside: RwLock::new(Arc::new(first)), generation: AtomicU64::new(0) }
    }

    /// From now on this one. Calls that are under way end with the one before.
    pub fn replace(&self, next: T) {
        *self.inside.write() = Arc::new(next);
        // After the keys: whoever sees the new number sees the new keys.
        self.generation.fetch_add(1, Ordering::SeqCst);
    }

    fn now(&self) -> Arc<T> {
        self.inside.read().clone()
    }
}

impl<T: Sealer> Sealer for Rotating<T> {
    fn seal(&self, place: Place<'_>, plain: &str) -> String {
        self.now().seal(place, plain)
    }

    fn open(&self, place: Place<'_>, sealed: &str) -> Result<String, CannotOpen> {
        self.now().open(place, sealed)
    }

    fn key_ids(&self) -> Vec<String> {
        self.now().key_ids()
    }

    fn key_of(&self, sealed: &str) -> String {
        self.now().key_of(sealed)
    }
}

impl<T: KeyedHash> KeyedHash for Rotating<T> {
    fn hash(&self, purpose: &str, text: &str) -> [u8; 32] {
        self.now().hash(purpose, text)
    }

    fn earlier(&self, purpose: &str, text: &str) -> Vec<[u8; 32]> {
        self.now().earlier(purpose, text)
    }

    fn key_ids(&self) -> Vec<String> {
        self.now().key_ids()
    }
}

impl<T: TokenSigner> TokenSigner for Rotating<T> {
    fn sign(&self, claims: &AccessClaims) -> String {
        self.now().sign(claims)
    }

    fn verify(&self, token: &str, now: Timestamp) -> Result<AccessClaims, InvalidToken> {
        self.now().verify(token, now)
    }

    fn jwks(&self) -> serde_json::Value {
        self.now().jwks()
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use credit_core::AppId;

    use super::*;
    use crate::hashing::HmacKeyedHash;
    use crate::sealing::FernetSealer;
    use crate::tokens::JwtSigner;

    #[test]
    fn replaced_keys_work_at_once_and_retired_ones_no_more() {
        let (old, new) = ([1; 32], [2; 32]);
        let place = Place { app: AppId::from_u128(1), collection: "users", id: "usr_1", field: "email" };
        let sealer = Rotating::new(FernetSealer::try_new([&old]).expect("a key"));
        let text = sealer.seal(place, "ann");
        sealer.replace(FernetSealer::try_new([&new, &old]).expect("keys"));
        assert_eq!(sealer.open(place, &text).as_deref(), Ok("ann"));
        assert_eq!(sealer.key_of(&text), sealer.key_ids()[1]);
        sealer.replace(FernetSealer::try_new([&new]).expect("a key"));
        assert_eq!(sealer.open(place, &text), Err(CannotOpen));

        let hash = Rotating::new(HmacKeyedHash::new(&old));
        let before = hash.hash("email", "ann");
        hash.replace(HmacKeyedHash::try_new([&new, &old]).expect("keys"));
        assert_eq!(hash.earlier("email", "ann"), [before]);

        let signer = Rotating::new(JwtSigner::try_new([&old], "us", "them").expect("a key"));
        let generation = signer.generation();
        signer.replace(JwtSigner::try_new([&new], "us", "them").expect("a key"));
        assert_ne!(signer.generation(), generation);
        assert_eq!(signer.jwks()["keys"].as_array().map(Vec::len), Some(1));
    }
}
