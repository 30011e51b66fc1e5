//! Users as documents.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use credit_api::form::Metadata;
use credit_core::ports::StoreError;
use credit_core::ports::documents::{
    Collection, Document, Documents, Index, IndexKeys, Key, Position, Query, Write,
};
use credit_core::ports::keys::{KeyedHash, Place, Sealer};
use credit_core::{AppId, Role, Timestamp, UserId};
use serde::{Deserialize, Serialize};

use super::{decode, encode};
use crate::domain::{Email, Status, User, Username};

/// The e-mail index holds keyed hashes: the addresses themselves are encrypted.
pub(crate) static USERS: Collection = Collection {
    name: "users",
    indexes: &[
        Index { name: USERNAME, unique: true },
        Index { name: EMAIL, unique: true },
        Index { name: BY_NAME, unique: false },
        Index { name: BY_STATUS, unique: false },
        Index { name: BY_ROLE, unique: false },
    ],
};
pub(crate) const USERNAME: &str = "username";
pub(crate) const EMAIL: &str = "email";
const BY_NAME: &str = "by_name";
const BY_STATUS: &str = "by_status";
const BY_ROLE: &str = "by_role";

#[derive(Serialize, Deserialize)]
struct UserDocument {
    /// Of this layout.
    format: u8,
    username: Option<String>,
    /// Sealed.
    email: Option<String>,
    /// Sealed JSON.
    profile: Option<String>,
    password: Option<String>,
    status: Status,
    roles: Vec<Role>,
    created_at: Timestamp,
    updated_at: Timestamp,
    /// The ids of the keys under which the e-mail address is found; empty where that was not noted yet.
    #[serde(default)]
    found_under: Vec<String>,
}

/// What is sealed or hashed in a user, and under which of our keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeysOfUser {
    /// `email` and `profile`, those that are there.
    pub(crate) sealed: Vec<(&'static str, String)>,
    /// Of the index of e-mail addresses; empty if there is no address, or it was not noted.
    pub(crate) found_under: Vec<String>,
    /// Whether there is an address.
    pub(crate) has_email: bool,
}

/// What every request of a user asks: nothing that is sealed.
#[derive(Deserialize)]
pub(crate) struct UserHead {
    pub(crate) status: Status,
    pub(crate) roles: Vec<Role>,
}

/// What a list looks at to tell whether it shows a user: nothing that is sealed.
#[derive(Deserialize)]
pub(crate) struct ListedHead {
    pub(crate) username: Option<String>,
    pub(crate) status: Status,
    pub(crate) roles: Vec<Role>,
}

/// Where a list looks for users, and in which order.
#[derive(Debug, Clone)]
pub(crate) enum Shelf {
    /// All, by age.
    All,
    /// Those with a status, by age.
    Status(Status),
    /// Those with a role, by age.
    Role(Role),
    /// Those whose folded name begins so, by name.
    NamePrefix(String),
}

impl Shelf {
    /// The query of so many rows behind a position: newest first, except by name.
    pub(crate) fn query(&self, after: Option<Position>, limit: usize) -> Query {
        let query = match self {
            Self::All => Query::new(&USERS, None, Key::empty(), limit).descending(),
            Self::Status(status) => {
                Query::new(&USERS, Some(BY_STATUS), Key::text(status.as_str()), limit).descending()
            }
            Self::Role(role) => Query::new(&USERS, Some(BY_ROLE), role_key(*role), limit).descending(),
            Self::NamePrefix(prefix) => {
                Query::new(&USERS, Some(BY_NAME), Key::empty().and_text_prefix(prefix), limit)
            }
        };
        Query { after, ..query }
    }
}

/// Reads and writes down users.
pub(crate) struct UserStore {
    documents: Arc<dyn Documents>,
    sealer: Arc<dyn Sealer>,
    hash: Arc<dyn KeyedHash>,
}

impl UserStore {
    pub(crate) fn new(
        documents: Arc<dyn Documents>,
        sealer: Arc<dyn Sealer>,
        hash: Arc<dyn KeyedHash>,
    ) -> Self {
        Self { documents, sealer, hash }
    }

    pub(crate) async fn find(&self, app: AppId, id: UserId) -> Result<Option<User>, StoreError> {
        let document = self.documents.get(app, &USERS, &id.to_string()).await?;
        document.map(|document| self.open(app, &document)).transpose()
    }

    /// By the name as it is typed, in any case; a name that only looks alike finds nobody.
    pub(crate) async fn by_username(&self, app: AppId, name: &str) -> Result<Option<User>, StoreError> {
        let plain = crate::domain::likeness(name).plain;
        let user = self.unique(app, USERNAME, Key::text(&plain)).await?;
        Ok(user.filter(|user| user.username.as_ref().is_some_and(|name| name.likeness().plain == plain)))
    }

    /// By the address as it is typed, in any case.
    pub(crate) async fn by_email(&self, app: AppId, email: &str) -> Result<Option<User>, StoreError> {
        let plain = crate::domain::likeness(email).plain;
        let mut user = None;
        for key in self.email_keys(app, &plain) {
            user = self.unique(app, EMAIL, key).await?;
            if user.is_some() {
                break;
            }
        }
        Ok(user.filter(|user| user.email.as_ref().is_some_and(|email| email.likeness().plain == plain)))
    }

    /// A new user. Conflicts in [`USERNAME`] or [`EMAIL`] if one of them is taken.
    pub(crate) fn insert(&self, user: &User) -> Write {
        let (body, keys) = self.body_and_keys(user);
        Write::Insert { collection: &USERS, id: user.id.to_string(), body: body.into(), keys }
    }

    /// The next version of the user; conflicts unless it is kept at `user.version`.
    pub(crate) fn replace(&self, user: &User) -> Write {
        let (body, keys) = self.body_and_keys(user);
        let (id, version) = (user.id.to_string(), user.version);
        Write::Replace { collection: &USERS, id, version, body: body.into(), keys }
    }

    /// Holds only while the user is as it was read.
    pub(crate) fn unchanged(user: &User) -> Write {
        Write::Require { collection: &USERS, id: user.id.to_string(), version: user.version }
    }

    async fn unique(&self, app: AppId, index: &'static str, key: Key) -> Result<Option<User>, StoreError> {
        let rows = self.documents.query(app, Query::new(&USERS, Some(index), key, 1)).await?;
        rows.first().map(|row| self.open(app, &row.document)).transpose()
    }

    /// Which of our keys hold what of a user, from its document as it is.
    pub(crate) fn keys_of(&self, document: &Document) -> Result<KeysOfUser, StoreError> {
        let kept: UserDocument = decode(document)?;
        let fields = [("email", &kept.email), ("profile", &kept.profile)];
        let sealed = fields
            .into_iter()
            .filter_map(|(field, sealed)| Some((field, self.sealer.key_of(sealed.as_deref()?))))
            .collect();
        Ok(KeysOfUser { sealed, found_under: kept.found_under, has_email: kept.email.is_some() })
    }

    /// Whether something of it is not under the newest key, or can be found under one that is not known any more.
    pub(crate) fn is_stale(&self, keys: &KeysOfUser) -> bool {
        let newest = self.sealer.key_ids().into_iter().next();
        let sealed = keys.sealed.iter().any(|(_, key)| Some(key) != newest.as_ref());
        sealed || (keys.has_email && keys.found_under != self.hash.key_ids())
    }

    /// The ids of the keys that seal and of those that find, the newest first.
    pub(crate) fn key_ids(&self) -> (Vec<String>, Vec<String>) {
        (self.sealer.key_ids(), self.hash.key_ids())
    }

    /// Under every key that is known: while keys are rotated, an address is found and is unique under each, whichever
    /// of them a process knows as the newest.
    fn email_keys(&self, app: AppId, text: &str) -> Vec<Key> {
        let purpose = format!("email|{app}");
        let newest = std::iter::once(self.hash.hash(&purpose, text));
        let hashes = newest.chain(self.hash.earlier(&purpose, text));
        hashes.map(|hash| Key::text(&URL_SAFE_NO_PAD.encode(hash))).collect()
    }

    /// The keys may be replaced at any moment: both are made under the same ones.
    fn body_and_keys(&self, user: &User) -> (Vec<u8>, IndexKeys) {
        loop {
            let ids = self.hash.key_ids();
            let keys = self.keys(user);
            if ids == self.hash.key_ids() {
                return (self.body(user, ids), keys);
            }
        }
    }

    fn keys(&self, user: &User) -> IndexKeys {
        let mut keys = vec![(BY_STATUS, Key::text(user.status.as_str()))];
        if let Some(name) = &user.username {
            let likeness = name.likeness();
            keys.push((BY_NAME, Key::text(&likeness.plain)));
            keys.extend(likeness.all.iter().map(|text| (USERNAME, Key::text(text))));
        }
        if let Some(email) = &user.email {
            let texts = &email.likeness().all;
            keys.extend(
                texts.iter().flat_map(|text| self.email_keys(user.app, text)).map(|key| (EMAIL, key)),
            );
        }
        keys.extend(user.roles.iter().map(|role| (BY_ROLE, role_key(*role))));
        keys
    }

    fn body(&self, user: &User, found_under: Vec<String>) -> Vec<u8> {
        let id = user.id.to_string();
        let profile = user.profile.as_ref().map(|profile| {
            let plain = serde_json::to_string(profile).expect("pairs of text have a JSON form");
            self.sealer.seal(place(user.app, &id, "profile"), &plain)
        });
        encode(&UserDocument {
            format: 1,
            username: user.username.as_ref().map(|name| name.as_str().to_owned()),
            email: user
                .email
                .as_ref()
                .map(|email| self.sealer.seal(place(user.app, &id, "email"), email.as_str())),
            profile,
            password: user.password_hash.clone(),
            status: user.status,
            roles: user.roles.clone(),
            created_at: user.created_at,
            updated_at: user.updated_at,
            found_under: if user.email.is_some() { found_under } else { Vec::new() },
        })
    }

    /// The user in a document.
    pub(crate) fn open(&self, app: AppId, document: &Document) -> Result<User, StoreError> {
        let corrupt = |what: &str| StoreError::Corrupt(format!("user {}: {what}", document.id));
        let kept: UserDocument = decode(document)?;
        let unseal = |field: &'static str, sealed: &str| {
            self.sealer.open(place(app, &document.id, field), sealed).map_err(|_| corrupt(field))
        };
        let profile = kept.profile.map(|sealed| unseal("profile", &sealed)).transpose()?;
        let email = kept.email.map(|sealed| unseal("email", &sealed)).transpose()?;
        Ok(User {
            app,
            id: UserId::parse(&document.id).map_err(|_| corrupt("id"))?,
            username: kept.username.map(Username::from_kept),
            email: email.map(Email::from_kept),
            profile: profile
                .map(|plain| serde_json::from_str::<Metadata>(&plain).map_err(|_| corrupt("profile")))
                .transpose()?,
            password_hash: kept.password,
            status: kept.status,
            roles: kept.roles,
            created_at: kept.created_at,
            updated_at: kept.updated_at,
            version: document.version,
        })
    }
}

/// What a document of this collection says without its sealed fields.
pub(crate) fn head(document: &Document) -> Result<UserHead, StoreError> {
    decode(document)
}

/// What a list looks at in a document of this collection.
pub(crate) fn listed_head(document: &Document) -> Result<ListedHead, StoreError> {
    decode(document)
}

fn place<'a>(app: AppId, id: &'a str, field: &'a str) -> Place<'a> {
    Place { app, collection: USERS.name, id, field }
}

fn role_key(role: Role) -> Key {
    Key::text(match role {
        Role::User => "user",
        Role::Support => "support",
        Role::Admin => "admin",
    })
}
