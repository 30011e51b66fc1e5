//! What a MongoDB must be before anything is kept in it.

use mongodb::bson::{Document, doc};

use super::MongoOptions;
use super::error::ConnectError;
use super::link::Link;

/// The oldest release that is supported.
const OLDEST: (i64, i64) = (6, 0);

/// What was found at the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    /// Its release, as it says.
    pub(super) version: String,
    /// Whether it is a sharded cluster rather than a replica set.
    pub(super) is_sharded: bool,
    /// The name of the replica set.
    pub(super) set: Option<String>,
}

/// Refuses what cannot keep the promises.
pub(super) async fn check(link: &Link, options: &MongoOptions) -> Result<Server, ConnectError> {
    let hello = admin(link, doc! {"hello": 1}, options).await?;
    let is_sharded = hello.get_str("msg").is_ok_and(|msg| msg == "isdbgrid");
    let set = hello.get_str("setName").ok().map(ToOwned::to_owned);
    if set.is_none() && !is_sharded {
        return Err(ConnectError::Standalone);
    }
    let build = admin(link, doc! {"buildInfo": 1}, options).await?;
    let version = build.get_str("version").unwrap_or_default().to_owned();
    if !is_supported(&version) {
        return Err(ConnectError::TooOld { found: version });
    }
    if !is_sharded {
        check_majority_journals(link, options).await?;
    }
    Ok(Server { version, is_sharded, set })
}

/// With `writeConcernMajorityJournalDefault: false` a majority may roll back. Reading the configuration takes a right
/// that an ordinary user does not have; without it the operator is told to look himself.
async fn check_majority_journals(link: &Link, options: &MongoOptions) -> Result<(), ConnectError> {
    let config = match admin(link, doc! {"replSetGetConfig": 1}, options).await {
        Ok(config) => config,
        Err(ConnectError::Rights { .. }) => {
            tracing::warn!(
                "the user of store.mongodb.uri may not read the configuration of the replica set \
                 (role clusterMonitor): see yourself that writeConcernMajorityJournalDefault is true"
            );
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let journals = config
        .get_document("config")
        .ok()
        .and_then(|config| config.get_bool("writeConcernMajorityJournalDefault").ok());
    if journals == Some(false) { Err(ConnectError::NotJournalled) } else { Ok(()) }
}

async fn admin(link: &Link, command: Document, options: &MongoOptions) -> Result<Document, ConnectError> {
    let database = link.client.database("admin");
    link.call(async move { database.run_command(command).await })
        .await
        .map_err(|failed| failed.connect(options))
}

fn is_supported(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse::<i64>().unwrap_or_default());
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default()) >= OLDEST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_before_six_are_refused() {
        for version in ["6.0.0", "6.0.5", "7.0.14", "8.2.1", "10.0.0-rc1"] {
            assert!(is_supported(version), "{version}");
        }
        for version in ["5.3.9", "4.4.29", "", "what"] {
            assert!(!is_supported(version), "{version}");
        }
    }
}
