//! Usernames.

use std::fmt;

use credit_api::form::{Faults, FormValue, Schema, Text};
use serde_json::Value;
use unicode_normalization::UnicodeNormalization;

use super::{Likeness, likeness};

/// 3 to 32 letters, digits, `.`, `_` and `-`, of any script, in NFC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Username(String);

/// Letters by name that show nothing: two names could differ by one and look the same.
const INVISIBLE: [char; 4] = ['\u{115F}', '\u{1160}', '\u{3164}', '\u{FFA0}'];

impl Username {
    /// Reads a username; `None` if it is none. Its NFKC form must be one too, so that no ligature hides a longer name
    /// or another character.
    pub fn parse(text: &str) -> Option<Self> {
        let composed: String = text.nfc().collect();
        let wide: String = text.nfkc().collect();
        (is_name(&composed) && is_name(&wide)).then_some(Self(composed))
    }

    /// What was kept was checked at the door of its day.
    pub(crate) fn from_kept(text: String) -> Self {
        Self(text)
    }

    /// As the user writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What it is compared by.
    pub(crate) fn likeness(&self) -> Likeness {
        likeness(&self.0)
    }
}

fn is_name(text: &str) -> bool {
    let allowed = |character: char| {
        (character.is_alphanumeric() && !INVISIBLE.contains(&character))
            || matches!(character, '.' | '_' | '-')
    };
    (3..=32).contains(&text.chars().count()) && text.chars().all(allowed)
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FormValue for Username {
    fn read(value: &Value, pointer: &str, faults: &mut Faults) -> Option<Self> {
        let text = Text::<3, 32>::read(value, pointer, faults)?;
        let name = Self::parse(text.as_str());
        if name.is_none() {
            faults.add(
                pointer,
                "invalid_format",
                "must have 3 to 32 letters, digits, dots, underscores and hyphens",
            );
        }
        name
    }

    fn schema() -> Schema {
        Text::<3, 32>::schema()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_username_knows_its_edges() {
        let long = "x".repeat(32);
        for right in ["abc", "a.b_c-9", long.as_str(), "Жанна", "名無しさん", "cafe\u{301}"] {
            assert!(Username::parse(right).is_some(), "{right}");
        }
        let longer = "x".repeat(33);
        for wrong in [
            "",
            "ab",
            longer.as_str(),
            "a b c",
            "a@b.c",
            "abc\u{200b}",
            "abc\u{3164}",
            "ab\u{bd}",
            "abc\n",
            "\u{fdfa}\u{fdfa}\u{fdfa}",
            "a/b/c",
        ] {
            assert!(Username::parse(wrong).is_none(), "{wrong:?}");
        }
    }
}
