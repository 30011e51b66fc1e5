//! Sums and replays, for whoever looks after the house.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use credit_api::ports::LedgerAudit;
use credit_core::ports::StoreError;
use credit_core::ports::documents::{Batch, Write};
use credit_core::ports::documents::{Documents, Query, Row};
use credit_core::testkit::{Between, MeddlesWithDocuments, TestStores};
use credit_core::{AppId, Health, Module};
use credit_wallet::WalletModule;
use credit_wallet::ledger::views;
use credit_wallet::testkit::{Ground, Take, WalletHouse, nothing};
use tokio::sync::Notify;

use super::world::{alice, alice_with, hold, house};

#[actix_web::test]
async fn debits_and_credits_of_every_application_are_summed_by_asset_and_agree() {
    let (house, wallet) = alice_with(100).await;
    house.ground.command(house.ground.app, Take { wallet, amount: 30 }).await;
    house.person_of(house.ground.other_app, "carol").await;
    let sums = house.ground.auditor().trial_balance().await.expect("it sums");
    let [sum] = sums.as_slice() else { panic!("one asset: {sums:?}") };
    assert_eq!((sum.asset.as_str(), sum.debits, sum.credits), ("CREDIT", 130, 130));
}

#[actix_web::test]
async fn an_asset_in_which_nothing_has_moved_is_summed_too() {
    let house = house().await;
    let sums = house.ground.auditor().trial_balance().await.expect("it sums");
    let [sum] = sums.as_slice() else { panic!("one asset: {sums:?}") };
    assert_eq!((sum.asset.as_str(), sum.debits, sum.credits), ("CREDIT", 0, 0));
    let gold = credit_core::AssetCode::parse("GOLD").expect("a code");
    house.ground.counter.create_asset(gold, 2).await.expect("made");
    let sums = house.ground.auditor().trial_balance().await.expect("it sums");
    let codes: Vec<&str> = sums.iter().map(|sum| sum.asset.as_str()).collect();
    assert_eq!(codes, ["CREDIT", "GOLD"]);
    assert!(sums.iter().all(|sum| (sum.debits, sum.credits) == (0, 0)));
}

#[actix_web::test]
async fn a_sound_ledger_verifies_whatever_has_happened_in_it() {
    let (house, wallet) = alice_with(100).await;
    let held = hold(&house, wallet, 30).await;
    house.once(&alice(), "c", &format!("/v1/holds/{held}/capture"), nothing()).await;
    hold(&house, wallet, 10).await;
    house.person_of(house.ground.other_app, "carol").await;
    house.wait_seconds(30 * 24 * 3600);
    house.sweep().await;
    let report = house.ground.auditor().verify().await.expect("it replays");
    assert!(report.ok, "{:?}", report.differences);
    assert_eq!((&report.checked["books"], &report.checked["wallets"]), (&2.into(), &2.into()));
    assert_eq!(report.checked["transactions"], 2);
}

#[actix_web::test]
async fn a_view_that_was_tampered_with_is_named() {
    let (house, wallet) = alice_with(100).await;
    let auditor = house.ground.auditor();
    assert!(auditor.verify().await.expect("it replays").ok);
    let (documents, app) = (&house.ground.documents, house.ground.app);
    let id = wallet.to_string();
    let kept = documents.get(app, &views::WALLETS, &id).await.expect("answers").expect("there");
    let forged =
        String::from_utf8(kept.body.to_vec()).expect("JSON").replace("\"overdrawn\":0", "\"overdrawn\":1");
    let delete = Write::Delete { collection: &views::WALLETS, id: id.clone(), version: kept.version };
    let put = Write::Put {
        collection: &views::WALLETS,
        id: id.clone(),
        sequence: kept.version,
        body: forged.into_bytes().into(),
        keys: Vec::new(),
    };
    documents.commit(app, Batch::of(delete).and(put)).await.expect("memory commits");
    let report = auditor.verify().await.expect("it replays");
    assert!(!report.ok);
    assert!(report.differences.iter().any(|difference| difference.found.contains(&id)), "{report:?}");
}

#[actix_web::test]
async fn the_module_is_well_and_ends_when_it_is_told_to() {
    let (house, wallet) = alice_with(100).await;
    let module = WalletModule::new(house.ground.counter.clone());
    assert_eq!(module.health().await, Health::healthy());
    module.shut_down().await;
    let path = format!("/v1/wallets/{wallet}/holds");
    let late = house.once(&alice(), "h", &path, serde_json::json!({ "amount": 1 })).await;
    assert_eq!((late.status, late.code().as_str()), (503, "unavailable"));
}

/// Documents that stop before they list wallets, once, until something has happened.
struct Interrupted {
    kept: Arc<dyn Documents>,
    is_armed: AtomicBool,
    stopped: Notify,
    go_on: Notify,
}

#[async_trait]
impl MeddlesWithDocuments for Interrupted {
    fn behind(&self) -> &dyn Documents {
        &*self.kept
    }

    async fn query(&self, app: AppId, query: Query) -> Result<Vec<Row>, StoreError> {
        if query.collection == &views::WALLETS && self.is_armed.swap(false, Ordering::SeqCst) {
            self.stopped.notify_one();
            self.go_on.notified().await;
        }
        self.kept.query(app, query).await
    }
}

#[actix_web::test]
async fn what_moves_while_it_is_verified_is_not_taken_for_a_difference() {
    let stores = crate::stores().await;
    let documents = Arc::new(Between(Interrupted {
        kept: stores.documents.clone(),
        is_armed: AtomicBool::new(false),
        stopped: Notify::new(),
        go_on: Notify::new(),
    }));
    let ground = Ground::on(TestStores { documents: documents.clone(), ..stores }).await;
    let house = ground.open(Vec::new()).await;
    let (_, wallet) = house.person("alice").await;
    house.ground.seed(wallet, 100).await;
    documents.is_armed.store(true, Ordering::SeqCst);
    let auditor = house.ground.auditor();
    let meanwhile = async |house: &WalletHouse| {
        documents.stopped.notified().await;
        house.ground.seed(wallet, 5).await;
        hold(house, wallet, 30).await;
        house.person("bob").await;
        let book = house.ground.counter.book(house.ground.app).await.expect("the book opens");
        book.flush().await.expect("the views catch up");
        documents.go_on.notify_one();
    };
    let (report, ()) = tokio::join!(auditor.verify(), meanwhile(&house));
    let report = report.expect("it replays");
    assert!(report.ok, "{:?}", report.differences);
    assert_eq!(report.checked["wallets"], 1);
}
