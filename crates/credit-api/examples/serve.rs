//! `connection_api` alone, on the in-memory ports: `cargo run -p credit-api --example serve`.

use std::sync::Arc;

use credit_api::testkit::{TestAuthenticator, TestHouse};
use credit_api::{ApiKeys, ApiKeysParts, Apps, ConnectionApi, ConnectionApiParts, House};
use credit_core::memory::MemoryDocuments;
use credit_core::testkit::{CountingIds, CountingSecrets, TestClock, TestKeyedHash};
use credit_core::{AppId, Role, UserId};

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let documents = Arc::new(MemoryDocuments::new());
    let clock = Arc::new(TestClock::new());
    let ids = Arc::new(CountingIds::new());
    let apps = Arc::new(Apps::new(documents.clone(), clock.clone(), ids.clone()));
    let api_keys = Arc::new(ApiKeys::new(ApiKeysParts {
        documents,
        apps: apps.clone(),
        clock,
        ids,
        secrets: Arc::new(CountingSecrets::new()),
        hash: Arc::new(TestKeyedHash),
        grace_seconds: 86_400,
    }));
    let tokens = Arc::new(TestAuthenticator::default());
    tokens.learn_user("admin", AppId::SYSTEM, UserId::from_u128(1), &[Role::Admin]);
    let house = House::new();
    let module = ConnectionApi::new(ConnectionApiParts {
        name: "credit-server",
        version: env!("CARGO_PKG_VERSION"),
        house: house.clone(),
        apps,
        api_keys: api_keys.clone(),
        probes: Vec::new(),
        ledger: None,
        jobs: None,
        log: None,
        profiles: None,
    });
    TestHouse::with(vec![Arc::new(module)])
        .house(house)
        .tokens(tokens)
        .api_keys(api_keys)
        .serve("127.0.0.1:8080", |address| {
            println!("The page to try it: http://{address}/docs");
            println!("curl -s http://{address}/v1/apps -H 'Authorization: Bearer admin' --json '{{\"name\":\"shop\"}}'");
        })
        .await
}
