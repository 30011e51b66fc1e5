//! E-mail addresses.

use std::fmt;

use credit_api::form::{Faults, FormValue, Schema, Text};
use serde_json::Value;

use super::{Likeness, likeness};

/// An e-mail address of at most 254 bytes: something, `@`, and a domain with a dot. Whether it exists only a letter to
/// it can tell.
#[derive(Clone, PartialEq, Eq)]
pub struct Email(String);

impl Email {
    /// Reads an address; `None` if it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let (local, domain) = text.rsplit_once('@')?;
        let local_is_right = (1..=64).contains(&local.len())
            && !local.starts_with('.')
            && !local.ends_with('.')
            && !local.contains("..")
            && local.chars().all(|c| !c.is_control() && !c.is_whitespace() && !r#"@"(),:;<>[\]"#.contains(c));
        let label_is_right = |label: &str| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.chars().all(|c| c.is_alphanumeric() || c == '-')
        };
        let domain_is_right = domain.contains('.') && domain.split('.').all(label_is_right);
        (text.len() <= 254 && local_is_right && domain_is_right).then(|| Self(text.to_owned()))
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

impl fmt::Debug for Email {
    /// A person's address has no place in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(…)")
    }
}

impl FormValue for Email {
    fn read(value: &Value, pointer: &str, faults: &mut Faults) -> Option<Self> {
        let text = Text::<3, 254>::read(value, pointer, faults)?;
        let email = Self::parse(text.as_str());
        if email.is_none() {
            faults.add(pointer, "invalid_format", "must be an e-mail address, for example ann@example.org");
        }
        email
    }

    fn schema() -> Schema {
        let mut schema = Text::<3, 254>::schema();
        if let Schema::Object(object) = &mut schema {
            object.format = Some(utoipa::openapi::SchemaFormat::Custom("email".to_owned()));
        }
        schema
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_knows_its_edges() {
        let long = format!("{}@example.org", "x".repeat(64));
        for right in ["a@b.co", "ann.o'neil+tag@mail.example.org", "用户@例子.中国", long.as_str()] {
            assert!(Email::parse(right).is_some(), "{right}");
        }
        let longer = format!("{}@example.org", "x".repeat(65));
        let longest = format!("a@{}.org", "x.".repeat(124));
        for wrong in [
            "",
            "a",
            "@b.co",
            "a@",
            "a@b",
            "a b@c.de",
            "a@b..co",
            "a@-b.co",
            ".a@b.co",
            "a..b@c.de",
            "a@b.co\n",
            "\"a\"@b.co",
            "a@b@c.de",
            longer.as_str(),
            longest.as_str(),
        ] {
            assert!(Email::parse(wrong).is_none(), "{wrong:?}");
        }
    }

    #[test]
    fn an_address_is_not_printed() {
        assert!(!format!("{:?}", Email::parse("ann@example.org")).contains("ann"));
    }
}
