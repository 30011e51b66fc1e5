//! Keyed hashes: HMAC-SHA-256, under several keys at once while they are rotated.

use credit_core::ports::keys::KeyedHash;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::sealing::key_id;

/// No key was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("keyed hashes need a key")]
pub struct NoHashKey;

/// HMAC-SHA-256 (the keys are the pepper). Without a key nobody can tell which text was hashed, also not by trying all
/// likely ones.
#[derive(Clone)]
pub struct HmacKeyedHash {
    newest: Key,
    older: Vec<Key>,
}

#[derive(Clone)]
struct Key {
    id: String,
    bytes: Zeroizing<[u8; 32]>,
}

impl HmacKeyedHash {
    /// Under this key.
    pub fn new(key: &[u8; 32]) -> Self {
        Self { newest: Key::new(key), older: Vec::new() }
    }

    /// Under these keys, the newest first.
    pub fn try_new<'a>(keys: impl IntoIterator<Item = &'a [u8; 32]>) -> Result<Self, NoHashKey> {
        let mut keys = keys.into_iter().map(Key::new);
        Ok(Self { newest: keys.next().ok_or(NoHashKey)?, older: keys.collect() })
    }
}

impl Key {
    fn new(key: &[u8; 32]) -> Self {
        Self { id: key_id("hash key id", key), bytes: Zeroizing::new(*key) }
    }

    fn hash(&self, purpose: &str, text: &str) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&*self.bytes).expect("HMAC takes keys of any length");
        // The length keeps purpose and text apart: no two pairs give the same bytes.
        mac.update(&u64::try_from(purpose.len()).expect("a length fits").to_be_bytes());
        mac.update(purpose.as_bytes());
        mac.update(text.as_bytes());
        mac.finalize().into_bytes().into()
    }
}

impl KeyedHash for HmacKeyedHash {
    fn hash(&self, purpose: &str, text: &str) -> [u8; 32] {
        self.newest.hash(purpose, text)
    }

    fn earlier(&self, purpose: &str, text: &str) -> Vec<[u8; 32]> {
        self.older.iter().map(|key| key.hash(purpose, text)).collect()
    }

    fn key_ids(&self) -> Vec<String> {
        std::iter::once(&self.newest).chain(&self.older).map(|key| key.id.clone()).collect()
    }
}

impl std::fmt::Debug for HmacKeyedHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HmacKeyedHash").field("newest", &self.newest.id).finish_non_exhaustive()
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

    #[test]
    fn an_older_key_still_finds_what_was_kept_under_it() {
        let before = HmacKeyedHash::new(&[1; 32]);
        let rotated = HmacKeyedHash::try_new([&[2; 32], &[1; 32]]).expect("keys");
        assert_ne!(rotated.hash("email", "a@x"), before.hash("email", "a@x"));
        assert_eq!(rotated.earlier("email", "a@x"), [before.hash("email", "a@x")]);
        assert_eq!(rotated.key_ids()[1], before.key_ids()[0]);
        assert_eq!(HmacKeyedHash::try_new([]).err(), Some(NoHashKey));
    }
}
