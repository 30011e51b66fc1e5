//! API keys while the keys they are hashed under are rotated, and several processes use them.

use std::sync::Arc;

use async_trait::async_trait;
use credit_api::front_door::Authenticator;
use credit_api::{ApiKeys, ApiKeysParts, Apps, NewKey};
use credit_core::ports::StoreError;
use credit_core::ports::documents::{Documents, Query, Row};
use credit_core::ports::keys::KeyedHash;
use credit_core::testkit::{
    Between, CountingIds, CountingSecrets, MeddlesWithDocuments, TestClock, TestKeyedHash,
};
use credit_core::{AppId, Scope};
use parking_lot::Mutex;
use secrecy::ExposeSecret;

/// How a process that knows the new key has them, and how one has them that only accepts it yet.
const ORDERS: [&[u8]; 2] = [&[2, 1], &[1, 2]];

/// Hashes under these numbers, the newest first.
struct Under(&'static [u8]);

impl Under {
    fn with(number: u8, purpose: &str, text: &str) -> [u8; 32] {
        TestKeyedHash.hash(&format!("{number}|{purpose}"), text)
    }
}

impl KeyedHash for Under {
    fn hash(&self, purpose: &str, text: &str) -> [u8; 32] {
        Self::with(self.0[0], purpose, text)
    }

    fn earlier(&self, purpose: &str, text: &str) -> Vec<[u8; 32]> {
        self.0[1..].iter().map(|number| Self::with(*number, purpose, text)).collect()
    }

    fn key_ids(&self) -> Vec<String> {
        self.0.iter().map(u8::to_string).collect()
    }
}

/// Documents where behind each look of ours, for a while, another process uses the same API key: it hashes it again.
struct Elsewhere {
    kept: Arc<dyn Documents>,
    /// Who uses it next, the last first, and the key.
    others: Mutex<Vec<(Arc<ApiKeys>, String)>>,
}

#[async_trait]
impl MeddlesWithDocuments for Elsewhere {
    fn behind(&self) -> &dyn Documents {
        &*self.kept
    }

    async fn query(&self, app: AppId, query: Query) -> Result<Vec<Row>, StoreError> {
        let found = self.kept.query(app, query).await;
        let other = self.others.lock().pop();
        if let Some((other, secret)) = other {
            assert!(other.authenticate(&secret).await.is_ok(), "the other process knows the key");
        }
        found
    }
}

/// One process, with the keys in its own order.
fn process(documents: Arc<dyn Documents>, numbers: &'static [u8]) -> (Arc<Apps>, Arc<ApiKeys>) {
    let (clock, ids) = (Arc::new(TestClock::new()), Arc::new(CountingIds::new()));
    let apps = Arc::new(Apps::new(documents.clone(), clock.clone(), ids.clone()));
    let keys = ApiKeys::new(ApiKeysParts {
        documents,
        apps: apps.clone(),
        clock,
        ids,
        secrets: Arc::new(CountingSecrets::new()),
        hash: Arc::new(Under(numbers)),
        grace_seconds: 60,
    });
    (apps, Arc::new(keys))
}

/// Between the looks of one that knows both keys of ours, others hash the secret again, once or to and fro.
#[actix_web::test]
async fn a_key_that_is_hashed_again_between_two_looks_is_found_all_the_same() {
    for to_and_fro in 1..=3 {
        let stores = crate::stores().await;
        let (apps, issuer) = process(stores.documents.clone(), &[1]);
        let app = apps.create("shop".into()).await.expect("made").id;
        let new = NewKey { app, name: "till".into(), scopes: vec![Scope::WalletsRead], expires_at: None };
        let secret = issuer.issue(new).await.expect("issued").secret.expose_secret().to_owned();

        // Ours looks under 2 and then under 1. Somebody always moves it to the one that was looked at just before.
        let others = (0..to_and_fro)
            .map(|turn| (process(stores.documents.clone(), ORDERS[turn % 2]).1, secret.clone()))
            .rev()
            .collect();
        let ours = Elsewhere { kept: stores.documents.clone(), others: Mutex::new(others) };
        let documents = Arc::new(Between(ours));
        let (_, here) = process(documents.clone(), &[2, 1]);
        assert!(here.authenticate(&secret).await.is_ok(), "{to_and_fro} times to and fro");
        assert!(documents.others.lock().is_empty(), "everybody came by");
    }
}

#[actix_web::test]
async fn what_was_never_a_key_is_nobodys_also_while_there_are_several_keys() {
    let stores = crate::stores().await;
    let (_, here) = process(stores.documents.clone(), &[2, 1]);
    assert!(here.authenticate(&format!("ck_{}", "A".repeat(43))).await.is_err());
}
