//! What the user may do, as the server tells it: nothing is tried out.

use mongodb::bson::{Bson, Document, doc};

use super::MongoOptions;
use super::error::ConnectError;
use super::link::Link;

/// What the service does in every collection: what `readWrite` allows.
const NEEDED: [&str; 8] = [
    "find",
    "insert",
    "update",
    "remove",
    "createCollection",
    "createIndex",
    "listCollections",
    "listIndexes",
];

/// Changes the validator of a collection that is there, which `readWrite` does not allow.
pub(super) const CHANGE: &str = "collMod";

/// What the user may do in this database.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rights {
    /// Nothing if the server asks nobody who he is.
    privileges: Option<Vec<Document>>,
    database: String,
}

impl Rights {
    /// Asks the server.
    pub(super) async fn ask(link: &Link, options: &MongoOptions) -> Result<Self, ConnectError> {
        let database = link.client.database("admin");
        let command = doc! {"connectionStatus": 1, "showPrivileges": true};
        let call = async move { database.run_command(command).await };
        let told = link.call(call).await.map_err(|failed| failed.connect(options))?;
        Ok(Self::read(&told, &options.database))
    }

    fn read(told: &Document, database: &str) -> Self {
        let auth = told.get_document("authInfo").ok();
        let list = |name| {
            let members = auth.and_then(|auth| auth.get_array(name).ok()).into_iter().flatten();
            members.filter_map(Bson::as_document).cloned().collect::<Vec<_>>()
        };
        // With nobody logged in everything that was read so far was read without rights being asked for.
        let is_somebody = !list("authenticatedUsers").is_empty();
        let privileges = is_somebody.then(|| list("authenticatedUserPrivileges"));
        Self { privileges, database: database.to_owned() }
    }

    /// Whether this may be done with this collection.
    pub(super) fn allow(&self, action: &str, collection: &str) -> bool {
        let Some(privileges) = &self.privileges else { return true };
        privileges.iter().any(|privilege| self.covers(privilege, collection) && grants(privilege, action))
    }

    fn covers(&self, privilege: &Document, collection: &str) -> bool {
        let Ok(resource) = privilege.get_document("resource") else { return false };
        if resource.get_bool("anyResource").unwrap_or(false) {
            return true;
        }
        let is = |member, name: &str| {
            resource.get_str(member).is_ok_and(|found| found.is_empty() || found == name)
        };
        is("db", &self.database) && is("collection", collection)
    }

    /// Refuses a user who may not do what the service does.
    pub(super) fn check(&self, collections: &[&str]) -> Result<(), ConnectError> {
        let lacks = |action: &&&str| !collections.iter().all(|collection| self.allow(action, collection));
        let lacking: Vec<&str> = NEEDED.iter().filter(lacks).copied().collect();
        if lacking.is_empty() {
            return Ok(());
        }
        let why = format!("it may not {} there", lacking.join(", "));
        Err(ConnectError::Rights { database: self.database.clone(), why })
    }
}

fn grants(privilege: &Document, action: &str) -> bool {
    let actions = privilege.get_array("actions").into_iter().flatten();
    actions.filter_map(Bson::as_str).any(|granted| granted == action || granted == "anyAction")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rights(privileges: &[Document]) -> Rights {
        let auth = doc! {"authenticatedUsers": [{"user": "u"}], "authenticatedUserPrivileges": privileges};
        Rights::read(&doc! {"authInfo": auth}, "credit")
    }

    fn of(database: &str, collection: &str, actions: &[&str]) -> Document {
        doc! {"resource": {"db": database, "collection": collection}, "actions": actions}
    }

    #[test]
    fn a_right_counts_for_what_it_names_and_an_empty_name_is_all() {
        let some = rights(&[of("credit", "journal", &["insert"]), of("", "", &["find"])]);
        assert!(some.allow("insert", "journal") && some.allow("find", "store"));
        assert!(!some.allow("insert", "store") && !some.allow("update", "journal"));
        assert!(!rights(&[of("other", "", &["insert"])]).allow("insert", "journal"));
        let any = doc! {"resource": {"anyResource": true}, "actions": ["anyAction"]};
        assert!(rights(&[any]).allow("insert", "journal"));
        let cluster = doc! {"resource": {"cluster": true}, "actions": ["insert"]};
        assert!(!rights(&[cluster]).allow("insert", "journal"));
    }

    #[test]
    fn where_nobody_is_asked_who_he_is_everything_is_allowed() {
        let nobody = doc! {"authInfo": {"authenticatedUsers": [], "authenticatedUserPrivileges": []}};
        assert_eq!(Rights::read(&nobody, "credit").check(&["journal"]).ok(), Some(()));
    }

    #[test]
    fn what_is_lacking_is_named() {
        let reader = rights(&[of("credit", "", &["find", "listCollections", "listIndexes"])]);
        let refused = reader.check(&["journal", "store"]).expect_err("refused").to_string();
        assert!(refused.contains("insert, update, remove, createCollection, createIndex"), "{refused}");
        assert!(refused.contains("readWrite on the database credit"), "{refused}");
        let all = rights(&[of("credit", "", &NEEDED)]);
        assert!(all.check(&["journal", "store"]).is_ok());
    }
}
