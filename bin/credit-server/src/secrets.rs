//! The secrets of a running service: those that were given, and in profile `dev` those that it makes itself.

use std::path::Path;

use anyhow::{Context, Result};
use credit_core::ports::keys::SecretSource;
use serde::{Deserialize, Serialize};

use crate::config::{KeyMaterial, Settings};
use crate::private_file;

/// In `data_dir`, mode 0600: what profile `dev` made, kept so that it stays the same from start to start.
pub(crate) const DEV_SECRETS: &str = "dev-secrets.json";

/// Every key that the service works with. Of several, the first is the newest.
#[derive(Debug)]
pub(crate) struct Secrets {
    pub(crate) token_keys: Vec<KeyMaterial>,
    pub(crate) encryption_keys: Vec<KeyMaterial>,
    pub(crate) index_key: KeyMaterial,
    pub(crate) cursor_key: KeyMaterial,
}

/// What profile `dev` makes where nothing is given.
#[derive(Debug, Serialize, Deserialize)]
#[expect(clippy::struct_field_names, reason = "the names in the file")]
pub(crate) struct DevSecrets {
    token_key: KeyMaterial,
    encryption_key: KeyMaterial,
    index_key: KeyMaterial,
    cursor_key: KeyMaterial,
}

impl Secrets {
    /// The given secrets, completed by those of profile `dev`. In profile `prod` every one was given: the
    /// configuration has been judged.
    pub(crate) fn complete(settings: &Settings, source: &dyn SecretSource) -> Result<Self> {
        let given = Given {
            token_keys: &settings.auth.token_keys,
            encryption_keys: &settings.encryption.keys,
            index_key: settings.encryption.index_key.as_ref(),
            cursor_key: settings.encryption.cursor_key.as_ref(),
        };
        if let Some(whole) = given.whole() {
            return Ok(whole);
        }
        Ok(given.completed_by(DevSecrets::kept_or_made(&settings.data_dir, source)?))
    }

    /// New ones that are kept nowhere, for work that keeps nothing either.
    pub(crate) fn fleeting(source: &dyn SecretSource) -> Self {
        let nothing = Given { token_keys: &[], encryption_keys: &[], index_key: None, cursor_key: None };
        nothing.completed_by(DevSecrets::made(source))
    }
}

struct Given<'a> {
    token_keys: &'a [KeyMaterial],
    encryption_keys: &'a [KeyMaterial],
    index_key: Option<&'a KeyMaterial>,
    cursor_key: Option<&'a KeyMaterial>,
}

impl Given<'_> {
    fn whole(&self) -> Option<Secrets> {
        if self.token_keys.is_empty() || self.encryption_keys.is_empty() {
            return None;
        }
        Some(Secrets {
            token_keys: self.token_keys.to_vec(),
            encryption_keys: self.encryption_keys.to_vec(),
            index_key: self.index_key?.clone(),
            cursor_key: self.cursor_key?.clone(),
        })
    }

    fn completed_by(&self, made: DevSecrets) -> Secrets {
        let or_one = |given: &[KeyMaterial], made| if given.is_empty() { vec![made] } else { given.to_vec() };
        Secrets {
            token_keys: or_one(self.token_keys, made.token_key),
            encryption_keys: or_one(self.encryption_keys, made.encryption_key),
            index_key: self.index_key.cloned().unwrap_or(made.index_key),
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
        [&self.token_key, &self.encryption_key, &self.index_key, &self.cursor_key].contains(&key)
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
        // New ones in their place would make what is kept unreadable for ever.
        Self::kept(data_dir).with_context(|| {
            format!(
                "{} cannot be read; without these secrets what is in the store cannot be opened",
                path.display()
            )
        })
    }

    fn made(source: &dyn SecretSource) -> Self {
        let key = || KeyMaterial::new(source.secret());
        Self { token_key: key(), encryption_key: key(), index_key: key(), cursor_key: key() }
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
        assert_eq!((&first.index_key, &first.cursor_key), (&again.index_key, &again.cursor_key));
        assert_ne!(first.index_key, first.cursor_key);
    }

    #[test]
    fn a_given_secret_wins_and_the_others_are_made() {
        let home = tempfile::tempdir().expect("a directory");
        let given = "0123456789abcdef".repeat(4);
        let settings = settings(home.path(), &[("CREDIT_ENCRYPTION__INDEX_KEY", &given)]);
        let secrets = Secrets::complete(&settings, &CountingSecrets::default()).expect("completed");
        assert_eq!(Some(secrets.index_key), KeyMaterial::parse(&given));
        assert_eq!(secrets.token_keys.len(), 1);
    }

    #[test]
    fn secrets_that_cannot_be_read_are_not_replaced() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join(DEV_SECRETS);
        std::fs::write(&path, "{}").expect("written");
        let refused = Secrets::complete(&settings(home.path(), &[]), &CountingSecrets::default());
        assert!(refused.is_err());
        assert_eq!(std::fs::read_to_string(&path).expect("there"), "{}");
    }
}
