//! Keyed hashes: HMAC-SHA-256.

use credit_core::ports::keys::KeyedHash;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// HMAC-SHA-256 under one key (the pepper). Without the key nobody can tell which text was hashed, also not by trying
/// all likely ones.
#[derive(Clone)]
pub struct HmacKeyedHash {
    key: Zeroizing<[u8; 32]>,
}

impl HmacKeyedHash {
    /// Under this key.
    pub fn new(key: &[u8; 32]) -> Self {
        Self { key: Zeroizing::new(*key) }
    }
}

impl KeyedHash for HmacKeyedHash {
    fn hash(&self, purpose: &str, text: &str) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&*self.key).expect("HMAC takes keys of any length");
        // The length keeps purpose and text apart: no two pairs give the same bytes.
        mac.update(&u64::try_from(purpose.len()).expect("a length fits").to_be_bytes());
        mac.update(purpose.as_bytes());
        mac.update(text.as_bytes());
        mac.finalize().into_bytes().into()
    }
}

impl std::fmt::Debug for HmacKeyedHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HmacKeyedHash")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_depends_on_key_purpose_and_text() {
        let hash = HmacKeyedHash::new(&[1; 32]);
        let same = hash.hash("email", "a@x");
        assert_eq!(hash.hash("email", "a@x"), same);
        for other in [
            hash.hash("email", "b@x"),
            hash.hash("emai", "la@x"),
            hash.hash("name", "a@x"),
            HmacKeyedHash::new(&[2; 32]).hash("email", "a@x"),
        ] {
            assert_ne!(other, same);
        }
    }
}
