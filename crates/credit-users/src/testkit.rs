//! Doubles, and a house with this module on in-memory ports.

use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use credit_api::testkit::{TestAuthenticator, TestHouse, TestHouseBuilder};
use credit_api::{ApiKeys, ApiKeysParts, Apps, ConnectionApi, ConnectionApiParts, House};
use credit_core::memory::MemoryDocuments;
use credit_core::ports::cache::Cache;
use credit_core::ports::documents::{Collection, Documents};
use credit_core::ports::passwords::Passwords;
use credit_core::testkit::{
    CountingIds, CountingSecrets, PlainPasswords, PlainSealer, TestClock, TestKeyedHash, TestTokens,
};
use credit_core::{AppId, Code, Problem, UserId};
use parking_lot::Mutex;

use crate::ports::Wallets;
use crate::service::UsersParts;
use crate::settings::UsersSettings;
use crate::store::failures::FAILURES;
use crate::store::sessions::SESSIONS;
use crate::store::users::USERS;
use crate::{Users, UsersModule};

/// Where users are kept, for tests that look at rest or put something old there.
pub fn users_collection() -> &'static Collection {
    &USERS
}

/// Where sessions are kept.
pub fn sessions_collection() -> &'static Collection {
    &SESSIONS
}

/// Where failed logins are kept.
pub fn failures_collection() -> &'static Collection {
    &FAILURES
}

/// Wallets that are only open, filled or closed.
#[derive(Default)]
pub struct TestWallets {
    wallets: Mutex<HashMap<(AppId, UserId), TestWallet>>,
    down: Mutex<bool>,
    slow: Mutex<bool>,
}

/// What has become of a wallet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TestWallet {
    /// Open and empty.
    Empty,
    /// With credits in it.
    Filled,
    /// Closed.
    Closed,
}

impl TestWallets {
    /// How the wallet of a user is.
    pub fn of(&self, app: AppId, user: UserId) -> Option<TestWallet> {
        self.wallets.lock().get(&(app, user)).copied()
    }

    /// Puts credits into the wallet of a user.
    pub fn fill(&self, app: AppId, user: UserId) {
        self.wallets.lock().insert((app, user), TestWallet::Filled);
    }

    /// Fails from now on, or works again.
    pub fn set_down(&self, down: bool) {
        *self.down.lock() = down;
    }

    /// Lets others go first from now on, or not.
    pub fn set_slow(&self, slow: bool) {
        *self.slow.lock() = slow;
    }

    /// How many users have one.
    pub fn count(&self) -> usize {
        self.wallets.lock().keys().collect::<HashSet<_>>().len()
    }

    fn check(&self) -> Result<(), Problem> {
        if *self.down.lock() { Err(Problem::new(Code::Unavailable)) } else { Ok(()) }
    }
}

#[async_trait]
impl Wallets for TestWallets {
    async fn open_default(&self, app: AppId, user: UserId) -> Result<(), Problem> {
        let slow = *self.slow.lock();
        if slow {
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
        }
        self.check()?;
        self.wallets.lock().entry((app, user)).or_insert(TestWallet::Empty);
        Ok(())
    }

    async fn close_all(&self, app: AppId, user: UserId) -> Result<(), Problem> {
        self.check()?;
        let mut wallets = self.wallets.lock();
        match wallets.get(&(app, user)) {
            Some(TestWallet::Filled) => Err(Problem::new(Code::WalletNotEmpty)),
            Some(_) => {
                wallets.insert((app, user), TestWallet::Closed);
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// Ports in memory, to be looked at from outside.
pub struct TestParts {
    /// The store.
    pub documents: Arc<dyn Documents>,
    /// The applications in it.
    pub apps: Arc<Apps>,
    /// Who may do what with an API key.
    pub api_keys: Arc<TestAuthenticator>,
    /// The wallets.
    pub wallets: Arc<TestWallets>,
    /// The time.
    pub clock: Arc<TestClock>,
    /// How passwords are hashed: in the open, unless replaced.
    pub passwords: Arc<dyn Passwords>,
    /// What is configured.
    pub settings: UsersSettings,
    /// New ids.
    pub ids: Arc<CountingIds>,
    /// What is remembered beside the store.
    pub cache: Option<Arc<dyn Cache>>,
    /// What has to be kept as long as the store is used.
    pub alive: Arc<dyn Any + Send + Sync>,
}

impl Default for TestParts {
    fn default() -> Self {
        Self::on(Arc::new(MemoryDocuments::new()))
    }
}

impl TestParts {
    /// On this store.
    pub fn on(documents: Arc<dyn Documents>) -> Self {
        let (clock, ids) = (Arc::new(TestClock::new()), Arc::new(CountingIds::new()));
        Self {
            apps: Arc::new(Apps::new(documents.clone(), clock.clone(), ids.clone())),
            documents,
            api_keys: Arc::default(),
            wallets: Arc::default(),
            clock,
            passwords: Arc::new(PlainPasswords),
            settings: UsersSettings::default(),
            ids,
            cache: None,
            alive: Arc::new(()),
        }
    }

    /// The module on these ports; as another process of the same installation, if asked again.
    pub fn module(&self) -> UsersModule {
        UsersModule::new(UsersParts {
            documents: self.documents.clone(),
            apps: self.apps.clone(),
            wallets: self.wallets.clone(),
            clock: self.clock.clone(),
            ids: self.ids.clone(),
            secrets: Arc::new(CountingSecrets::new()),
            passwords: self.passwords.clone(),
            signer: Arc::new(TestTokens),
            sealer: Arc::new(PlainSealer),
            hash: Arc::new(TestKeyedHash),
            cache: self.cache.clone(),
            settings: self.settings.clone(),
        })
    }

    /// `connection_api` and this module behind a front door, all on these ports.
    pub fn house(&self) -> (TestHouseBuilder, Arc<Users>) {
        let module = self.module();
        let users = module.users();
        let house = House::new();
        let connection_api = ConnectionApi::new(ConnectionApiParts {
            name: "credit",
            version: "0.0.0",
            house: house.clone(),
            apps: self.apps.clone(),
            api_keys: Arc::new(ApiKeys::new(ApiKeysParts {
                documents: self.documents.clone(),
                apps: self.apps.clone(),
                clock: self.clock.clone(),
                ids: self.ids.clone(),
                secrets: Arc::new(CountingSecrets::new()),
                hash: Arc::new(TestKeyedHash),
                grace_seconds: 0,
            })),
            probes: Vec::new(),
            ledger: None,
            jobs: None,
            log: None,
            profiles: None,
        });
        let builder = TestHouse::with(vec![Arc::new(connection_api), Arc::new(module)])
            .tokens(users.clone())
            .api_keys(self.api_keys.clone())
            .house(house);
        (builder, users)
    }

    /// The [`house`](Self::house), open.
    pub async fn open(&self) -> (TestHouse, Arc<Users>) {
        let (builder, users) = self.house();
        (builder.open().await, users)
    }
}
