//! A house with `connection_api` in it, and an admin, a supporter and a user who know its door.

use std::sync::Arc;

use credit_api::ports::{HealthProbe, LedgerAudit, LogLevel, Profiles};
use credit_api::testkit::{TestAnswer, TestAuthenticator, TestHouse};
use credit_api::{ApiKeys, ApiKeysParts, Apps, ConnectionApi, ConnectionApiParts, House, WebModule};
use credit_core::ports::documents::Documents;
use credit_core::testkit::{CountingIds, CountingSecrets, TestClock, TestKeyedHash, TestStores};
use credit_core::{AppId, Jobs, Role, UserId};
use serde_json::{Value, json};

pub(crate) const ADMIN: &str = "admin";
pub(crate) const SUPPORT: &str = "support";
pub(crate) const USER: &str = "user";
pub(crate) const GRACE_SECONDS: i64 = 3600;

pub(crate) struct World {
    pub(crate) house: TestHouse,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) apps: Arc<Apps>,
    _stores: TestStores,
}

#[derive(Default)]
pub(crate) struct Builder {
    probes: Vec<Arc<dyn HealthProbe>>,
    ledger: Option<Arc<dyn LedgerAudit>>,
    jobs: Option<Arc<dyn Jobs>>,
    log: Option<Arc<dyn LogLevel>>,
    profiles: Option<Arc<dyn Profiles>>,
    neighbours: Vec<Arc<dyn WebModule>>,
    stores: Option<TestStores>,
}

impl Builder {
    pub(crate) fn probe(mut self, probe: Arc<dyn HealthProbe>) -> Self {
        self.probes.push(probe);
        self
    }

    pub(crate) fn ledger(mut self, ledger: Arc<dyn LedgerAudit>) -> Self {
        self.ledger = Some(ledger);
        self
    }

    pub(crate) fn jobs(mut self, jobs: Arc<dyn Jobs>) -> Self {
        self.jobs = Some(jobs);
        self
    }

    pub(crate) fn log(mut self, log: Arc<dyn LogLevel>) -> Self {
        self.log = Some(log);
        self
    }

    pub(crate) fn profiles(mut self, profiles: Arc<dyn Profiles>) -> Self {
        self.profiles = Some(profiles);
        self
    }

    pub(crate) fn neighbour(mut self, module: Arc<dyn WebModule>) -> Self {
        self.neighbours.push(module);
        self
    }

    pub(crate) fn documents(mut self, documents: Arc<dyn Documents>, stores: TestStores) -> Self {
        self.stores = Some(TestStores { documents, ..stores });
        self
    }

    pub(crate) async fn open(self) -> World {
        let stores = match self.stores {
            Some(stores) => stores,
            None => crate::stores().await,
        };
        let documents = stores.documents.clone();
        let clock = Arc::new(TestClock::new());
        let ids = Arc::new(CountingIds::new());
        let apps = Arc::new(Apps::new(documents.clone(), clock.clone(), ids.clone()));
        let api_keys = Arc::new(ApiKeys::new(ApiKeysParts {
            documents,
            apps: apps.clone(),
            clock: clock.clone(),
            ids,
            secrets: Arc::new(CountingSecrets::new()),
            hash: Arc::new(TestKeyedHash),
            grace_seconds: GRACE_SECONDS,
        }));
        let house = House::new();
        let module = ConnectionApi::new(ConnectionApiParts {
            name: "credit-server",
            version: "1.2.3",
            house: house.clone(),
            apps: apps.clone(),
            api_keys: api_keys.clone(),
            probes: self.probes,
            ledger: self.ledger,
            jobs: self.jobs,
            log: self.log,
            profiles: self.profiles,
        });
        let tokens = Arc::new(TestAuthenticator::default());
        let here = AppId::SYSTEM;
        tokens.learn_user(ADMIN, here, UserId::from_u128(1), &[Role::Admin]);
        tokens.learn_user(SUPPORT, here, UserId::from_u128(2), &[Role::Support]);
        tokens.learn_user(USER, here, UserId::from_u128(3), &[]);
        let mut modules: Vec<Arc<dyn WebModule>> = vec![Arc::new(module)];
        modules.extend(self.neighbours);
        let opened = TestHouse::with(modules).house(house).tokens(tokens).api_keys(api_keys);
        World { house: opened.open_as_it_is().await, clock, apps, _stores: stores }
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Builder::default().open().await
    }

    pub(crate) async fn get(&self, path: &str) -> TestAnswer {
        self.house.call("GET", path, &[], None).await
    }

    pub(crate) async fn with_key(&self, path: &str, secret: &str) -> TestAnswer {
        self.house.call("GET", path, &[("x-api-key", secret)], None).await
    }

    /// A new application's id.
    pub(crate) async fn new_app(&self, name: &str) -> String {
        let answer = self.house.post("/v1/apps", ADMIN, &json!({ "name": name })).await;
        assert_eq!(answer.status, 201);
        text(&answer.json()["id"])
    }

    /// A new key's id and secret.
    pub(crate) async fn new_key(&self, app: &str, scopes: &[&str]) -> (String, String) {
        let body = json!({ "app_id": app, "name": "till", "scopes": scopes });
        let answer = self.house.post("/v1/api-keys", ADMIN, &body).await;
        assert_eq!(answer.status, 201);
        (text(&answer.json()["id"]), text(&answer.json()["secret"]))
    }

    pub(crate) async fn delete(&self, path: &str) -> TestAnswer {
        self.house.call("DELETE", path, &[("authorization", "Bearer admin")], None).await
    }
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// The members of a list's rows.
pub(crate) fn column(answer: &TestAnswer, member: &str) -> Vec<Value> {
    let body = answer.json();
    body["data"].as_array().expect("a list").iter().map(|row| row[member].clone()).collect()
}
