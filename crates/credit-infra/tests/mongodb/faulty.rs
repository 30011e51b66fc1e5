//! A server that faults are set on.

use std::sync::OnceLock;
use std::time::Duration;

use credit_core::ports::StoreError;
use credit_core::ports::documents::Write;
use credit_core::ports::journal::{Appended, Group, Journal};
use credit_core::testkit::documents_contract::PLAIN;
use credit_infra::mongodb::{MongoOptions, MongoStore};
use credit_infra::testkit::mongod::{Mongo, Options};
use mongodb::Client;
use mongodb::bson::{Document, doc, serialize_to_document};
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};

use super::{APP, options};

/// How the clients that faults are for call themselves.
pub(crate) const FAULTY: &str = "faulty";

/// The server that faults are set on, and the right to set them: there is one fail point.
pub(crate) struct Faults {
    pub(crate) mongo: &'static Mongo,
    admin: Client,
    _turn: MutexGuard<'static, ()>,
}

impl Faults {
    pub(crate) async fn begin() -> Self {
        static MONGO: OnceLock<Mongo> = OnceLock::new();
        static TURN: Mutex<()> = Mutex::const_new(());
        let turn = TURN.lock().await;
        let mongo = tokio::task::spawn_blocking(|| MONGO.get_or_init(|| Mongo::start(Options::one())));
        let mongo = mongo.await.unwrap();
        let admin = Client::with_uri_str(mongo.direct_uri(0)).await.unwrap();
        Self { mongo, admin, _turn: turn }
    }

    pub(crate) async fn store(&self) -> MongoStore {
        self.patient(Duration::from_secs(4)).await
    }

    /// A store whose calls are given up after so long.
    pub(crate) async fn patient(&self, call_timeout: Duration) -> MongoStore {
        let options = MongoOptions { app_name: FAULTY.to_owned(), call_timeout, ..options(self.mongo) };
        MongoStore::connect(options).await.unwrap()
    }

    /// The next so many of these commands of ours fail so.
    pub(crate) async fn next(&self, times: u32, command: &str, fault: &Value) {
        let mut data = json!({"failCommands": [command], "appName": FAULTY});
        for (name, value) in fault.as_object().unwrap() {
            data[name] = value.clone();
        }
        self.set(doc! {"times": i32::try_from(times).unwrap()}.into(), &data).await;
    }

    pub(crate) async fn off(&self) {
        self.set("off".into(), &json!({"failCommands": ["find"], "appName": FAULTY})).await;
    }

    /// Ends the transactions that a command was to commit which never reached the server: it would keep them for a minute.
    pub(crate) async fn end_transactions(&self) {
        self.admin.database("admin").run_command(doc! {"killAllSessions": []}).await.unwrap();
    }

    async fn set(&self, mode: mongodb::bson::Bson, data: &Value) {
        let data: Document = serialize_to_document(data).unwrap();
        let command = doc! {"configureFailPoint": "failCommand", "mode": mode, "data": data};
        self.admin.database("admin").run_command(command).await.unwrap();
    }
}

pub(crate) fn group(id: u64) -> Group {
    Group { id: u128::from(id), bytes: id.to_string().into() }
}

/// As the lane does: the same group at the same slot, until it is known.
pub(crate) async fn append(journal: &dyn Journal, slot: u64) -> (Appended, u32) {
    for attempt in 1..20 {
        match journal.append(APP, slot, group(slot)).await {
            Ok(answer) => return (answer, attempt),
            Err(StoreError::OutcomeUnknown(_)) => {}
            // Of an attempt after an unknown one this says nothing about the first.
            Err(StoreError::Unavailable(_)) if attempt > 1 => {}
            Err(StoreError::Unavailable(why)) => panic!("it was sent: {why}"),
            Err(StoreError::Corrupt(why)) => panic!("{why}"),
        }
    }
    panic!("slot {slot} never became known");
}

pub(crate) fn insert(id: &str) -> Write {
    Write::Insert { collection: &PLAIN, id: id.to_owned(), body: "{}".into(), keys: vec![] }
}

pub(crate) fn replace(id: &str, version: u64) -> Write {
    Write::Replace { collection: &PLAIN, id: id.to_owned(), version, body: "{}".into(), keys: vec![] }
}
