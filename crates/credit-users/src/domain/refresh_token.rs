//! Refresh tokens: opaque to everyone, and for us the way to their session.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use credit_core::ports::keys::{KeyedHash, SecretSource};
use credit_core::{AppId, SessionId};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

const PREFIX: &str = "rt_";
const TAG_PURPOSE: &str = "refresh_token_tag";
const HASH_PURPOSE: &str = "refresh_token";
const TAG_BYTES: usize = 16;
const BODY_BYTES: usize = 16 + 16 + 4 + 32;

/// A refresh token that this house made.
///
/// It names its session and its number in it, holds 32 random bytes, and ends with a tag. The tag proves that we made
/// it, so that a spent one is known for ever without keeping a list, and nobody can end another's session with an
/// invented one. Only the hash of the newest one is kept.
#[derive(Debug)]
pub(crate) struct RefreshToken {
    pub(crate) app: AppId,
    pub(crate) session: SessionId,
    pub(crate) generation: u32,
    /// The keyed hash to keep, under the newest key.
    pub(crate) hash: String,
    /// What the hash was under earlier keys, for tokens that were made then.
    earlier: Vec<String>,
    /// The text that its holder gets.
    pub(crate) text: SecretString,
}

impl RefreshToken {
    /// A new one.
    pub(crate) fn mint(
        keys: &dyn KeyedHash,
        secrets: &dyn SecretSource,
        app: AppId,
        session: SessionId,
        generation: u32,
    ) -> Self {
        let mut bytes = Vec::with_capacity(BODY_BYTES + TAG_BYTES);
        bytes.extend_from_slice(&app.as_u128().to_be_bytes());
        bytes.extend_from_slice(&session.as_u128().to_be_bytes());
        bytes.extend_from_slice(&generation.to_be_bytes());
        bytes.extend_from_slice(&*secrets.secret());
        let tag = tag(keys, &bytes);
        bytes.extend_from_slice(&tag);
        let text = SecretString::from(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)));
        Self { app, session, generation, hash: kept_hash(keys, &text), earlier: Vec::new(), text }
    }

    /// Whether this is the hash of the token that is kept.
    pub(crate) fn is_kept_as(&self, kept: &str) -> bool {
        std::iter::once(&self.hash)
            .chain(&self.earlier)
            .any(|hash| hash.as_bytes().ct_eq(kept.as_bytes()).into())
    }

    /// Reads one; `None` if it is not one of ours.
    pub(crate) fn open(keys: &dyn KeyedHash, text: &SecretString) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text.expose_secret().strip_prefix(PREFIX)?).ok()?;
        let (body, found) = bytes.split_at_checked(BODY_BYTES)?;
        let encoded = URL_SAFE_NO_PAD.encode(body);
        let now = std::iter::once(keys.hash(TAG_PURPOSE, &encoded));
        if !now.chain(keys.earlier(TAG_PURPOSE, &encoded)).any(|full| full[..TAG_BYTES].ct_eq(found).into()) {
            return None;
        }
        let number = |from: usize| Some(u128::from_be_bytes(body.get(from..from + 16)?.try_into().ok()?));
        Some(Self {
            app: AppId::from_u128(number(0)?),
            session: SessionId::from_u128(number(16)?),
            generation: u32::from_be_bytes(body.get(32..36)?.try_into().ok()?),
            hash: kept_hash(keys, text),
            earlier: keys
                .earlier(HASH_PURPOSE, text.expose_secret())
                .iter()
                .map(|hash| URL_SAFE_NO_PAD.encode(hash))
                .collect(),
            text: text.clone(),
        })
    }
}

fn tag(keys: &dyn KeyedHash, body: &[u8]) -> [u8; TAG_BYTES] {
    let full = keys.hash(TAG_PURPOSE, &URL_SAFE_NO_PAD.encode(body));
    let mut short = [0; TAG_BYTES];
    short.copy_from_slice(&full[..TAG_BYTES]);
    short
}

fn kept_hash(keys: &dyn KeyedHash, text: &SecretString) -> String {
    URL_SAFE_NO_PAD.encode(keys.hash(HASH_PURPOSE, text.expose_secret()))
}

#[cfg(test)]
mod tests {
    use credit_core::testkit::{CountingSecrets, TestKeyedHash};

    use super::*;

    #[test]
    fn a_refresh_token_reads_back_and_cannot_be_invented() {
        let secrets = CountingSecrets::new();
        let made =
            RefreshToken::mint(&TestKeyedHash, &secrets, AppId::from_u128(7), SessionId::from_u128(9), 3);
        let read = RefreshToken::open(&TestKeyedHash, &made.text).expect("ours");
        assert_eq!((read.app, read.session, read.generation), (made.app, made.session, 3));
        assert!(read.is_kept_as(&made.hash) && !read.is_kept_as("another"));
        let mut bytes = URL_SAFE_NO_PAD.decode(&made.text.expose_secret()[3..]).expect("base64");
        bytes[35] = 2; // an earlier number
        let forged = format!("rt_{}", URL_SAFE_NO_PAD.encode(bytes));
        for wrong in [forged.as_str(), "", "rt_", "rt_!!", "rt_AAAA"] {
            assert!(RefreshToken::open(&TestKeyedHash, &wrong.into()).is_none(), "{wrong}");
        }
    }
}
