//! When two names count as the same: by NFKC, by case folding, and by the skeleton of UTS #39.

use caseless::Caseless;
use unicode_normalization::UnicodeNormalization;
use unicode_security::skeleton;

/// What a name is compared by. Two names count as the same if they share one of these texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Likeness {
    /// NFKC and case folded: the name, however it was typed.
    pub(crate) plain: String,
    /// `plain` and every text that it could be mistaken for, each once.
    pub(crate) all: Vec<String>,
}

/// What this name is compared by.
///
/// A skeleton maps what looks alike to one text, but upper and lower case letters do not look alike in the same ways:
/// `I` looks like `l` and folds to `i`. So the skeleton is taken both before and after folding.
pub(crate) fn likeness(name: &str) -> Likeness {
    let composed: String = name.nfkc().collect();
    let plain = fold(&composed);
    let as_typed = fold(&skeleton(&composed).collect::<String>());
    let as_folded = fold(&skeleton(&plain).collect::<String>());
    let mut all = vec![plain.clone()];
    for text in [as_typed, as_folded] {
        if !all.contains(&text) {
            all.push(text);
        }
    }
    Likeness { plain, all }
}

fn fold(text: &str) -> String {
    text.chars().default_case_fold().nfkc().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alike(left: &str, right: &str) -> bool {
        let (left, right) = (likeness(left), likeness(right));
        left.all.iter().any(|text| right.all.contains(text))
    }

    #[test]
    fn names_that_look_alike_count_as_the_same() {
        let table = [
            ("paypal", "PayPal"),
            ("paypal", "paypaI"),
            ("paypal", "paypa1"),
            ("paypal", "p\u{430}ypal"),                       // Cyrillic a
            ("HELLO", "\u{41d}\u{415}LL\u{41e}"),             // Cyrillic capitals
            ("scope", "\u{455}\u{441}\u{43e}\u{440}\u{435}"), // all Cyrillic
            ("modern", "rnodern"),
            ("b0b", "bob"),
            ("alice", "\u{ff41}\u{ff4c}\u{ff49}\u{ff43}\u{ff45}"), // full width
            ("office", "o\u{fb03}ce"),                             // ligature
            ("strasse", "stra\u{df}e"),                            // sharp s
            ("caf\u{e9}", "cafe\u{301}"),                          // composed and decomposed
            ("\u{3c3}\u{3af}\u{3b3}\u{3bc}\u{3b1}", "\u{3a3}\u{38a}\u{393}\u{39c}\u{391}"), // Greek sigma
        ];
        for (left, right) in table {
            assert!(alike(left, right), "{left} {right}");
            assert!(alike(right, left), "{right} {left}");
        }
    }

    #[test]
    fn names_that_differ_stay_different() {
        for (left, right) in [("alice", "alicia"), ("bob", "rob"), ("user2", "user3"), ("a.b", "a-b")] {
            assert!(!alike(left, right), "{left} {right}");
        }
    }
}
