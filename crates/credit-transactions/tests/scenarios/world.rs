//! A house with `transactions_module` beside `wallet_module` on the in-memory ports, and callers who know its door.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use credit_api::testkit::{TestAnswer, TestHouse};
use credit_api::{ApiKeys, ApiKeysParts, ConnectionApi, ConnectionApiParts, House};
use credit_core::testkit::{CountingIds, CountingSecrets, TestClock, TestKeyedHash};
use credit_core::{
    Amount, AppId, AssetCode, Clock, GrantId, HoldId, Role, Scope, Timestamp, UserId, WalletId,
};
use credit_transactions::{TransactionsModule, TransactionsParts};
use credit_wallet::domain::commands::{
    CaptureHold, ChangeStatus, CreateHold, PatchWallet, ReleaseHold, VoidGrant,
};
use credit_wallet::domain::{Answer, Wallet, WalletStatus};
use credit_wallet::ledger::{Book, verify_book};
use credit_wallet::testkit::{Ground, WalletHouse};
use parking_lot::Mutex;
use serde_json::{Value, json};

/// A user with an own wallet in the first application.
pub(crate) const ANN: &str = "ann";
/// Another one.
pub(crate) const BOB: &str = "bob";
/// An admin, who is a user of the first application.
pub(crate) const ADMIN: &str = "admin";
/// A supporter.
pub(crate) const SUPPORT: &str = "support";
/// A key of the first application with both scopes.
pub(crate) const TILL: &str = "ck_till";
/// A key of the first application that only reads.
pub(crate) const READER: &str = "ck_reader";
/// A key of the first application without a scope for transactions.
pub(crate) const STRANGER: &str = "ck_stranger";
/// A key of the second application with both scopes.
pub(crate) const OTHER_TILL: &str = "ck_other_till";

pub(crate) const ANN_ID: UserId = UserId::from_u128(1);
pub(crate) const BOB_ID: UserId = UserId::from_u128(2);

pub(crate) const DAY: i64 = 86_400;

pub(crate) struct World {
    house: TestHouse,
    ground: Ground,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) app: AppId,
    pub(crate) other_app: AppId,
    next: AtomicU64,
    wallets: Mutex<Vec<(AppId, WalletId)>>,
}

/// What a refusal must leave as it is.
#[derive(Debug, PartialEq, Eq)]
struct Figures {
    balance: i64,
    held: i64,
    overdrawn: i64,
    version: u64,
    entries: u64,
}

impl World {
    pub(crate) async fn new() -> Self {
        let ground = Ground::on(crate::stores().await).await;
        assert_eq!(ground.user_of(ground.app, ANN, &[]), ANN_ID);
        assert_eq!(ground.user_of(ground.app, BOB, &[]), BOB_ID);
        ground.user_of(ground.app, ADMIN, &[Role::Admin]);
        ground.user_of(ground.app, SUPPORT, &[Role::Support]);
        let both = [Scope::TransactionsRead, Scope::TransactionsWrite];
        ground.api_keys.learn_key(TILL, ground.app, &both);
        ground.api_keys.learn_key(READER, ground.app, &[Scope::TransactionsRead]);
        ground.api_keys.learn_key(STRANGER, ground.app, &[Scope::WalletsRead, Scope::WalletsWrite]);
        ground.api_keys.learn_key(OTHER_TILL, ground.other_app, &both);
        let module = TransactionsModule::new(TransactionsParts { counter: ground.counter.clone() });
        let WalletHouse { ground, door } = ground.open(vec![Arc::new(module)]).await;
        Self {
            house: door,
            clock: ground.clock.clone(),
            app: ground.app,
            other_app: ground.other_app,
            ground,
            next: AtomicU64::new(0),
            wallets: Mutex::default(),
        }
    }

    /// A wallet of a user of the first application.
    pub(crate) async fn wallet(&self, user: UserId) -> String {
        self.wallet_in(self.app, user, AssetCode::CREDIT).await
    }

    pub(crate) async fn wallet_in(&self, app: AppId, user: UserId, asset: AssetCode) -> String {
        let id = self.ground.wallet_of(app, user, asset).await;
        self.wallets.lock().push((app, id));
        id.to_string()
    }

    /// A wallet of Ann's with so many credits bought.
    pub(crate) async fn filled_wallet(&self, amount: i64) -> String {
        let wallet = self.wallet(ANN_ID).await;
        if amount > 0 {
            self.purchase(&wallet, amount).await;
        }
        wallet
    }

    /// Asks for a transaction with a key of its own.
    pub(crate) async fn post(&self, caller: &str, body: &Value) -> TestAnswer {
        self.post_with_key(caller, &self.key(), body).await
    }

    pub(crate) async fn post_with_key(&self, caller: &str, key: &str, body: &Value) -> TestAnswer {
        self.call("POST", "/v1/transactions", caller, &[("idempotency-key", key)], Some(body)).await
    }

    /// A transaction that is made.
    pub(crate) async fn make(&self, caller: &str, body: &Value) -> Value {
        let answer = self.post(caller, body).await;
        assert_eq!(answer.status, 201, "{}", answer.json());
        answer.json()
    }

    pub(crate) async fn purchase(&self, wallet: &str, amount: i64) -> Value {
        self.make(TILL, &json!({ "type": "purchase", "wallet_id": wallet, "amount": amount })).await
    }

    pub(crate) async fn grant(&self, wallet: &str, amount: i64, expires_in_days: i64) -> Value {
        let expires_at = self.clock.now().plus_seconds(expires_in_days * DAY);
        let body =
            json!({ "type": "grant", "wallet_id": wallet, "amount": amount, "expires_at": expires_at });
        self.make(TILL, &body).await
    }

    pub(crate) async fn spend(&self, wallet: &str, amount: i64) -> Value {
        self.make(TILL, &spend(wallet, amount)).await
    }

    pub(crate) async fn refund(&self, transaction: &Value, body: &Value) -> TestAnswer {
        let path = format!("/v1/transactions/{}/refund", text(&transaction["id"]));
        self.call("POST", &path, TILL, &[("idempotency-key", &self.key())], Some(body)).await
    }

    /// A refund that is made.
    pub(crate) async fn refunded(&self, transaction: &Value, body: &Value) -> Value {
        let answer = self.refund(transaction, body).await;
        assert_eq!(answer.status, 201, "{}", answer.json());
        answer.json()
    }

    pub(crate) async fn get(&self, caller: &str, path: &str) -> TestAnswer {
        self.call("GET", path, caller, &[], None).await
    }

    pub(crate) async fn call(
        &self,
        method: &str,
        path: &str,
        caller: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> TestAnswer {
        let bearer = format!("Bearer {caller}");
        let mut all = headers.to_vec();
        all.push(if caller.starts_with("ck_") { ("x-api-key", caller) } else { ("authorization", &bearer) });
        self.house.call(method, path, &all, body).await
    }

    /// These very bytes to `/v1/transactions`.
    pub(crate) async fn send(&self, method: &str, caller: &str, kind: &str, body: &str) -> TestAnswer {
        let headers = [("x-api-key", caller), ("idempotency-key", "k"), ("content-type", kind)];
        self.house.call_raw(method, "/v1/transactions", &headers, body.to_owned()).await
    }

    /// A fresh idempotency key.
    pub(crate) fn key(&self) -> String {
        format!("key-{}", self.next.fetch_add(1, Ordering::SeqCst))
    }

    /// A call that is refused, with the proof that nothing happened to any wallet.
    pub(crate) async fn refuses(&self, caller: &str, body: &Value, status: u16, code: &str) -> Value {
        let before = self.figures().await;
        let answer = self.post(caller, body).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{body}: {}", answer.json());
        assert_eq!(self.figures().await, before, "{body}");
        answer.json()
    }

    /// A refund that is refused, with the same proof.
    pub(crate) async fn refuses_refund(&self, transaction: &Value, body: &Value, code: &str) -> Value {
        let before = self.figures().await;
        let answer = self.refund(transaction, body).await;
        assert_eq!((answer.status, answer.code().as_str()), (422, code), "{}", answer.json());
        assert_eq!(self.figures().await, before);
        answer.json()
    }

    async fn figures(&self) -> Vec<Figures> {
        let wallets = self.wallets.lock().clone();
        let mut figures = Vec::new();
        for (app, id) in wallets {
            let wallet = self.state(app, id).await;
            figures.push(Figures {
                balance: wallet.balance(),
                held: wallet.held(),
                overdrawn: wallet.overdrawn,
                version: wallet.version,
                entries: wallet.entries,
            });
        }
        figures
    }

    async fn state(&self, app: AppId, id: WalletId) -> Arc<Wallet> {
        self.book(app).await.wallet(id).await.expect("a store").expect("a wallet")
    }

    pub(crate) async fn see(&self, wallet: &str) -> Arc<Wallet> {
        let id = wallet_id(wallet);
        let known = self.wallets.lock().iter().find(|(_, known)| *known == id).copied();
        self.state(known.expect("a wallet of this world").0, id).await
    }

    pub(crate) async fn balance(&self, wallet: &str) -> i64 {
        self.see(wallet).await.balance()
    }

    /// A lot as it is: amount, remaining and when it expires.
    pub(crate) async fn lot(&self, grant: &Value) -> (i64, i64, Option<Timestamp>) {
        let id = GrantId::parse(&text(grant)).expect("a lot's id");
        let (_, lot) = self.book(self.app).await.grant(id).await.expect("a store").expect("a lot");
        (lot.amount, lot.remaining, lot.expires_at)
    }

    pub(crate) async fn book(&self, app: AppId) -> Arc<Book> {
        self.ground.counter.book(app).await.expect("a book")
    }

    pub(crate) async fn hold(&self, wallet: &str, amount: i64) -> HoldId {
        let command = CreateHold {
            wallet: wallet_id(wallet),
            amount: Amount::try_new(amount).expect("an amount"),
            expires_in_seconds: DAY,
            reference: None,
            metadata: [].into(),
        };
        let outcome = self.ground.command(self.app, command).await;
        let Answer::Hold(hold) = outcome.answer() else { panic!("not a hold") };
        hold.id
    }

    /// Captures a hold in full and answers the transaction.
    pub(crate) async fn capture(&self, wallet: &str, hold: HoldId) -> Value {
        let command = CaptureHold { wallet: wallet_id(wallet), hold, amount: None, last: true };
        let outcome = self.ground.command(self.app, command).await;
        let id = outcome.posted().first().expect("a capture").id;
        self.get(TILL, &format!("/v1/transactions/{id}")).await.json()
    }

    pub(crate) async fn release(&self, wallet: &str, hold: HoldId) {
        self.ground.command(self.app, ReleaseHold { wallet: wallet_id(wallet), hold }).await;
    }

    pub(crate) async fn void(&self, wallet: &str, grant: &Value) {
        let grant = GrantId::parse(&text(grant)).expect("a lot's id");
        self.ground.command(self.app, VoidGrant { wallet: wallet_id(wallet), grant }).await;
    }

    pub(crate) async fn set_status(&self, wallet: &str, status: WalletStatus) {
        self.ground.command(self.app, ChangeStatus { wallet: wallet_id(wallet), status }).await;
    }

    pub(crate) async fn set_overdraft(&self, wallet: &str, limit: i64) {
        let command = PatchWallet {
            wallet: Some(wallet_id(wallet)),
            overdraft_limit: Some(limit),
            ..PatchWallet::default()
        };
        self.ground.command(self.app, command).await;
    }

    /// The last look at a world: what came in went out or is there, and every view is as the journal says.
    pub(crate) async fn holds_together(&self) {
        let Ground { journal, documents, counter, .. } = &self.ground;
        for book in counter.ledger().open_books() {
            book.flush().await.expect("the views catch up");
            for (asset, totals) in book.totals() {
                assert_eq!(totals.debits, totals.credits, "trial balance of {asset}");
            }
            let replayed = verify_book(journal, documents, book.id()).await.expect("a store");
            assert_eq!(replayed.differences, Vec::<String>::new());
            assert_eq!(book.fault(), None);
        }
    }
}

/// What the house with this module in it says of itself.
pub(crate) async fn openapi() -> Value {
    let ground = Ground::on(crate::stores().await).await;
    let (documents, clock) = (ground.documents.clone(), ground.clock.clone());
    let ids = Arc::new(CountingIds::starting_at(1_000));
    let api_keys = Arc::new(ApiKeys::new(ApiKeysParts {
        documents,
        apps: ground.apps.clone(),
        clock,
        ids,
        secrets: Arc::new(CountingSecrets::new()),
        hash: Arc::new(TestKeyedHash),
        grace_seconds: DAY,
    }));
    let house = House::new();
    let connection = ConnectionApi::new(ConnectionApiParts {
        name: "credit-server",
        version: "1.0.0",
        house: house.clone(),
        apps: ground.apps.clone(),
        api_keys,
        probes: Vec::new(),
        ledger: None,
        jobs: None,
        log: None,
        profiles: None,
    });
    let module = TransactionsModule::new(TransactionsParts { counter: ground.counter.clone() });
    let door = ground.builder(vec![Arc::new(connection), Arc::new(module)]).house(house).open().await;
    let answer = door.call("GET", "/openapi.json", &[], None).await;
    assert_eq!(answer.status, 200);
    answer.json()
}

pub(crate) fn spend(wallet: &str, amount: i64) -> Value {
    json!({ "type": "spend", "wallet_id": wallet, "amount": amount })
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is not a text")).to_owned()
}

fn wallet_id(text: &str) -> WalletId {
    WalletId::parse(text).expect("a wallet's id")
}
