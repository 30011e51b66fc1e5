//! Field encryption with Fernet keys, several at once while they are rotated.
//!
//! A sealed text is `{key id}.{Fernet token}`. Inside, before the text, stands the place that it was sealed for; a
//! token that was moved to another field, document or application does not open there.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use credit_core::ports::keys::{CannotOpen, Place, Sealer};
use fernet::Fernet;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// No key was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("field encryption needs a key")]
pub struct NoSealingKey;

/// Seals with the newest key and opens with any.
pub struct FernetSealer {
    newest: Key,
    older: Vec<Key>,
}

struct Key {
    id: String,
    fernet: Fernet,
}

impl FernetSealer {
    /// With these keys, the newest first.
    pub fn try_new<'a>(keys: impl IntoIterator<Item = &'a [u8; 32]>) -> Result<Self, NoSealingKey> {
        let mut keys = keys.into_iter().map(Key::new);
        Ok(Self { newest: keys.next().ok_or(NoSealingKey)?, older: keys.collect() })
    }

    fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.newest).chain(&self.older)
    }
}

impl Key {
    fn new(key: &[u8; 32]) -> Self {
        let text = Zeroizing::new(URL_SAFE.encode(key));
        let fernet = Fernet::new(&text).expect("32 bytes are a Fernet key");
        // A fingerprint instead of a number that somebody would have to count.
        Self { id: key_id("sealing key id", key), fernet }
    }
}

/// What a key is called: 32 bits of its hash.
pub(crate) fn key_id(purpose: &str, key: &[u8; 32]) -> String {
    let digest = Sha256::new().chain_update(purpose).chain_update(key).finalize();
    format!("{:02x}{:02x}{:02x}{:02x}", digest[0], digest[1], digest[2], digest[3])
}

impl Sealer for FernetSealer {
    fn seal(&self, place: Place<'_>, plain: &str) -> String {
        let mut inside = Zeroizing::new(opening(place));
        inside.push_str(plain);
        format!("{}.{}", self.newest.id, self.newest.fernet.encrypt(inside.as_bytes()))
    }

    fn open(&self, place: Place<'_>, sealed: &str) -> Result<String, CannotOpen> {
        let (id, token) = sealed.split_once('.').ok_or(CannotOpen)?;
        let key = self.keys().find(|key| key.id == id).ok_or(CannotOpen)?;
        let inside = Zeroizing::new(key.fernet.decrypt(token).map_err(|_| CannotOpen)?);
        let inside = std::str::from_utf8(&inside).map_err(|_| CannotOpen)?;
        inside.strip_prefix(&opening(place)).map(str::to_owned).ok_or(CannotOpen)
    }

    fn key_ids(&self) -> Vec<String> {
        self.keys().map(|key| key.id.clone()).collect()
    }

    fn key_of(&self, sealed: &str) -> String {
        sealed.split_once('.').map(|(id, _)| id.to_owned()).unwrap_or_default()
    }
}

impl std::fmt::Debug for FernetSealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FernetSealer").field("newest", &self.newest.id).finish_non_exhaustive()
    }
}

/// The place in a form that no other place has: JSON escapes what would run parts together, and the line's end.
fn opening(place: Place<'_>) -> String {
    let Place { app, collection, id, field } = place;
    format!("{}\n", serde_json::json!([app, collection, id, field]))
}

#[cfg(test)]
mod tests {
    use credit_core::AppId;

    use super::*;

    const PLACE: Place<'static> =
        Place { app: AppId::from_u128(1), collection: "users", id: "usr_1", field: "email" };

    fn with(keys: &[u8]) -> FernetSealer {
        let keys: Vec<[u8; 32]> = keys.iter().map(|byte| [*byte; 32]).collect();
        FernetSealer::try_new(&keys).expect("keys")
    }

    #[test]
    fn what_was_sealed_opens_at_its_place() {
        let keys = with(&[1]);
        for plain in ["", "ann@example.com", "zwei\nZeilen"] {
            let sealed = keys.seal(PLACE, plain);
            assert!(plain.is_empty() || !sealed.contains(plain));
            assert_eq!(keys.open(PLACE, &sealed).as_deref(), Ok(plain));
        }
    }

    #[test]
    fn what_was_moved_changed_or_sealed_by_another_does_not_open() {
        let sealed = with(&[1]).seal(PLACE, "ann@example.com");
        for moved in [
            Place { app: AppId::from_u128(2), ..PLACE },
            Place { collection: "user", ..PLACE },
            Place { id: "usr_2", ..PLACE },
            Place { field: "profile", ..PLACE },
        ] {
            assert_eq!(with(&[1]).open(moved, &sealed), Err(CannotOpen));
        }
        assert_eq!(with(&[2]).open(PLACE, &sealed), Err(CannotOpen));
        let mut changed = sealed.clone();
        changed.replace_range(40..41, if &sealed[40..41] == "A" { "B" } else { "A" });
        for wrong in [changed.as_str(), "", ".", "no dot"] {
            assert_eq!(with(&[1]).open(PLACE, wrong), Err(CannotOpen), "{wrong}");
        }
    }

    #[test]
    fn an_older_key_opens_until_it_is_retired_and_what_was_sealed_tells_its_key() {
        let old = with(&[1]).seal(PLACE, "ann");
        let rotated = with(&[2, 1]);
        assert_eq!(rotated.open(PLACE, &old).as_deref(), Ok("ann"));
        assert_eq!(rotated.key_of(&old), rotated.key_ids()[1]);
        assert_eq!(rotated.key_of(&rotated.seal(PLACE, "ann")), rotated.key_ids()[0]);
        assert_eq!(with(&[2]).open(PLACE, &old), Err(CannotOpen));
        assert!(matches!(FernetSealer::try_new([]), Err(NoSealingKey)));
    }

    #[test]
    fn the_same_text_is_never_sealed_the_same() {
        let keys = with(&[1]);
        assert_ne!(keys.seal(PLACE, "ann"), keys.seal(PLACE, "ann"));
    }
}
