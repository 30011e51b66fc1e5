//! Doubles for field encryption, keyed hashes and secrets. They bind what the real ones bind and hide nothing.

use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::ports::keys::{CannotOpen, KeyedHash, Place, Sealer, SecretSource};

/// Binds the place and leaves the text readable.
#[derive(Debug, Default, Clone, Copy)]
pub struct PlainSealer;

impl Sealer for PlainSealer {
    fn seal(&self, place: Place<'_>, plain: &str) -> String {
        format!("{}{plain}", opening(place))
    }

    fn open(&self, place: Place<'_>, sealed: &str) -> Result<String, CannotOpen> {
        sealed.strip_prefix(&opening(place)).map(str::to_owned).ok_or(CannotOpen)
    }
}

fn opening(place: Place<'_>) -> String {
    format!("sealed|{}|{}|{}|{}|", place.app, place.collection, place.id, place.field)
}

/// SHA-256 without a key.
#[derive(Debug, Default, Clone, Copy)]
pub struct TestKeyedHash;

impl KeyedHash for TestKeyedHash {
    fn hash(&self, purpose: &str, text: &str) -> [u8; 32] {
        Sha256::new().chain_update(purpose).chain_update([0]).chain_update(text).finalize().into()
    }
}

/// Secrets that differ from each other and are the same in every run.
#[derive(Debug, Default)]
pub struct CountingSecrets {
    next: AtomicU64,
}

impl CountingSecrets {
    /// From the first.
    pub fn new() -> Self {
        Self::default()
    }
}

impl SecretSource for CountingSecrets {
    fn secret(&self) -> Zeroizing<[u8; 32]> {
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        Zeroizing::new(Sha256::digest(number.to_be_bytes()).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AppId;

    #[test]
    fn a_sealed_text_opens_only_at_its_place() {
        let here = Place { app: AppId::SYSTEM, collection: "users", id: "1", field: "email" };
        let there = Place { id: "2", ..here };
        let sealed = PlainSealer.seal(here, "a@b");
        assert_eq!(PlainSealer.open(here, &sealed).as_deref(), Ok("a@b"));
        assert_eq!(PlainSealer.open(there, &sealed), Err(CannotOpen));
    }

    #[test]
    fn a_keyed_hash_depends_on_purpose_and_text() {
        assert_eq!(TestKeyedHash.hash("a", "b"), TestKeyedHash.hash("a", "b"));
        assert_ne!(TestKeyedHash.hash("a", "b"), TestKeyedHash.hash("ab", ""));
    }

    #[test]
    fn counted_secrets_differ() {
        let secrets = CountingSecrets::new();
        assert_ne!(secrets.secret(), secrets.secret());
        assert_eq!(CountingSecrets::new().secret(), CountingSecrets::new().secret());
    }
}
