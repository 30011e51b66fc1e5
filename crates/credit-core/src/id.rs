//! Typed ids: a prefix and a UUIDv7 as 32 lower-case hex digits, for example `wal_0193…`.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The text is not an id of the wanted kind. Consumers see it as "not found".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid id")]
pub struct InvalidId;

/// Where new ids come from. Only the server's source draws randomness; tests count.
pub trait IdSource: Send + Sync {
    /// A fresh 128-bit UUIDv7, strictly greater than the one before it from this source.
    fn mint(&self) -> u128;
}

/// Lays out a UUIDv7 (RFC 9562 §5.7): 48 bits of Unix milliseconds, 12 bits of `counter` in `rand_a`
/// (method 1, a monotonic counter), 62 bits of `entropy`. Bits beyond those widths are cut off.
pub const fn uuid_v7(unix_millis: u64, counter: u16, entropy: u64) -> u128 {
    // `as` is the only widening that a `const fn` has; every cast here widens.
    #[expect(clippy::as_conversions, reason = "lossless widening in a const fn")]
    let (millis, counter, entropy) = (unix_millis as u128, counter as u128, entropy as u128);
    ((millis & 0xFFFF_FFFF_FFFF) << 80)
        | (0x7 << 76)
        | ((counter & 0xFFF) << 64)
        | (0b10 << 62)
        | (entropy & 0x3FFF_FFFF_FFFF_FFFF)
}

/// The Unix milliseconds inside a UUIDv7.
pub const fn uuid_v7_millis(id: u128) -> u64 {
    #[expect(clippy::as_conversions, reason = "48 bits fit")]
    let millis = (id >> 80) as u64;
    millis
}

fn parse_hex(text: &str) -> Result<u128, InvalidId> {
    let lower = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if text.len() != 32 || !lower {
        return Err(InvalidId);
    }
    u128::from_str_radix(text, 16).map_err(|_| InvalidId)
}

/// A prefix of at most 8 bytes and the 32 lower-case hex digits of a number, written at once: text that grew by both in turn
/// would be moved, and ids are written several times for each call that moves credits.
fn write_id(prefix: &str, value: u128, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut text = [0; 40];
    let (begin, digits) = text.split_at_mut(prefix.len());
    begin.copy_from_slice(prefix.as_bytes());
    for (pair, byte) in digits.chunks_exact_mut(2).zip(value.to_be_bytes()) {
        pair[0] = hex_digit(byte >> 4);
        pair[1] = hex_digit(byte & 0xF);
    }
    f.write_str(std::str::from_utf8(&text[..prefix.len() + 32]).map_err(|_| fmt::Error)?)
}

const fn hex_digit(value: u8) -> u8 {
    if value < 10 { b'0' + value } else { b'a' - 10 + value }
}

/// Appends a number as lower-case hex with leading zeros, cut off at its lowest `digits`.
pub fn push_hex(text: &mut String, value: u128, digits: u32) {
    for place in (0..digits.min(32)).rev() {
        let nibble = u8::try_from((value >> (4 * place)) & 0xF).unwrap_or_default();
        text.push(char::from(hex_digit(nibble)));
    }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u128);

        impl $name {
            /// What the text form begins with, the underscore included.
            pub const PREFIX: &'static str = concat!($prefix, "_");

            /// Wraps a minted UUIDv7.
            pub const fn from_u128(value: u128) -> Self { Self(value) }

            /// The bare UUID.
            pub const fn as_u128(self) -> u128 { self.0 }

            /// Reads the text form; anything else, another kind's id included, is invalid.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                parse_hex(text.strip_prefix(Self::PREFIX).ok_or(InvalidId)?).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_id(Self::PREFIX, self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { fmt::Display::fmt(self, f) }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    self.0.to_be_bytes().serialize(serializer)
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                    Self::parse(&text).map_err(serde::de::Error::custom)
                } else {
                    <[u8; 16]>::deserialize(deserializer).map(u128::from_be_bytes).map(Self)
                }
            }
        }
    )*};
}

ids! {
    /// An application (tenant).
    AppId = "app";
    /// A user of one application.
    UserId = "usr";
    /// A login session of a user.
    SessionId = "ses";
    /// A wallet: one user's credits in one asset.
    WalletId = "wal";
    /// A posted transaction.
    TransactionId = "txn";
    /// One ledger entry of a transaction.
    EntryId = "ent";
    /// A lot of credits.
    GrantId = "grt";
    /// A hold on credits.
    HoldId = "hld";
    /// An API key of an application.
    ApiKeyId = "key";
    /// A webhook endpoint.
    WebhookId = "whk";
    /// One delivery of an event to a webhook.
    DeliveryId = "dlv";
    /// An event.
    EventId = "evt";
    /// An audit record.
    AuditId = "aud";
    /// A background job.
    JobId = "job";
}

impl AppId {
    /// The tenant of what belongs to the installation and not to one application: the applications
    /// themselves, API keys, assets. No application can have it: it is not a UUIDv7.
    pub const SYSTEM: Self = Self::from_u128(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_what_it_writes_and_nothing_else() {
        let id = WalletId::from_u128(uuid_v7(1_700_000_000_000, 7, 42));
        assert_eq!(WalletId::parse(&id.to_string()), Ok(id));
        assert_eq!(id.to_string().len(), 36);
        let text = id.to_string();
        for wrong in [
            text.to_uppercase(),
            text.replace("wal_", "usr_"),
            format!("{text}0"),
            text[..35].to_owned(),
            "wal_".into(),
        ] {
            assert_eq!(WalletId::parse(&wrong), Err(InvalidId), "{wrong}");
        }
    }

    #[test]
    fn a_uuid_v7_carries_its_version_variant_and_time() {
        let id = uuid_v7(1_700_000_000_000, 0xFFF, u64::MAX);
        assert_eq!(uuid::Uuid::from_u128(id).get_version_num(), 7);
        assert_eq!(uuid::Uuid::from_u128(id).get_variant(), uuid::Variant::RFC4122);
        assert_eq!(uuid_v7_millis(id), 1_700_000_000_000);
    }
}
