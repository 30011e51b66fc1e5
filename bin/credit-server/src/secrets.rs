//! The secrets of a running service: those that were given, and in profile `dev` those that it makes itself.

use std::path::Path;

use anyhow::{Context, Result};
use credit_core::ports::keys::SecretSource;
use serde::{Deserialize, Deserializer, Serialize};

use crate::config::{KeyMaterial, Settings};
use crate::private_file;

/// In `data_dir`, mode 0600: what profile `dev` made, kept so that it stays the same from start to start.
pub(crate) const DEV_SECRETS: &str = "dev-secrets.json";

/// Every key that the service works with. Of several, the first is the newest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Secrets {
    pub(crate) token_keys: Vec<KeyMaterial>,
    pub(crate) encryption_keys: Vec<KeyMaterial>,
    pub(crate) index_keys: Vec<KeyMaterial>,
    pub(crate) cursor_key: KeyMaterial,
}

/// A set of keys that can be rotated: the newest works, the others still open what they closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum KeySet {
    /// `auth.token_keys`, which sign access tokens
    Token,
    /// `encryption.keys`, which seal personal fields
    Encryption,
    /// `encryption.index_keys`, which find what is sealed and keep API keys
    Index,
}

impl KeySet {
    /// Its key in the configuration.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Token => "auth.token_keys",
            Self::Encryption => "encryption.keys",
            Self::Index => "encryption.index_keys",
        }
    }
}

/// What is done to a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// A new key in front.
    Rotate,
    /// None but the newest.
    Retire,
}

impl Change {
    /// Does it.
    pub(crate) fn apply(self, keys: &mut Vec<KeyMaterial>, source: &dyn SecretSource) {
        match self {
            Self::Rotate => keys.insert(0, KeyMaterial::new(source.secret())),
            Self::Retire => keys.truncate(1),
        }
    }
}

/// What profile `dev` makes where nothing is given; of several, the first is the newest. The names are those in the
/// file; earlier versions wrote one key of each.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DevSecrets {
    #[serde(alias = "token_key", deserialize_with = "one_or_more")]
    token_keys: Vec<KeyMaterial>,
    #[serde(alias = "encryption_key", deserialize_with = "one_or_more")]
    encryption_keys: Vec<KeyMaterial>,
    #[serde(alias = "index_key", deserialize_with = "one_or_more")]
    index_keys: Vec<KeyMaterial>,
    cursor_key: KeyMaterial,
}

fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<KeyMaterial>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMore {
        One(KeyMaterial),
        More(Vec<KeyMaterial>),
    }
    match OneOrMore::deserialize(deserializer)? {
        OneOrMore::One(key) => Ok(vec![key]),
        OneOrMore::More(keys) if keys.is_empty() => Err(serde::de::Error::custom("no key")),
        OneOrMore::More(keys) => Ok(keys),
    }
}

impl Secrets {
    /// The given secrets, completed by those of profile `dev`. In profile `prod` every one was given: the
    /// configuration has been judged.
    pub(crate) fn complete(settings: &Settings, source: &dyn SecretSource) -> Result<Self> {
        let given = Given::of(settings);
        match given.whole() {
            Some(whole) => Ok(whole),
            None => Ok(given.completed_by(DevSecrets::kept_or_made(&settings.data_dir, source)?)),
        }
    }

    /// The same while the service runs: what was made and is gone is not made again.
    pub(crate) fn kept(settings: &Settings) -> Result<Self> {
        let given = Given::of(settings);
        match given.whole() {
            Some(whole) => Ok(whole),
            None => Ok(given.completed_by(DevSecrets::there(&settings.data_dir)?)),
        }
    }

    /// New ones that are kept nowhere, for work that keeps nothing either.
    pub(crate) fn fleeting(source: &dyn SecretSource) -> Self {
        let nothing = Given { token_keys: &[], encryption_keys: &[], index_keys: &[], cursor_key: None };
        nothing.completed_by(DevSecrets::made(source))
    }
}

struct Given<'a> {
    token_keys: &'a [KeyMaterial],
    encryption_keys: &'a [KeyMaterial],
    index_keys: &'a [KeyMaterial],
    cursor_key: Option<&'a KeyMaterial>,
}

impl<'a> Given<'a> {
    fn of(settings: &'a Settings) -> Self {
        Self {
            token_keys: &settings.auth.token_keys,
            encryption_keys: &settings.encryption.keys,
            index_keys: &settings.encryption.index_keys,
            cursor_key: settings.encryption.cursor_key.as_ref(),
        }
    }

    fn whole(&self) -> Option<Secrets> {
        if [self.token_keys, self.encryption_keys, self.index_keys].iter().any(|keys| keys.is_empty()) {
            return None;
        }
        Some(Secrets {
            token_keys: self.token_keys.to_vec(),
            encryption_keys: self.encryption_keys.to_vec(),
            index_keys: self.index_keys.to_vec(),
            cursor_key: self.cursor_key?.clone(),
        })
    }

    fn completed_by(&self, made: DevSecrets) -> Secrets {
        let or = |given: &[KeyMaterial], made| if given.is_empty() { made } else { given.to_vec() };
        Secrets {
            token_keys: or(self.token_keys, made.token_keys),
            encryption_keys: or(self.encryption_keys, made.encryption_keys),
            index_keys: or(self.index_keys, made.index_keys),
            cursor_key: self.cursor_key.cloned().unwrap_or(made.cursor_key),
        }
    }
}

impl DevSecrets {
    /// Those kept in this directory, if any can be read.
    pub(crate) fn kept(data_dir: &Path) -> Option<Self> {
        serde_json::from_str(&std::fs::read_to_string(data_dir.join(DEV_SECRETS)).ok()?).ok()
    }

    /// Whether this key is one of them.
    pub(crate) fn contain(&self, key: &KeyMaterial) -> bool {
        let sets = [&self.token_keys, &self.encryption_keys, &self.index_keys];
        self.cursor_key == *key || sets.iter().any(|keys| keys.contains(key))
    }

    /// Changes these sets; written down in one step.
    pub(crate) fn change(
        data_dir: &Path,
        sets: &[KeySet],
        change: Change,
        source: &dyn SecretSource,
    ) -> Result<()> {
        let _one_at_a_time = private_file::lock_directory(data_dir)?;
        let path = data_dir.join(DEV_SECRETS);
        let mut kept = Self::kept(data_dir).with_context(|| format!("{} cannot be read", path.display()))?;
        for set in sets {
            change.apply(
                match set {
                    KeySet::Token => &mut kept.token_keys,
                    KeySet::Encryption => &mut kept.encryption_keys,
                    KeySet::Index => &mut kept.index_keys,
                },
                source,
            );
        }
        private_file::replace(&path, &serde_json::to_string_pretty(&kept)?)
    }

    fn kept_or_made(data_dir: &Path, source: &dyn SecretSource) -> Result<Self> {
        let path = data_dir.join(DEV_SECRETS);
        if !path.exists() {
            let made = Self::made(source);
            private_file::create_directory(data_dir)?;
            // Several processes may share the directory and start at once: all work with what one of them made.
            if private_file::create(&path, &serde_json::to_string_pretty(&made)?)? {
                return Ok(made);
            }
        }
        Self::there(data_dir)
    }

    /// Those kept in this directory. New ones in their place would make what is kept unreadable for ever.
    fn there(data_dir: &Path) -> Result<Self> {
        Self::kept(data_dir).with_context(|| {
            format!(
                "{} cannot be read; without these secrets what is in the store cannot be opened",
                data_dir.join(DEV_SECRETS).display()
            )
        })
    }

    fn made(source: &dyn SecretSource) -> Self {
        let key = || KeyMaterial::new(source.secret());
        Self {
            token_keys: vec![key()],
            encryption_keys: vec![key()],
            index_keys: vec![key()],
            cursor_key: key(),
        }
    }
}

#[cfg(test)]
mod tests {
    use credit_core::testkit::CountingSecrets;

    use super::*;
    use crate::config::{Sources, load};

    fn settings(data_dir: &Path, environment: &[(&str, &str)]) -> Settings {
        let mut sources = Sources::default();
        sources.environment.insert("CREDIT_DATA_DIR".into(), data_dir.display().to_string());
        sources.environment.extend(environment.iter().map(|(name, text)| ((*name).into(), (*text).into())));
        load(&sources).unwrap_or_else(|faults| panic!("{faults}"))
    }

    #[test]
    fn profile_dev_makes_its_secrets_once() {
        let home = tempfile::tempdir().expect("a directory");
        let settings = settings(&home.path().join("new"), &[]);
        let first = Secrets::complete(&settings, &CountingSecrets::default()).expect("made");
        let again = Secrets::complete(&settings, &CountingSecrets::default()).expect("kept");
        assert_eq!(first.token_keys, again.token_keys);
        assert_eq!(first.encryption_keys, again.encryption_keys);
        assert_eq!((&first.index_keys, &first.cursor_key), (&again.index_keys, &again.cursor_key));
        assert_ne!(first.index_keys[0], first.cursor_key);
    }

    #[test]
    fn a_given_secret_wins_and_the_others_are_made() {
        let home = tempfile::tempdir().expect("a directory");
        let given = "0123456789abcdef".repeat(4);
        let settings = settings(home.path(), &[("CREDIT_ENCRYPTION__INDEX_KEYS", &given)]);
        let secrets = Secrets::complete(&settings, &CountingSecrets::default()).expect("completed");
        assert_eq!(secrets.index_keys.first(), KeyMaterial::parse(&given).as_ref());
        assert_eq!(secrets.token_keys.len(), 1);
    }

    #[test]
    fn a_rotation_puts_new_keys_in_front_and_retiring_leaves_the_newest() {
        let home = tempfile::tempdir().expect("a directory");
        let settings = settings(home.path(), &[]);
        let source = CountingSecrets::default();
        let now = || Secrets::complete(&settings, &source).expect("kept");
        let change = |sets: &[KeySet], change| DevSecrets::change(home.path(), sets, change, &source);
        let first = now();
        change(&[KeySet::Encryption, KeySet::Index], Change::Rotate).expect("rotated");
        let second = now();
        assert_eq!(second.token_keys, first.token_keys);
        assert_eq!(
            (second.encryption_keys.len(), &second.encryption_keys[1]),
            (2, &first.encryption_keys[0])
        );
        assert_eq!((second.index_keys.len(), &second.index_keys[1]), (2, &first.index_keys[0]));
        change(&[KeySet::Encryption], Change::Retire).expect("retired");
        let third = now();
        assert_eq!(third.encryption_keys, second.encryption_keys[..1]);
        assert_eq!(third.index_keys, second.index_keys);
    }

    #[test]
    fn what_earlier_versions_wrote_down_is_read() {
        let home = tempfile::tempdir().expect("a directory");
        let key = |digit: &str| digit.repeat(64);
        let kept = serde_json::json!({
            "token_key": key("1"), "encryption_key": key("2"), "index_key": key("3"), "cursor_key": key("4"),
        });
        std::fs::write(home.path().join(DEV_SECRETS), kept.to_string()).expect("written");
        let secrets =
            Secrets::complete(&settings(home.path(), &[]), &CountingSecrets::default()).expect("kept");
        assert_eq!(secrets.index_keys, [KeyMaterial::parse(&key("3")).expect("a key")]);
    }

    #[test]
    fn secrets_that_cannot_be_read_are_not_replaced() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join(DEV_SECRETS);
        std::fs::write(&path, "{}").expect("written");
        let refused = Secrets::complete(&settings(home.path(), &[]), &CountingSecrets::default());
        assert!(refused.is_err());
        let gone = home.path().join("gone");
        assert!(Secrets::kept(&settings(&gone, &[])).is_err());
        assert!(!gone.exists(), "none are made while the service runs");
        assert_eq!(std::fs::read_to_string(&path).expect("there"), "{}");
    }
}
