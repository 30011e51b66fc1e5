//! 32 secret bytes.

use std::fmt;

use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

/// A key of 32 bytes; never printed, wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct KeyMaterial(Zeroizing<[u8; 32]>);

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const ALPHABETS: [GeneralPurpose; 2] =
    [GeneralPurpose::new(&alphabet::STANDARD, LENIENT), GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT)];

impl KeyMaterial {
    /// Wraps random bytes.
    pub(crate) fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// Reads base64 of either alphabet, or 64 hexadecimal digits.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Self::from_hex(text);
        }
        ALPHABETS.iter().find_map(|alphabet| {
            let bytes = Zeroizing::new(alphabet.decode(text).ok()?);
            let mut key = Zeroizing::new([0; 32]);
            (bytes.len() == key.len()).then(|| key.copy_from_slice(&bytes))?;
            Some(Self(key))
        })
    }

    /// The bytes.
    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Base64 with the URL-safe alphabet, padded: also the text form of a Fernet key.
    pub(crate) fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(base64::engine::general_purpose::URL_SAFE.encode(*self.0))
    }

    /// Whether it was made up by a person or copied from a page: readable text, or few different bytes. Of 32 random
    /// bytes, fewer than 12 different ones do not happen, nor does text.
    pub(crate) fn looks_like_a_sample(&self) -> bool {
        let different: std::collections::BTreeSet<u8> = self.0.iter().copied().collect();
        let counts = self.0.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1));
        different.len() < 12 || counts || self.0.iter().all(|byte| (0x20..0x7F).contains(byte))
    }

    fn from_hex(text: &str) -> Option<Self> {
        let mut key = Zeroizing::new([0; 32]);
        for (index, byte) in key.iter_mut().enumerate() {
            *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
        }
        Some(Self(key))
    }
}

impl Serialize for KeyMaterial {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_base64())
    }
}

impl<'de> Deserialize<'de> for KeyMaterial {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        Self::parse(&text).ok_or_else(|| D::Error::custom("not 32 bytes in base64"))
    }
}

impl fmt::Debug for KeyMaterial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyMaterial(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_base64_of_both_alphabets_and_hexadecimal() {
        let hex = "fb".repeat(31) + "ff";
        let key = KeyMaterial::parse(&hex).expect("hexadecimal");
        let url_safe = key.to_base64();
        let standard = url_safe.replace('-', "+").replace('_', "/");
        for text in
            [url_safe.as_str(), standard.as_str(), standard.trim_end_matches('='), &format!("{standard}\n")]
        {
            assert_eq!(KeyMaterial::parse(text).as_ref(), Some(&key), "{text}");
        }
        for wrong in ["", "fb", &hex[2..], &format!("{hex}00"), "not a key at all, is it? no, it is not."] {
            assert_eq!(KeyMaterial::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_key_is_never_printed() {
        let key = KeyMaterial::parse(&"07".repeat(32)).expect("hexadecimal");
        assert_eq!(format!("{key:?}"), "KeyMaterial(***)");
    }

    #[test]
    fn what_a_person_would_make_up_is_a_sample() {
        let sample = |bytes: [u8; 32]| KeyMaterial::new(Zeroizing::new(bytes)).looks_like_a_sample();
        assert!(sample([0; 32]));
        assert!(sample(*b"please-change-me-please-change-m"));
        assert!(sample(std::array::from_fn(|index| u8::try_from(index).expect("small"))));
        assert!(!sample(std::array::from_fn(|index| u8::try_from(index * 37 % 251).expect("small"))));
    }
}
