//! The store that scales out: MongoDB, a replica set or a sharded cluster, for any number of server processes.
//!
//! Nothing is answered before a majority has it in its journals. An append is one insert into a slot; a batch of one
//! write is one ordinary write; a batch of several is one transaction; a batch of views alone is a few large bulks, the
//! last view after all others. Reads are of the primary, of what a majority has, and never behind what this process has
//! seen; reads of books are behind a fence, so that they see what any process was answered (see `fence`).
//!
//! The driver's futures run as tasks of their own and are never dropped half way: a call that is late is answered as
//! such, and goes on.

mod append;
mod apps;
mod books;
mod documents;
mod error;
mod fence;
mod gate;
mod identity;
mod journal;
mod kept;
mod layout;
mod likeness;
mod link;
mod moment;
mod parts;
mod pause;
mod pool;
mod puts;
mod query;
mod refusal;
mod rights;
mod schema;
mod single;
mod status;
mod transaction;
mod transfer;

use std::sync::Arc;
use std::time::Duration;

use credit_core::ports::StoreError;
use credit_core::ports::documents::{Collection, Documents};
use credit_core::ports::journal::Journal;
use credit_core::{Clock, IdSource, Timestamp};
use mongodb::Client;
use mongodb::bson::doc;
use mongodb::options::ClientOptions;
use secrecy::{ExposeSecret, SecretString};

use crate::clock::SystemClock;
use crate::randomness::OsIds;

pub use error::ConnectError;
pub use status::{CollectionStatus, MongoStatus};

use self::documents::MongoDocuments;
use self::error::Failed;
use self::identity::Identity;
use self::journal::MongoJournal;
use self::link::Link;
use self::schema::{Schema, Shape};

/// The collection of the books.
const JOURNAL: &str = "journal";
/// The collection of what the store says of itself.
const STORE: &str = "store";

/// How often the servers are asked how they are. The driver takes no shorter span.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// How a store is connected.
#[derive(Debug, Clone)]
pub struct MongoOptions {
    /// The address, with its options: TLS, an own CA (`tlsCAFile`), the user. Never logged.
    pub uri: SecretString,
    /// The database. It is made on first need.
    pub database: String,
    /// What the modules keep. Others are made on first need.
    pub collections: Vec<&'static Collection>,
    /// The present instant, for a new store its birth date.
    pub now: Timestamp,
    /// The id of the store if it is a new one.
    pub new_store_id: u128,
    /// The store that it has to be. Another one, and an empty database, are refused.
    pub pinned_store_id: Option<u128>,
    /// How this program is called in the server's logs.
    pub app_name: String,
    /// The most connections of this process to one server.
    pub pool: u32,
    /// How long is waited for a primary, at the start and in every call.
    pub selection_timeout: Duration,
    /// How long any call may take in all; a write that takes longer has an unknown outcome.
    pub call_timeout: Duration,
    /// How long is waited for the indexes of one collection, at the start and by `migrate`. Over much that is kept
    /// already they take minutes.
    pub schema_timeout: Duration,
}

impl MongoOptions {
    /// The usual bounds, now, and a random id if the store is new.
    pub fn new(
        uri: SecretString,
        database: impl Into<String>,
        collections: Vec<&'static Collection>,
    ) -> Self {
        Self {
            uri,
            database: database.into(),
            collections,
            now: SystemClock::new().now(),
            new_store_id: OsIds::new().mint(),
            pinned_store_id: None,
            app_name: "credit-server".to_owned(),
            pool: 64,
            selection_timeout: Duration::from_secs(3),
            call_timeout: Duration::from_secs(8),
            schema_timeout: Duration::from_secs(3600),
        }
    }
}

/// A connected store. Hands out the two ports; they answer until [`Self::close`].
pub struct MongoStore {
    link: Link,
    options: MongoOptions,
    identity: Identity,
    journal: Arc<MongoJournal>,
    documents: Arc<MongoDocuments>,
}

impl MongoStore {
    /// Connects, passes the gate and makes what a new store needs, on the runtime that this is called on, which must
    /// live as long as the store. [`ConnectError::is_retryable`] tells whether to try again.
    pub async fn connect(options: MongoOptions) -> Result<Self, ConnectError> {
        let link = connected(&options).await?;
        Self::over(link, options).await
    }

    /// The same store over another address or other credentials, with connections of its own; what is read there is
    /// never behind what was read here. Refused if another store is there. This one answers as before until it is closed.
    pub async fn reconnect(&self, uri: SecretString) -> Result<Self, ConnectError> {
        let pinned_store_id = Some(self.identity.store_id);
        let options = MongoOptions { uri, pinned_store_id, ..self.options.clone() };
        let link = connected(&options).await?.after(&self.link);
        Self::over(link, options).await
    }

    async fn over(link: Link, options: MongoOptions) -> Result<Self, ConnectError> {
        let server = gate::check(&link, &options).await?;
        let link = link.to(&server);
        // Before anything is touched: is it ours, and of a format that we know?
        identity::found(&link, &options).await?;
        for shape in [Shape::store(), Shape::journal(), Shape::parts()] {
            let made = schema::make(&link, &shape, options.schema_timeout).await;
            made.map_err(|not_made| not_made.connect(&options))?;
        }
        let identity = identity::establish(&link, &options).await?;
        let schema = Schema::new(link.clone());
        for collection in &options.collections {
            let made = schema.make(collection, options.schema_timeout).await;
            made.map_err(|not_made| not_made.connect(&options))?;
        }
        let journal = Arc::new(MongoJournal::new(link.clone()));
        let documents = Arc::new(MongoDocuments::new(link.clone(), schema));
        Ok(Self { link, options, identity, journal, documents })
    }

    /// Passes the gate and tells how the database stands, without writing anything.
    pub async fn check(options: MongoOptions) -> Result<MongoStatus, ConnectError> {
        status::look(&options).await
    }

    /// Makes what is missing: the store's id, collections, indexes, validators. All of it can be repeated, goes on where an
    /// earlier one was broken off, and any number of processes may do it at once. Answers how the database stands then.
    pub async fn migrate(options: MongoOptions) -> Result<MongoStatus, ConnectError> {
        Self::connect(options.clone()).await?.close().await;
        status::look(&options).await
    }

    /// The journal port.
    pub fn journal(&self) -> Arc<dyn Journal> {
        let journal: Arc<MongoJournal> = Arc::clone(&self.journal);
        journal
    }

    /// The documents port.
    pub fn documents(&self) -> Arc<dyn Documents> {
        let documents: Arc<MongoDocuments> = Arc::clone(&self.documents);
        documents
    }

    /// Whether a primary answers, now.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let database = self.link.database.clone();
        let call = async move { database.run_command(doc! {"ping": 1}).await };
        self.link.call(call).await.map(|_| ()).map_err(Failed::read)
    }

    /// How long any call may take in all.
    pub fn call_timeout(&self) -> Duration {
        self.options.call_timeout
    }

    /// Which store this is, for ever.
    pub fn store_id(&self) -> u128 {
        self.identity.store_id
    }

    /// Ends the connections. Calls that are still on their way are cut off; the ports answer nothing from then on.
    pub async fn close(&self) {
        self.link.end().await;
    }
}

impl std::fmt::Debug for MongoStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MongoStore").field("database", &self.options.database).finish_non_exhaustive()
    }
}

/// A link, with nothing asked of it yet.
async fn connected(options: &MongoOptions) -> Result<Link, ConnectError> {
    Ok(Link::new(client(options).await?, &options.database, options.call_timeout))
}

async fn client(options: &MongoOptions) -> Result<Client, ConnectError> {
    let seconds = options.selection_timeout.as_secs();
    let of = |error: mongodb::error::Error| ConnectError::of(&error, &options.database, seconds);
    let mut parsed = ClientOptions::parse(options.uri.expose_secret()).await.map_err(of)?;
    parsed.app_name = Some(options.app_name.clone());
    parsed.server_selection_timeout = Some(options.selection_timeout);
    parsed.connect_timeout = Some(options.selection_timeout);
    // How long a change of the set may go unnoticed where the server does not tell of it by itself.
    parsed.heartbeat_freq = Some(HEARTBEAT);
    parsed.max_pool_size = Some(options.pool);
    parsed.cmap_event_handler = Some(pool::watch());
    parsed.retry_writes = Some(true);
    parsed.retry_reads = Some(true);
    Client::with_options(parsed).map_err(of)
}
