//! Collections, their indexes and validators: made on first need and by `migrate`, checked by `check`. All steps only
//! add, each can be repeated, and any number of processes may take them at once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use credit_core::ports::StoreError;
use credit_core::ports::documents::Collection;
use mongodb::Database;
use mongodb::bson::{Document, doc};
use mongodb::options::{CreateCollectionOptions, ValidationAction, ValidationLevel};
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use super::error::{ConnectError, Failed, code};
use super::layout::millis;
use super::link::Link;
use super::{JOURNAL, MongoOptions, STORE};

/// The code of a collection that is there already.
const NAMESPACE_EXISTS: i32 = 48;

/// What a collection in the database looks like.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shape {
    pub(super) name: String,
    pub(super) validator: Document,
    /// As `createIndexes` takes them.
    indexes: Vec<Document>,
}

impl Shape {
    /// The books.
    pub(super) fn journal() -> Self {
        let slot = doc! {
            "bsonType": "object",
            "required": ["b", "s"],
            "properties": {"b": {"bsonType": "binData"}, "s": {"bsonType": "long"}},
        };
        let properties = doc! {
            "_id": slot,
            "g": {"bsonType": "binData"},
            "d": {"bsonType": "binData"},
            "n": {"bsonType": "long", "minimum": 2},
            "fence": {"bsonType": "long"},
        };
        Self::of(JOURNAL, &["_id"], properties, vec![super::books::index()])
    }

    /// What of the books has no room in one document.
    pub(super) fn parts() -> Self {
        let part = doc! {
            "bsonType": "object",
            "required": ["b", "g", "p"],
            "properties": {
                "b": {"bsonType": "binData"},
                "g": {"bsonType": "binData"},
                "p": {"bsonType": "long", "minimum": 1},
            },
        };
        let properties = doc! {"_id": part, "d": {"bsonType": "binData"}};
        Self::of(super::parts::PARTS, &["_id", "d"], properties, Vec::new())
    }

    /// What the store says of itself.
    pub(super) fn store() -> Self {
        Self::of(STORE, &["_id"], doc! {"format": {"bsonType": "long"}}, Vec::new())
    }

    /// The documents of a module.
    pub(super) fn of_collection(collection: &Collection) -> Self {
        let id = doc! {
            "bsonType": "object",
            "required": ["a", "i"],
            "properties": {"a": {"bsonType": "binData"}, "i": {"bsonType": "string"}},
        };
        let properties = doc! {
            "_id": id,
            "v": {"bsonType": "long", "minimum": 0},
            "b": {"bsonType": ["string", "binData"]},
            "k": {"bsonType": "object"},
            "m": {"bsonType": "array"},
        };
        let mut indexes: Vec<Document> =
            collection.indexes.iter().map(|index| rows_index(index.name, index.unique)).collect();
        if !indexes.is_empty() {
            indexes.push(several_index());
        }
        Self::of(&documents_name(collection), &["_id", "v", "b"], properties, indexes)
    }

    /// Its indexes, as `createIndexes` takes them.
    pub(super) fn indexes(&self) -> &[Document] {
        &self.indexes
    }

    /// Whether it is a collection with declared look-ups.
    pub(super) fn has_lookups(&self) -> bool {
        named(&self.indexes, SEVERAL)
    }

    /// Whether the server refuses with these options what is not of this shape: the same validator, for every write, with
    /// a refusal and not only a line in its log.
    pub(super) fn is_validated_by(&self, options: &CreateCollectionOptions) -> bool {
        options.validator.as_ref() == Some(&self.validator)
            && !matches!(options.validation_level, Some(ValidationLevel::Off | ValidationLevel::Moderate))
            && !matches!(options.validation_action, Some(ValidationAction::Warn))
    }

    fn of(name: &str, required: &[&str], properties: Document, indexes: Vec<Document>) -> Self {
        let required: Vec<String> = required.iter().map(|name| (*name).to_owned()).collect();
        let validator =
            doc! {"$jsonSchema": {"bsonType": "object", "required": required, "properties": properties}};
        Self { name: name.to_owned(), validator, indexes }
    }
}

fn named(indexes: &[Document], name: &str) -> bool {
    indexes.iter().any(|index| index.get_str("name").is_ok_and(|found| found == name))
}

/// How a module's collection is called in the database.
pub(super) fn documents_name(collection: &Collection) -> String {
    format!("d_{}", collection.name)
}

/// How the index of a declared look-up is called.
pub(super) fn rows_index_name(index: &str) -> String {
    format!("rows_{index}")
}

/// The index of documents with several keys in one look-up.
pub(super) const SEVERAL: &str = "several";

/// One row for each document with one key in this look-up, by key and id. A unique one has the key of every document.
fn rows_index(index: &str, unique: bool) -> Document {
    let key = format!("k.{index}");
    let mut fields = doc! {"a": 1, &key: 1};
    if !unique {
        fields.insert("_id.i", 1);
    }
    let mut options = doc! {
        "key": fields,
        "name": rows_index_name(index),
        "partialFilterExpression": {&key: {"$exists": true}},
    };
    if unique {
        options.insert("unique", true);
    }
    options
}

fn several_index() -> Document {
    doc! {
        "key": {"a": 1, "m.x": 1, "m.k": 1},
        "name": SEVERAL,
        "partialFilterExpression": {"m": {"$exists": true}},
    }
}

/// How a step of schema work failed.
#[derive(Debug)]
pub(super) enum NotMade {
    /// The server was asked, and this came of it.
    Failed(Failed),
    /// The indexes of this collection are still being built after so long.
    Building(String, Duration),
}

impl NotMade {
    /// While connecting.
    pub(super) fn connect(self, options: &MongoOptions) -> ConnectError {
        match self {
            Self::Failed(failed) => failed.connect(options),
            Self::Building(collection, waited) => ConnectError::Building {
                database: options.database.clone(),
                collection,
                seconds: waited.as_secs(),
            },
        }
    }

    fn why(&self) -> String {
        match self {
            Self::Failed(failed) => failed.why(),
            Self::Building(..) => "its indexes are still being built".to_owned(),
        }
    }
}

/// Makes what is missing of a collection, and waits `patience` for its indexes: over what is kept already they take as
/// long as they take. The server goes on with them when nobody waits any more, and who asks again waits for the same
/// build. Releases that write one format have the same validators; a newer format is refused before, so that none is
/// ever put back.
pub(super) async fn make(link: &Link, shape: &Shape, patience: Duration) -> Result<(), NotMade> {
    let (database, own) = (link.database.clone(), shape.clone());
    let concern = doc! {"w": "majority", "j": true, "wtimeout": millis(link.deadline)};
    let call = async move {
        let create = doc! {
            "create": &own.name,
            "validator": own.validator.clone(),
            "validationLevel": "strict",
            "validationAction": "error",
            "writeConcern": concern,
        };
        match database.run_command(create).await {
            Err(error) if code(&error) == Some(NAMESPACE_EXISTS) => validate(&database, &own).await,
            made => made.map(|_| ()),
        }
    };
    link.call(call).await.map_err(NotMade::Failed)?;
    if shape.indexes.is_empty() {
        return Ok(());
    }
    let database = link.database.clone();
    let indexes = doc! {
        "createIndexes": &shape.name,
        "indexes": shape.indexes.clone(),
        "commitQuorum": "majority",
        "writeConcern": {"w": "majority", "j": true, "wtimeout": millis(patience)},
    };
    let call = async move { database.run_command(indexes).await };
    let building = link.call_within(patience, call);
    tokio::pin!(building);
    let built = if let Ok(built) = tokio::time::timeout(link.deadline, &mut building).await {
        built
    } else {
        let collection = &shape.name;
        tracing::warn!(collection, "its indexes are built over what is kept already, and are waited for");
        building.await
    };
    match built {
        Ok(_) => Ok(()),
        Err(Failed::Late) => Err(NotMade::Building(shape.name.clone(), patience)),
        Err(failed) => Err(NotMade::Failed(failed)),
    }
}

/// Gives a collection that is there already its validator, unless it has it.
async fn validate(database: &Database, shape: &Shape) -> mongodb::error::Result<()> {
    let mut found = database.list_collections().filter(doc! {"name": &shape.name}).await?;
    while found.advance().await? {
        if shape.is_validated_by(&found.deserialize_current()?.options) {
            return Ok(());
        }
    }
    let change = doc! {
        "collMod": &shape.name,
        "validator": shape.validator.clone(),
        "validationLevel": "strict",
        "validationAction": "error",
    };
    database.run_command(change).await.map(|_| ())
}

/// Which collections this process has seen to.
#[derive(Clone)]
pub(super) struct Schema {
    link: Link,
    made: Arc<Mutex<HashMap<String, Arc<OnceCell<()>>>>>,
}

impl Schema {
    pub(super) fn new(link: Link) -> Self {
        Self { link, made: Arc::default() }
    }

    /// Makes what is missing of a module's collection, once in the life of this process. Nobody waits for it longer than
    /// for any other call.
    pub(super) async fn ensure(&self, collection: &Collection) -> Result<(), StoreError> {
        self.make(collection, self.link.deadline).await.map_err(|failed| {
            let name = documents_name(collection);
            StoreError::Unavailable(format!("the collection {name} could not be made: {}", failed.why()))
        })
    }

    /// The same, with the driver's error and this patience.
    pub(super) async fn make(&self, collection: &Collection, patience: Duration) -> Result<(), NotMade> {
        let cell = {
            let mut made = self.made.lock();
            match made.get(collection.name) {
                Some(cell) => Arc::clone(cell),
                None => Arc::clone(made.entry(collection.name.to_owned()).or_default()),
            }
        };
        if cell.initialized() {
            return Ok(());
        }
        let shape = Shape::of_collection(collection);
        let made = cell.get_or_try_init(|| make(&self.link, &shape, patience));
        made.await.copied()
    }
}
