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

/// Passwords that lists of broken ones begin with, of those that are long enough; in lower case, one a line.
const COMMON: &str = include_str!("common_passwords.txt");

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

/// Whether a lower-case password is on the list, with or without signs at its end, or is one character again and again.
///
/// No guessing beyond that: what only resembles a known password is not known.
fn is_common(password: &str) -> bool {
    let bare = password.trim_end_matches(|character: char| character.is_ascii_punctuation());
    let listed = |text: &str| COMMON.lines().any(|line| line == text);
    let mut characters = password.chars();
    let first = characters.next();
    listed(password) || listed(bare) || characters.all(|character| Some(character) == first)
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
            "Password123!",
            "PASSWORD1234!!",
            "Password1!",
            "P@ssw0rd123",
            "1234567890",
            "0987654321",
            "12345678910",
            "1111111111",
            "aaaaaaaaaaaaaaa",
            "qwertyuiop",
            "QWERTYUIOP",
            "qwerty12345",
            "1q2w3e4r5t",
            "1qaz2wsx3edc",
            "iloveyou123",
            "administrator",
            "Passwordpassword",
            "changeme123",
            "abcdefghij",
        ] {
            assert_eq!(weakness(common), Some(Weakness::Common), "{common}");
        }
    }

    #[test]
    fn what_only_resembles_a_common_password_is_none() {
        for fine in [
            "correct horse battery staple",
            "otter-Lamp-42",
            "Secret-12345",
            "Secret-12345!",
            "password-1234",
            "SuperSecret123!",
            "my password 123",
            "Welcome-to-2026",
            "a long enough secret",
            "x9$kd0qLm2",
        ] {
            assert_eq!(weakness(fine), None, "{fine}");
        }
    }

    #[test]
    fn the_list_has_what_could_be_a_password_and_nothing_twice() {
        let lines: Vec<&str> = COMMON.lines().collect();
        assert!(lines.is_sorted_by(|left, right| left < right), "sorted, each once");
        for line in lines {
            assert!((10..=128).contains(&line.chars().count()) && line == line.to_lowercase(), "{line}");
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
