//! Amounts of credits: whole numbers of the asset's smallest unit.

use serde::{Deserialize, Deserializer, Serialize};

/// The largest amount and the largest balance either side of zero: 2^53 - 1, the largest whole number
/// that every JSON consumer can hold exactly (RFC 8259 §6).
pub const MAX_AMOUNT: i64 = 9_007_199_254_740_991;

/// Not in `1 ..= MAX_AMOUNT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an amount is a whole number from 1 to 9007199254740991")]
pub struct InvalidAmount;

/// A positive amount, `1 ..= MAX_AMOUNT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Amount(i64);

impl Amount {
    /// One unit.
    pub const ONE: Self = Self(1);

    /// Refuses zero, negatives and what is past the bound.
    pub const fn try_new(units: i64) -> Result<Self, InvalidAmount> {
        if units >= 1 && units <= MAX_AMOUNT { Ok(Self(units)) } else { Err(InvalidAmount) }
    }

    /// The number of units, always positive.
    pub const fn units(self) -> i64 {
        self.0
    }
}

impl TryFrom<i64> for Amount {
    type Error = InvalidAmount;
    fn try_from(units: i64) -> Result<Self, InvalidAmount> {
        Self::try_new(units)
    }
}

impl std::fmt::Display for Amount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_new(i64::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// Whether a balance stays within `±MAX_AMOUNT`.
pub const fn is_balance(units: i64) -> bool {
    units >= -MAX_AMOUNT && units <= MAX_AMOUNT
}

/// The code of an asset, `[A-Z][A-Z0-9_]{1,15}`, for example `CREDIT`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AssetCode {
    length: u8,
    text: [u8; 16],
}

/// Not of the form `[A-Z][A-Z0-9_]{1,15}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an asset code is 2 to 16 of A-Z, 0-9 and _, beginning with a letter")]
pub struct InvalidAssetCode;

impl AssetCode {
    /// The asset that always exists, with scale 0.
    pub const CREDIT: Self = Self { length: 6, text: *b"CREDIT\0\0\0\0\0\0\0\0\0\0" };

    /// Parses the text form.
    pub fn parse(code: &str) -> Result<Self, InvalidAssetCode> {
        let bytes = code.as_bytes();
        let first = bytes.first().is_some_and(u8::is_ascii_uppercase);
        let rest = bytes.iter().all(|b| matches!(b, b'A'..=b'Z' | b'0'..=b'9' | b'_'));
        if !first || !rest || !(2..=16).contains(&bytes.len()) {
            return Err(InvalidAssetCode);
        }
        let mut text = [0; 16];
        text[..bytes.len()].copy_from_slice(bytes);
        Ok(Self { length: u8::try_from(bytes.len()).map_err(|_| InvalidAssetCode)?, text })
    }

    /// The text form.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text[..usize::from(self.length)]).expect("checked ASCII at the door")
    }
}

impl std::fmt::Display for AssetCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::fmt::Debug for AssetCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for AssetCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for AssetCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_knows_its_edges() {
        assert_eq!(Amount::try_new(0), Err(InvalidAmount));
        assert_eq!(Amount::try_new(-1), Err(InvalidAmount));
        assert_eq!(Amount::try_new(1).map(Amount::units), Ok(1));
        assert_eq!(Amount::try_new(MAX_AMOUNT).map(Amount::units), Ok(MAX_AMOUNT));
        assert_eq!(Amount::try_new(MAX_AMOUNT + 1), Err(InvalidAmount));
    }

    #[test]
    fn an_asset_code_knows_its_edges() {
        for right in ["CREDIT", "A1", "GOLD_COINS", "ABCDEFGHIJKLMNOP"] {
            assert_eq!(AssetCode::parse(right).expect(right).as_str(), right);
        }
        for wrong in ["", "A", "1A", "_A", "credit", "ABCDEFGHIJKLMNOPQ", "A-B", "Ä1"] {
            assert_eq!(AssetCode::parse(wrong), Err(InvalidAssetCode), "{wrong}");
        }
        assert_eq!(AssetCode::parse("CREDIT"), Ok(AssetCode::CREDIT));
    }
}
