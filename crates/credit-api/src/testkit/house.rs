//! Modules behind a front door, in memory.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Service;
use actix_web::{App, HttpServer, test};
use bytes::Bytes;
use credit_core::testkit::{CountingIds, TestKeyedHash};
use serde_json::Value;

use super::{TestAuthenticator, stand_in};
use crate::WebModule;
use crate::front_door::{ActiveUsers, Authenticator, FrontDoor, Limits, TrustedProxies};
use crate::manager::{House, ModuleManager, ModuleState};

/// How long a body may take here.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Says what stands behind the door.
pub struct TestHouseBuilder {
    modules: Vec<Arc<dyn WebModule>>,
    tokens: Arc<dyn Authenticator>,
    api_keys: Arc<dyn Authenticator>,
    trusted_proxies: TrustedProxies,
    house: Arc<House>,
    limits: Option<Limits>,
}

/// A house that answers.
pub struct TestHouse {
    manager: Arc<ModuleManager>,
    ask: Box<dyn Fn(test::TestRequest) -> Asking>,
}

type Asking = Pin<Box<dyn Future<Output = TestAnswer>>>;

/// What it answered.
#[derive(Debug, Clone)]
pub struct TestAnswer {
    /// The status.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

impl TestHouse {
    /// A house with these modules. Others that they need are stood in for, with no routes of their own.
    pub fn with(modules: Vec<Arc<dyn WebModule>>) -> TestHouseBuilder {
        TestHouseBuilder {
            modules,
            tokens: Arc::new(TestAuthenticator::default()),
            api_keys: Arc::new(TestAuthenticator::default()),
            trusted_proxies: TrustedProxies::default(),
            house: House::new(),
            limits: None,
        }
    }

    /// Calls it. A body is sent as JSON, unless a header says `content-type`.
    pub async fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> TestAnswer {
        let bytes = body.map(|body| serde_json::to_vec(body).expect("JSON"));
        let mut all = headers.to_vec();
        if body.is_some() && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            all.push(("content-type", "application/json"));
        }
        self.call_raw(method, path, &all, bytes.unwrap_or_default()).await
    }

    /// Calls it with these very bytes and headers.
    pub async fn call_raw(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> TestAnswer {
        let method = method.parse().expect("a method");
        let peer: SocketAddr = ([127, 0, 0, 1], 40_000).into();
        let mut request =
            test::TestRequest::default().method(method).uri(path).peer_addr(peer).set_payload(body.into());
        for (name, value) in headers {
            request = request.append_header((*name, *value));
        }
        (self.ask)(request).await
    }

    /// The manager of its modules.
    pub fn manager(&self) -> &ModuleManager {
        &self.manager
    }

    /// `GET` as a user with this token.
    pub async fn get(&self, path: &str, token: &str) -> TestAnswer {
        self.call("GET", path, &[("authorization", &format!("Bearer {token}"))], None).await
    }

    /// `POST` as a user with this token.
    pub async fn post(&self, path: &str, token: &str, body: &Value) -> TestAnswer {
        self.call("POST", path, &[("authorization", &format!("Bearer {token}"))], Some(body)).await
    }
}

impl TestAnswer {
    /// The body as JSON; null if there is none.
    pub fn json(&self) -> Value {
        if self.body.is_empty() {
            return Value::Null;
        }
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }

    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The `code` of a problem; empty if it is none.
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }
}

impl TestHouseBuilder {
    /// Knows these tokens.
    #[must_use]
    pub fn tokens(mut self, tokens: Arc<dyn Authenticator>) -> Self {
        self.tokens = tokens;
        self
    }

    /// Knows these API keys.
    #[must_use]
    pub fn api_keys(mut self, api_keys: Arc<dyn Authenticator>) -> Self {
        self.api_keys = api_keys;
        self
    }

    /// Believes these proxies.
    #[must_use]
    pub fn trusted_proxies(mut self, proxies: TrustedProxies) -> Self {
        self.trusted_proxies = proxies;
        self
    }

    /// Limits calls.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = Some(limits);
        self
    }

    /// What `connection_api` shows of this house.
    #[must_use]
    pub fn house(mut self, house: Arc<House>) -> Self {
        self.house = house;
        self
    }

    /// Initialises the modules and opens the door. Panics if a module cannot be initialised.
    pub async fn open(self) -> TestHouse {
        let house = self.house.clone();
        let opened = self.open_as_it_is().await;
        for module in house.modules() {
            assert_eq!(module.state, ModuleState::Ready, "{}: {:?}", module.name, module.reason);
        }
        opened
    }

    /// Initialises the modules and opens the door, whatever became of them.
    pub async fn open_as_it_is(self) -> TestHouse {
        let (manager, door) = self.furnish().await;
        let service =
            test::init_service(App::new().configure(|config| manager.configure(config, &door))).await;
        TestHouse {
            manager,
            ask: Box::new(move |request| {
                let answering = service.call(request.to_request());
                Box::pin(async move {
                    let answer = answering.await.expect("the door answers every failure itself");
                    let status = answer.status().as_u16();
                    let headers = answer
                        .headers()
                        .iter()
                        .map(|(name, value)| {
                            (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
                        })
                        .collect();
                    TestAnswer { status, headers, body: test::read_body(answer).await }
                })
            }),
        }
    }

    /// Serves the house on a socket until it is interrupted: for `examples/serve`. Says where when it listens.
    pub async fn serve(self, address: &str, listening: impl FnOnce(SocketAddr)) -> std::io::Result<()> {
        let (manager, door) = self.furnish().await;
        let server = HttpServer::new(move || {
            let (manager, door) = (manager.clone(), door.clone());
            App::new().configure(move |config| manager.configure(config, &door))
        })
        .workers(1)
        .bind(address)?;
        if let Some(address) = server.addrs().first() {
            listening(*address);
        }
        server.run().await
    }

    async fn furnish(self) -> (Arc<ModuleManager>, Arc<FrontDoor>) {
        let door = FrontDoor {
            tokens: self.tokens,
            api_keys: self.api_keys,
            ids: Arc::new(CountingIds::new()),
            cursor_key: Arc::new(TestKeyedHash),
            trusted_proxies: self.trusted_proxies,
            limits: self.limits,
            body_timeout: BODY_TIMEOUT,
            traces: None,
            active: ActiveUsers::default(),
        };
        let mut modules = self.modules;
        stand_in::complete(&mut modules);
        let manager = ModuleManager::try_new(modules, None, self.house).expect("the modules fit");
        manager.initialise().await;
        (Arc::new(manager), Arc::new(door))
    }
}
