//! The store on `MongoDB`, from before it is reached until after it is closed.

use std::sync::Arc;
use std::time::Duration;

use credit_core::Health;
use credit_infra::mongodb::{ConnectError, MongoOptions, MongoStore};
use parking_lot::{Mutex, RwLock};
use secrecy::{ExposeSecret, SecretString};
use tokio::runtime::Handle;

use super::collections;
use super::late::{Late, Ports};
use super::store::refuse_unfinished_copy;
use crate::config::Mongodb;
use crate::exit::{Exit, Failure};

/// Between two attempts to reach it.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How often it is looked whether the calls on connections that were replaced have ended, and how long at most.
const LOOK: Duration = Duration::from_millis(100);
const LONGEST_CALL: Duration = Duration::from_secs(60);

pub(super) struct Remote {
    /// Where it is, as was said last.
    named: RwLock<Mongodb>,
    late: Arc<Late>,
    /// The connections that are called.
    store: RwLock<Option<Arc<MongoStore>>>,
    /// Those that were replaced and are not closed yet.
    replaced: Arc<Mutex<Vec<Arc<MongoStore>>>>,
    /// One change of the connections at a time.
    changing: tokio::sync::Mutex<()>,
}

impl Remote {
    /// Not reached yet.
    pub(super) fn new(named: Mongodb) -> Self {
        Self {
            named: RwLock::new(named),
            late: Arc::new(Late::new()),
            store: RwLock::default(),
            replaced: Arc::default(),
            changing: tokio::sync::Mutex::default(),
        }
    }

    /// They answer that the store is unavailable until it is reached.
    pub(super) fn ports(&self) -> Ports {
        Ports { documents: self.late.clone(), journal: self.late.clone() }
    }

    /// Reaches it, once, or says why not.
    pub(super) async fn open(&self, runtime: &Handle) -> Result<(), Failure> {
        let _one_at_a_time = self.changing.lock().await;
        match self.connect(runtime).await {
            Ok(store) => self.take(store).await,
            Err(error) => Err(Failure::new(Exit::Store, error)),
        }
    }

    /// Reaches it, as often as it takes. It fails if trying again does not help: somebody has to mend something.
    pub(super) async fn reach(&self, runtime: &Handle) -> Result<(), Failure> {
        let mut pause = FIRST_PAUSE;
        loop {
            let tried = {
                let _one_at_a_time = self.changing.lock().await;
                match self.connect(runtime).await {
                    Ok(store) => return self.take(store).await,
                    Err(error) => error,
                }
            };
            let why = tried.to_string();
            if !tried.is_retryable() {
                self.late.note(why);
                return Err(Failure::new(Exit::Store, tried));
            }
            tracing::warn!(why, "the store is not reached yet; it is tried again until it is");
            self.late.note(why);
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn connect(&self, runtime: &Handle) -> Result<MongoStore, ConnectError> {
        let options = options(&self.named.read());
        // Its connections live where this runs, longer than any worker of the web.
        on(runtime, MongoStore::connect(options)).await
    }

    async fn take(&self, store: MongoStore) -> Result<(), Failure> {
        refuse_unfinished_copy(&store).await?;
        self.late.fill(Ports { documents: store.documents(), journal: store.journal() });
        *self.store.write() = Some(Arc::new(store));
        Ok(())
    }

    /// Goes over to an address or credentials that were changed where they come from. The database stays, and what is
    /// there has to be the same store. Calls that are under way end on the connections that they began on. Whatever
    /// does not work out leaves everything as it was. Answers whether there was anything to change.
    pub(super) async fn renew(&self, uri: &SecretString, runtime: &Handle) -> Result<bool, ConnectError> {
        let _one_at_a_time = self.changing.lock().await;
        if self.named.read().uri.expose_secret() == uri.expose_secret() {
            return Ok(false);
        }
        let present = self.store.read().clone();
        if let Some(present) = present {
            let (from, uri) = (present.clone(), uri.clone());
            let next = on(runtime, async move { from.reconnect(uri).await }).await?;
            let before = self.late.fill(Ports { documents: next.documents(), journal: next.journal() });
            *self.store.write() = Some(Arc::new(next));
            self.replaced.lock().push(present.clone());
            runtime.spawn(close_when_done(present, before, self.replaced.clone()));
        }
        // One that is not reached yet is tried with it the next time.
        self.named.write().uri = uri.clone();
        Ok(true)
    }

    /// Why it is not reached yet, if it is not.
    pub(super) fn waits_for(&self) -> Option<String> {
        self.store.read().is_none().then(|| self.late.why())
    }

    /// Asks whether it answers.
    pub(super) async fn check(&self) -> Health {
        let store = self.store.read().clone();
        let Some(store) = store else { return Health::unhealthy(self.late.why()) };
        match store.ping().await {
            Ok(()) => Health::healthy(),
            Err(error) => Health::unhealthy(error.to_string()),
        }
    }

    pub(super) async fn close(&self) {
        let replaced = std::mem::take(&mut *self.replaced.lock());
        let present = self.store.read().clone();
        for store in present.into_iter().chain(replaced) {
            store.close().await;
        }
    }
}

/// Runs it where the connections are to live.
async fn on(
    runtime: &Handle,
    connecting: impl Future<Output = Result<MongoStore, ConnectError>> + Send + 'static,
) -> Result<MongoStore, ConnectError> {
    runtime.spawn(connecting).await.unwrap_or_else(|broken_off| {
        Err(ConnectError::Unreachable { seconds: 0, why: broken_off.to_string() })
    })
}

/// Closes connections when the last call on them has ended, and what that call may have left to the driver.
async fn close_when_done(
    store: Arc<MongoStore>,
    ports: Option<Arc<Ports>>,
    replaced: Arc<Mutex<Vec<Arc<MongoStore>>>>,
) {
    let is_used = || ports.as_ref().is_some_and(|ports| Arc::strong_count(ports) > 1);
    let looks = LONGEST_CALL.as_millis() / LOOK.as_millis();
    for _ in 0..looks {
        if !is_used() {
            break;
        }
        tokio::time::sleep(LOOK).await;
    }
    tokio::time::sleep(store.call_timeout()).await;
    store.close().await;
    replaced.lock().retain(|other| !Arc::ptr_eq(other, &store));
    tracing::info!("the connections to the store that were replaced are closed");
}

/// What every module keeps, in the place of the configuration.
pub(crate) fn options(named: &Mongodb) -> MongoOptions {
    let options = MongoOptions::new(named.uri.clone(), named.database.as_str(), collections::all());
    MongoOptions { pinned_store_id: named.store_id, ..options }
}

/// Opens the store on `MongoDB` for a command, on the runtime that this is called on.
pub(crate) async fn open(named: &Mongodb) -> Result<MongoStore, Failure> {
    MongoStore::connect(options(named)).await.map_err(|error| Failure::new(Exit::Store, error))
}
