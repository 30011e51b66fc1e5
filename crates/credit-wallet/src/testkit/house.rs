//! A house with `wallet_module` in it.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use credit_api::testkit::{TestAnswer, TestAuthenticator, TestHouse, TestHouseBuilder};
use credit_api::{Apps, WebModule};
use credit_core::ports::documents::Documents;
use credit_core::ports::journal::Journal;
use credit_core::testkit::{CountingIds, TestClock, TestStores};
use credit_core::{Actor, AppId, AssetCode, Clock, IdSource, Role, Scope, UserId, WalletId};
use serde_json::{Value, json};

use super::{KnownUsers, Seed};
use crate::WalletModule;
use crate::domain::commands::CreateWallet;
use crate::domain::moves::Deposit;
use crate::domain::{Answer, Category, Command};
use crate::ledger::{Ask, Ledger, LedgerParts, LedgerSettings, Outcome};
use crate::service::{Auditor, Counter, CounterParts};

/// What the module stands on. Nothing outlives it.
pub struct Ground {
    /// The clock of everything but the tasks' pauses.
    pub clock: Arc<TestClock>,
    /// Where money is kept.
    pub journal: Arc<dyn Journal>,
    /// Where the rest is kept.
    pub documents: Arc<dyn Documents>,
    /// Which users there are.
    pub users: Arc<KnownUsers>,
    /// The counter.
    pub counter: Arc<Counter>,
    /// Who shows which token.
    pub tokens: Arc<TestAuthenticator>,
    /// Who shows which API key.
    pub api_keys: Arc<TestAuthenticator>,
    /// The applications.
    pub apps: Arc<Apps>,
    /// The application in which most happens.
    pub app: AppId,
    /// Another one.
    pub other_app: AppId,
    people: AtomicU64,
    alive: Arc<dyn Any + Send + Sync>,
}

impl Ground {
    /// Empty in-memory stores, two applications and nobody.
    pub async fn new() -> Self {
        Self::on(TestStores::in_memory()).await
    }

    /// Over these stores.
    pub async fn on(stores: TestStores) -> Self {
        let TestStores { journal, documents, alive } = stores;
        let clock = Arc::new(TestClock::new());
        let ids = Arc::new(CountingIds::new());
        let apps = Arc::new(Apps::new(documents.clone(), clock.clone(), ids.clone()));
        let app = apps.default_app().await.expect("the store answers");
        let other_app = apps.create("other".to_owned()).await.expect("the store answers").id;
        let users = Arc::new(KnownUsers::default());
        let counter = Counter::new(CounterParts {
            ledger: ledger(&journal, &documents, &clock, ids),
            apps: apps.clone(),
            users: users.clone(),
            documents: documents.clone(),
            clock: clock.clone(),
        });
        Self {
            clock,
            journal,
            documents,
            users,
            counter,
            tokens: Arc::default(),
            api_keys: Arc::default(),
            apps,
            app,
            other_app,
            people: AtomicU64::new(1),
            alive,
        }
    }

    /// Another process over the same stores, with the same callers and the same time.
    #[must_use]
    pub fn replica(&self) -> Self {
        let ids = Arc::new(CountingIds::starting_at(1 << 40));
        let counter = Counter::new(CounterParts {
            ledger: ledger(&self.journal, &self.documents, &self.clock, ids),
            apps: self.apps.clone(),
            users: self.users.clone(),
            documents: self.documents.clone(),
            clock: self.clock.clone(),
        });
        Self {
            clock: self.clock.clone(),
            journal: self.journal.clone(),
            documents: self.documents.clone(),
            users: self.users.clone(),
            counter,
            tokens: self.tokens.clone(),
            api_keys: self.api_keys.clone(),
            apps: self.apps.clone(),
            app: self.app,
            other_app: self.other_app,
            people: AtomicU64::new(1 << 32),
            alive: self.alive.clone(),
        }
    }

    /// Who sums and replays its ledger.
    pub fn auditor(&self) -> Auditor {
        Auditor::new(self.counter.clone(), self.journal.clone())
    }

    /// A new user of an application; its token is its name.
    pub fn user_of(&self, app: AppId, name: &str, roles: &[Role]) -> UserId {
        let user = UserId::from_u128(u128::from(self.people.fetch_add(1, Ordering::Relaxed)));
        self.users.learn(app, user);
        self.tokens.learn_user(name, app, user, roles);
        user
    }

    /// A builder of a house with this module and `more` in it, for who wants to serve it.
    pub fn builder(&self, more: Vec<Arc<dyn WebModule>>) -> TestHouseBuilder {
        let mut modules: Vec<Arc<dyn WebModule>> = vec![Arc::new(WalletModule::new(self.counter.clone()))];
        modules.extend(more);
        TestHouse::with(modules).tokens(self.tokens.clone()).api_keys(self.api_keys.clone())
    }

    /// Opens a house with this module and `more` in it.
    pub async fn open(self, more: Vec<Arc<dyn WebModule>>) -> WalletHouse {
        let door = self.builder(more).open().await;
        WalletHouse { ground: self, door }
    }

    /// A user's new wallet.
    pub async fn wallet_of(&self, app: AppId, user: UserId, asset: AssetCode) -> WalletId {
        let command = CreateWallet { user, asset, metadata: std::collections::BTreeMap::new() };
        let outcome = self.command(app, command).await;
        let Answer::Wallet(id) = *outcome.answer() else { panic!("a new wallet is answered by its id") };
        id
    }

    /// Has the ledger decide a command that it does not refuse.
    pub async fn command(&self, app: AppId, command: impl Command + 'static) -> Outcome {
        let book = self.counter.book(app).await.expect("the book opens");
        let ask = Ask::new(Arc::new(command), Actor::System, "testkit");
        book.submit(ask).await.expect("the command is accepted")
    }

    /// Puts promotional credits into a wallet of the first application.
    pub async fn seed(&self, wallet: WalletId, amount: i64) {
        self.seed_lot(wallet, Deposit::new(amount, Category::Promotional)).await;
    }

    /// Puts a lot into a wallet of the first application.
    pub async fn seed_lot(&self, wallet: WalletId, deposit: Deposit) {
        self.command(self.app, Seed { wallet, deposit }).await;
    }
}

fn ledger(
    journal: &Arc<dyn Journal>,
    documents: &Arc<dyn Documents>,
    clock: &Arc<TestClock>,
    ids: Arc<dyn IdSource>,
) -> Arc<Ledger> {
    Ledger::new(LedgerParts {
        journal: journal.clone(),
        documents: documents.clone(),
        clock: clock.clone(),
        ids,
        settings: LedgerSettings { view_pause: Duration::from_millis(1), ..LedgerSettings::default() },
        runtime: tokio::runtime::Handle::current(),
        views: tokio::runtime::Handle::current(),
        company: None,
    })
}

/// A house that answers, on its ground.
///
/// Callers by their credential: the tokens `alice` and `bob` (users), `support` and `admin`, and API keys that
/// [`key`](Self::key) makes.
pub struct WalletHouse {
    /// What it stands on.
    pub ground: Ground,
    /// Its door.
    pub door: TestHouse,
}

impl WalletHouse {
    /// This module alone on its ground, with a supporter and an admin.
    pub async fn open(ground: Ground) -> Self {
        ground.user_of(ground.app, "support", &[Role::Support]);
        ground.user_of(ground.app, "admin", &[Role::Admin]);
        ground.open(Vec::new()).await
    }

    /// A new user of the first application with a wallet in the default asset. Its token is its name.
    pub async fn person(&self, name: &str) -> (UserId, WalletId) {
        self.person_of(self.ground.app, name).await
    }

    /// The same in any application.
    pub async fn person_of(&self, app: AppId, name: &str) -> (UserId, WalletId) {
        let user = self.ground.user_of(app, name, &[]);
        (user, self.ground.wallet_of(app, user, AssetCode::CREDIT).await)
    }

    /// An API key of the first application; it is called by its scopes.
    pub fn key(&self, scopes: &[Scope]) -> Caller {
        self.key_of(self.ground.app, scopes)
    }

    /// An API key of any application.
    pub fn key_of(&self, app: AppId, scopes: &[Scope]) -> Caller {
        let names: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
        let secret = format!("ck_{app}_{}", names.join("_"));
        self.ground.api_keys.learn_key(&secret, app, scopes);
        Caller::Key(secret)
    }

    /// Asks as somebody. A body is sent as JSON.
    pub async fn ask(
        &self,
        who: &Caller,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> TestAnswer {
        let bearer;
        let mut all = headers.to_vec();
        match who {
            Caller::Nobody => {}
            Caller::User(token) => {
                bearer = format!("Bearer {token}");
                all.push(("authorization", &bearer));
            }
            Caller::Key(secret) => all.push(("x-api-key", secret)),
        }
        self.door.call(method, path, &all, body.as_ref()).await
    }

    /// `GET`.
    pub async fn get(&self, who: &Caller, path: &str) -> TestAnswer {
        self.ask(who, "GET", path, &[], None).await
    }

    /// `POST` without a key.
    pub async fn post(&self, who: &Caller, path: &str, body: Value) -> TestAnswer {
        self.ask(who, "POST", path, &[], Some(body)).await
    }

    /// `POST` once under a key.
    pub async fn once(&self, who: &Caller, key: &str, path: &str, body: Value) -> TestAnswer {
        self.ask(who, "POST", path, &[("idempotency-key", key)], Some(body)).await
    }

    /// What a wallet of the first application is, as its own back end sees it.
    pub async fn look(&self, wallet: WalletId) -> Value {
        let answer = self.get(&self.key(&[Scope::WalletsRead]), &format!("/v1/wallets/{wallet}")).await;
        assert_eq!(answer.status, 200);
        answer.json()
    }

    /// Posts everything that is due in the first application.
    pub async fn sweep(&self) -> usize {
        let book = self.ground.counter.book(self.ground.app).await.expect("the book opens");
        book.sweep().await.expect("the sweep is accepted")
    }

    /// Time goes by.
    pub fn wait_seconds(&self, seconds: i64) {
        self.ground.clock.advance_seconds(seconds);
    }

    /// The instant so many seconds from now.
    pub fn in_seconds(&self, seconds: i64) -> credit_core::Timestamp {
        self.ground.clock.now().plus_seconds(seconds)
    }
}

/// Who asks.
#[derive(Debug, Clone)]
pub enum Caller {
    /// Nobody.
    Nobody,
    /// A user with this token.
    User(String),
    /// An application with this key.
    Key(String),
}

impl Caller {
    /// A user.
    pub fn user(token: &str) -> Self {
        Self::User(token.to_owned())
    }
}

/// An empty JSON object.
pub fn nothing() -> Value {
    json!({})
}
