//! When the journal cannot be reached.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use credit_core::ports::StoreError;
use credit_core::ports::journal::{Appended, BookId, Group, Journal, Sequence};
use credit_core::testkit::{Between, MeddlesWithJournal, TestStores};
use credit_wallet::testkit::Ground;
use serde_json::json;

use super::world::alice;

struct Unreachable {
    kept: Arc<dyn Journal>,
    is_down: AtomicBool,
}

#[async_trait]
impl MeddlesWithJournal for Unreachable {
    fn behind(&self) -> &dyn Journal {
        &*self.kept
    }

    async fn append(&self, book: BookId, sequence: Sequence, group: Group) -> Result<Appended, StoreError> {
        if self.is_down.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("it was switched off".to_owned()));
        }
        self.kept.append(book, sequence, group).await
    }
}

#[actix_web::test]
async fn a_call_that_cannot_be_kept_moves_nothing_and_succeeds_later_with_the_same_key() {
    let stores = crate::stores().await;
    let journal = Unreachable { kept: stores.journal.clone(), is_down: AtomicBool::new(false) };
    let journal = Arc::new(Between(journal));
    let house = Ground::on(TestStores { journal: journal.clone(), ..stores }).await.open(Vec::new()).await;
    let (_, wallet) = house.person("alice").await;
    house.ground.seed(wallet, 100).await;
    let before = house.look(wallet).await;
    let path = format!("/v1/wallets/{wallet}/holds");
    journal.is_down.store(true, Ordering::SeqCst);
    let failed = house.once(&alice(), "h", &path, json!({ "amount": 3 })).await;
    assert_eq!((failed.status, failed.code().as_str()), (503, "unavailable"));
    assert!(failed.header("retry-after").is_some());
    assert!(!String::from_utf8_lossy(&failed.body).contains("switched off"), "the inside stays inside");
    assert_eq!(house.look(wallet).await, before);
    journal.is_down.store(false, Ordering::SeqCst);
    let made = house.once(&alice(), "h", &path, json!({ "amount": 3 })).await;
    assert_eq!((made.status, made.header("idempotent-replayed")), (201, None));
    assert_eq!(house.look(wallet).await["held"], 3);
}
