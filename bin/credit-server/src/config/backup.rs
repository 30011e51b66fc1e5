//! Backups of the embedded store, made by the running service.

use std::path::PathBuf;
use std::time::Duration;

use super::fault::Fault;
use super::settings::{JudgedKeys, Values, origin, text};

const DIRECTORY: &str = "backup.directory";

/// Where backups are put, how often, and how many are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Backups {
    pub(crate) directory: PathBuf,
    pub(crate) every: Duration,
    pub(crate) keep: usize,
}

impl Backups {
    /// If a place was named.
    pub(super) fn of(values: &mut Values) -> Option<Self> {
        let (every, keep) = (values.length("backup.every"), values.whole("backup.keep"));
        let directory = values.text(DIRECTORY)?.into();
        Some(Self { directory, every, keep })
    }
}

/// Somebody who names a place for backups of a store that is backed up by other means would wait for them in vain.
pub(super) fn judge(judged: &JudgedKeys, faults: &mut Vec<Fault>) {
    if text(judged, DIRECTORY).is_some() && text(judged, "store.backend") == Some("mongodb") {
        let complaint = "is for the embedded store; a MongoDB is backed up by its own means (docs/backup.md)";
        faults.push(Fault::new(DIRECTORY, origin(judged, DIRECTORY), complaint));
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Sources, load};
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Result<Option<Backups>, String> {
        let mut sources = Sources::default();
        for (name, value) in variables {
            sources.environment.insert(format!("CREDIT_{name}"), (*value).to_owned());
        }
        load(&sources).map(|settings| settings.backups).map_err(|faults| faults.to_string())
    }

    #[test]
    fn backups_are_made_where_a_place_is_named_and_once_a_day() {
        assert_eq!(with(&[("BACKUP__EVERY", "1h")]), Ok(None), "nowhere to put them");
        let daily = Backups { directory: "/backups".into(), every: Duration::from_secs(86_400), keep: 14 };
        assert_eq!(with(&[("BACKUP__DIRECTORY", "/backups")]), Ok(Some(daily.clone())));
        let hourly = Backups { every: Duration::from_secs(3600), keep: 3, ..daily };
        let named = [("BACKUP__DIRECTORY", "/backups"), ("BACKUP__EVERY", "1h"), ("BACKUP__KEEP", "3")];
        assert_eq!(with(&named), Ok(Some(hourly)));
        assert!(with(&[("BACKUP__DIRECTORY", "/backups"), ("BACKUP__KEEP", "0")]).is_err());
    }

    #[test]
    fn a_place_for_backups_of_a_mongodb_is_a_fault() {
        let faults = with(&[
            ("BACKUP__DIRECTORY", "/backups"),
            ("STORE__BACKEND", "mongodb"),
            ("STORE__MONGODB__URI", "mongodb://db.example/?replicaSet=rs0"),
        ]);
        assert!(faults.expect_err("a fault").contains("backup.directory"));
    }
}
