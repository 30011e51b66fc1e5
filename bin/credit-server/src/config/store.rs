//! Where everything is kept.

use secrecy::{ExposeSecret, SecretString};

use super::fault::Fault;
use super::settings::{JudgedKeys, Values, origin, text};
use super::value::Setting;

/// The store of the configuration. It is chosen once and never falls back to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    /// In `data_dir`, for one process.
    Embedded,
    /// On a replica set or a sharded cluster, for any number of processes.
    Mongodb,
}

/// Which `MongoDB`, and which database there.
#[derive(Debug, Clone)]
pub(crate) struct Mongodb {
    pub(crate) uri: SecretString,
    pub(crate) database: String,
    /// Which store it has to be, if that is said.
    pub(crate) store_id: Option<u128>,
}

const URI: &str = "store.mongodb.uri";
const DATABASE: &str = "store.mongodb.database";
const STORE_ID: &str = "store.mongodb.store_id";
const SCHEMES: [&str; 2] = ["mongodb://", "mongodb+srv://"];
/// What `MongoDB` keeps for itself.
const RESERVED: [&str; 3] = ["admin", "config", "local"];
const LONGEST_DATABASE_NAME: usize = 63;

/// Where `MongoDB` is can be right, and is said if it is the store.
pub(super) fn judge(judged: &JudgedKeys, faults: &mut Vec<Fault>) {
    match judged.get(URI).and_then(|kept| kept.setting.as_ref()) {
        Some(Setting::Secret(uri))
            if !SCHEMES.iter().any(|scheme| uri.expose_secret().starts_with(scheme)) =>
        {
            let complaint = "is no connection string; it begins with mongodb:// or mongodb+srv://";
            faults.push(Fault::new(URI, origin(judged, URI), complaint));
        }
        // One that is good, or that was given and has been complained of.
        _ if origin(judged, URI).is_some() => {}
        _ if text(judged, "store.backend") == Some("mongodb") => {
            let complaint = "is missing; store.backend mongodb takes the connection string of a replica set or of a \
                             sharded cluster, for example mongodb://db.example/?replicaSet=rs0";
            faults.push(Fault::new(URI, None, complaint));
        }
        _ => {}
    }
    if let Some(name) = text(judged, DATABASE)
        && !is_database_name(name)
    {
        let complaint = format!(
            "{name:?} is no name for it: 1 to {LONGEST_DATABASE_NAME} letters, digits, - and _, and not {}",
            RESERVED.join(", ")
        );
        faults.push(Fault::new(DATABASE, origin(judged, DATABASE), complaint));
    }
    if text(judged, STORE_ID).is_some_and(|text| read_store_id(text).is_none()) {
        let complaint = "is no id of a store: 32 hexadecimal digits, as credit-server store status shows it";
        faults.push(Fault::new(STORE_ID, origin(judged, STORE_ID), complaint));
    }
}

/// As `store status` shows it.
fn read_store_id(text: &str) -> Option<u128> {
    let is_one = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_one.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

/// Narrower than what `MongoDB` takes, so that it is a name on every file system and in every shell.
fn is_database_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=LONGEST_DATABASE_NAME).contains(&name.len())
        && name.bytes().all(fits)
        && !RESERVED.contains(&name.to_ascii_lowercase().as_str())
}

impl Mongodb {
    /// Where it is, if that was said: a store is also copied to one that the service does not work on yet.
    pub(super) fn of(values: &mut Values) -> Option<Self> {
        let database = values.text(DATABASE).unwrap_or_default();
        let store_id = values.text(STORE_ID).as_deref().and_then(read_store_id);
        Some(Self { uri: values.secret(URI)?, database, store_id })
    }
}
