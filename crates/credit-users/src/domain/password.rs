//! New passwords: long enough, and not what everybody tries first.

use credit_api::form::{Faults, FormValue, Schema, SecretText};
use credit_core::{Fault, Problem};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::{Email, Username, likeness};

/// 10 to 128 characters, and not among the known common ones.
#[derive(Debug, Clone)]
pub struct NewPassword(SecretString);

/// Why a text cannot be a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weakness {
    Length,
    Common,
}

/// Words that people build passwords of, and whole passwords that lists of broken ones begin with; one a line.
const COMMON: &str = include_str!("common_passwords.txt");
/// Rows of keys and other sequences that fingers and eyes know.
const RUNS: [&str; 8] = [
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890123456789",
    "qwertyuiopasdfghjklzxcvbnm",
    "qwertzuiopasdfghjklyxcvbnm",
    "azertyuiopqsdfghjklmwxcvbn",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
    "1q2w3e4r5t6y7u8i9o0p",
    "!@#$%^&*()_+",
];

impl NewPassword {
    /// Checks what can be checked of the password alone. Compare it with its owner by
    /// [`refuse_own_name`](Self::refuse_own_name).
    fn try_new(secret: SecretString) -> Result<Self, Weakness> {
        let text = secret.expose_secret();
        if !(10..=128).contains(&text.chars().count()) {
            return Err(Weakness::Length);
        }
        if is_common(&text.to_lowercase()) { Err(Weakness::Common) } else { Ok(Self(secret)) }
    }

    /// From text that came by another way than a form: the command line, the configuration.
    pub fn parse(secret: &SecretString, name: &str) -> Result<Self, Problem> {
        Self::try_new(secret.clone()).map_err(|weakness| Problem::invalid(vec![weakness.fault(name)]))
    }

    /// `422 validation_failed` at `pointer` if it is its owner's name or e-mail address.
    pub fn refuse_own_name(
        &self,
        pointer: &str,
        username: Option<&Username>,
        email: Option<&Email>,
    ) -> Result<(), Problem> {
        let names = [username.map(Username::as_str), email.map(Email::as_str)];
        match own_name_fault(pointer, self.0.expose_secret(), names) {
            Some(fault) => Err(Problem::invalid(vec![fault])),
            None => Ok(()),
        }
    }

    /// The password.
    pub(crate) fn into_secret(self) -> SecretString {
        self.0
    }
}

/// The fault of a password that is one of its owner's names, however it is typed.
pub(crate) fn own_name_fault(pointer: &str, password: &str, names: [Option<&str>; 2]) -> Option<Fault> {
    let password = likeness(password).plain;
    let is_name = names.into_iter().flatten().any(|name| likeness(name).plain == password);
    is_name.then(|| Fault::new(pointer, "invalid_value", "must not be the username or the e-mail address"))
}

impl Weakness {
    fn fault(self, pointer: &str) -> Fault {
        match self {
            Self::Length => Fault::new(pointer, "invalid_length", "must have 10 to 128 characters"),
            Self::Common => Fault::new(pointer, "invalid_value", "is a password that is tried first"),
        }
    }
}

/// Whether a lower-case password is on the list, is a listed word with digits and signs around it, repeats a short
/// piece, or runs along the keyboard or the alphabet.
fn is_common(password: &str) -> bool {
    let core = password.trim_matches(|character: char| !character.is_alphabetic());
    let plain: String = core.chars().map(unleet).collect();
    let whole: String = password.chars().map(unleet).collect();
    let whole = whole.trim_matches(|character: char| !character.is_alphabetic());
    let listed = |text: &str| !text.is_empty() && COMMON.lines().any(|line| line == text);
    listed(password) || listed(core) || listed(&plain) || listed(whole) || repeats(password) || runs(password)
}

/// What a digit or sign stands for when it is written for a letter.
fn unleet(character: char) -> char {
    match character {
        '0' => 'o',
        '1' | '!' => 'i',
        '3' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        '7' => 't',
        other => other,
    }
}

/// Whether a short piece stands there again and again. Nobody tries that at every length: beyond 20 it is none that is
/// known.
fn repeats(password: &str) -> bool {
    let characters: Vec<char> = password.chars().collect();
    characters.len() <= 20
        && (1..=4).any(|period| {
            characters.iter().zip(characters.iter().skip(period)).all(|(left, right)| left == right)
        })
}

fn runs(password: &str) -> bool {
    RUNS.iter().any(|run| {
        let back: String = run.chars().rev().collect();
        run.contains(password) || back.contains(password)
    })
}

impl FormValue for NewPassword {
    fn read(value: &Value, pointer: &str, faults: &mut Faults) -> Option<Self> {
        let secret = SecretText::read(value, pointer, faults)?.into_secret();
        match Self::try_new(secret) {
            Ok(password) => Some(password),
            Err(weakness) => {
                let fault = weakness.fault(pointer);
                faults.add(pointer, fault.code, fault.detail);
                None
            }
        }
    }

    fn schema() -> Schema {
        let mut schema = SecretText::schema();
        if let Schema::Object(object) = &mut schema {
            object.min_length = Some(10);
            object.max_length = Some(128);
        }
        schema
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weakness(text: &str) -> Option<Weakness> {
        NewPassword::try_new(text.into()).err()
    }

    #[test]
    fn a_password_has_10_to_128_characters() {
        assert_eq!(weakness("kiwi-tram9"), None);
        assert_eq!(weakness("kiwi-tram"), Some(Weakness::Length));
        assert_eq!(weakness(&"kiwi-tram9".repeat(13)[..128]), None);
        assert_eq!(weakness(&"kiwi-tram9".repeat(13)[..129]), Some(Weakness::Length));
        assert_eq!(weakness("ключ-от-дверей"), None);
    }

    #[test]
    fn what_everybody_tries_first_is_refused() {
        for common in [
            "password123",
            "Password1234!",
            "P@ssw0rd12",
            "1234567890",
            "0987654321",
            "qwertyuiop",
            "QWERTYUIOP",
            "qwerty123456",
            "1q2w3e4r5t",
            "1qaz2wsx3edc",
            "aaaaaaaaaa",
            "abcabcabcabc",
            "12121212121212",
            "iloveyou2024",
            "letmein!!!",
            "administrator",
            "welcome2026",
            "abcdefghij",
            "football99",
            "!@#$%^&*()",
            "Passwordpassword",
            "changeme123",
            "SuperSecret1",
            "123password",
        ] {
            assert_eq!(weakness(common), Some(Weakness::Common), "{common}");
        }
        for fine in
            ["correct horse battery", "otter-Lamp-42", "passwordless-otter", "x9$kd0qLm2", "1234-fish-5678"]
        {
            assert_eq!(weakness(fine), None, "{fine}");
        }
    }

    #[test]
    fn a_password_is_not_its_owners_name_in_any_case() {
        let name = Username::parse("margarethe.k").expect("a name");
        let email = Email::parse("mk@example.org").expect("an address");
        let refused = |text: &str| {
            let password = NewPassword::try_new(text.into()).expect("otherwise good");
            password.refuse_own_name("/password", Some(&name), Some(&email)).is_err()
        };
        assert!(refused("MARGARETHE.K") && refused("mk@Example.org"));
        assert!(!refused("margarethe.k2"));
    }

    #[test]
    fn a_password_is_not_printed() {
        let password = NewPassword::try_new("otter-Lamp-42".into()).expect("good");
        assert!(!format!("{password:?}").contains("otter"));
    }
}
