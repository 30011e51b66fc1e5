//! A house with `transactions_module` over an in-memory ledger, and callers who know its door.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use credit_api::route::Route;
use credit_api::testkit::{TestAnswer, TestAuthenticator, TestHouse};
use credit_api::{Apps, WebModule};
use credit_core::memory::{MemoryDocuments, MemoryJournal};
use credit_core::ports::StoreError;
use credit_core::ports::documents::Documents;
use credit_core::ports::journal::Journal;
use credit_core::testkit::{CountingIds, TestClock};
use credit_core::{
    Actor, Amount, AppId, AssetCode, Clock, GrantId, Health, HoldId, InitialiseError, Module, Role, Scope,
    Timestamp, UserId, WalletId,
};
use credit_transactions::{TransactionsModule, TransactionsParts};
use credit_wallet::domain::commands::{
    CaptureHold, ChangeStatus, CreateHold, CreateWallet, PatchWallet, ReleaseHold, VoidGrant,
};
use credit_wallet::domain::{Answer, Command, Wallet, WalletStatus};
use credit_wallet::ledger::{Ask, Book, Ledger, LedgerParts, LedgerSettings, Outcome, verify_book};
use credit_wallet::ports::UserLookup;
use credit_wallet::service::{Counter, CounterParts};
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
    pub(crate) clock: Arc<TestClock>,
    pub(crate) app: AppId,
    pub(crate) other_app: AppId,
    ledger: Arc<Ledger>,
    journal: Arc<dyn Journal>,
    documents: Arc<dyn Documents>,
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
        let documents: Arc<dyn Documents> = Arc::new(MemoryDocuments::new());
        let journal: Arc<dyn Journal> = Arc::new(MemoryJournal::new());
        let clock = Arc::new(TestClock::new());
        let ids = Arc::new(CountingIds::new());
        let apps = Arc::new(Apps::new(documents.clone(), clock.clone(), ids.clone()));
        let app = apps.default_app().await.expect("the default application");
        let other_app = apps.create("other".to_owned()).await.expect("another application").id;
        let ledger = Ledger::new(LedgerParts {
            journal: journal.clone(),
            documents: documents.clone(),
            clock: clock.clone(),
            ids,
            settings: LedgerSettings { view_pause: Duration::from_millis(1), ..LedgerSettings::default() },
            runtime: tokio::runtime::Handle::current(),
        });
        let counter = Counter::new(CounterParts {
            ledger: ledger.clone(),
            apps,
            users: Arc::new(Everybody),
            documents: documents.clone(),
            clock: clock.clone(),
        });
        let module = TransactionsModule::new(TransactionsParts { counter });
        let mut modules: Vec<Arc<dyn WebModule>> =
            vec![Arc::new(NameOnly("connection_api")), Arc::new(NameOnly("user_management"))];
        modules.push(Arc::new(NameOnly("wallet_module")));
        modules.push(Arc::new(module));
        let callers = Arc::new(callers(app, other_app));
        let house = TestHouse::with(modules).tokens(callers.clone()).api_keys(callers).open().await;
        Self {
            house,
            clock,
            app,
            other_app,
            ledger,
            journal,
            documents,
            next: AtomicU64::new(0),
            wallets: Mutex::default(),
        }
    }

    /// A wallet of a user of the first application.
    pub(crate) async fn wallet(&self, user: UserId) -> String {
        self.wallet_in(self.app, user, AssetCode::CREDIT).await
    }

    pub(crate) async fn wallet_in(&self, app: AppId, user: UserId, asset: AssetCode) -> String {
        let command = CreateWallet { user, asset, metadata: [].into() };
        let outcome = self.ledger_does(app, command).await;
        let Answer::Wallet(id) = outcome.record.answer else { panic!("not a wallet") };
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
        self.ledger.book(app).await.expect("a book")
    }

    pub(crate) async fn hold(&self, wallet: &str, amount: i64) -> HoldId {
        let command = CreateHold {
            wallet: wallet_id(wallet),
            amount: Amount::try_new(amount).expect("an amount"),
            expires_in_seconds: DAY,
            reference: None,
            metadata: [].into(),
        };
        let outcome = self.ledger_does(self.app, command).await;
        let Answer::Hold(hold) = &outcome.record.answer else { panic!("not a hold") };
        hold.id
    }

    /// Captures a hold in full and answers the transaction.
    pub(crate) async fn capture(&self, wallet: &str, hold: HoldId) -> Value {
        let command = CaptureHold { wallet: wallet_id(wallet), hold, amount: None, last: true };
        let outcome = self.ledger_does(self.app, command).await;
        let id = outcome.record.posted.first().expect("a capture").id;
        self.get(TILL, &format!("/v1/transactions/{id}")).await.json()
    }

    pub(crate) async fn release(&self, wallet: &str, hold: HoldId) {
        self.ledger_does(self.app, ReleaseHold { wallet: wallet_id(wallet), hold }).await;
    }

    pub(crate) async fn void(&self, wallet: &str, grant: &Value) {
        let grant = GrantId::parse(&text(grant)).expect("a lot's id");
        self.ledger_does(self.app, VoidGrant { wallet: wallet_id(wallet), grant }).await;
    }

    pub(crate) async fn set_status(&self, wallet: &str, status: WalletStatus) {
        self.ledger_does(self.app, ChangeStatus { wallet: wallet_id(wallet), status }).await;
    }

    pub(crate) async fn set_overdraft(&self, wallet: &str, limit: i64) {
        let command = PatchWallet {
            wallet: Some(wallet_id(wallet)),
            overdraft_limit: Some(limit),
            ..PatchWallet::default()
        };
        self.ledger_does(self.app, command).await;
    }

    async fn ledger_does(&self, app: AppId, command: impl Command + 'static) -> Outcome {
        let ask = Ask::new(Arc::new(command), Actor::System, "world");
        self.book(app).await.submit(ask).await.expect("the ledger does it")
    }

    /// The last look at a world: what came in went out or is there, and every view is as the journal says.
    pub(crate) async fn holds_together(&self) {
        for book in self.ledger.open_books() {
            book.flush().await.expect("the views catch up");
            for (asset, totals) in book.totals() {
                assert_eq!(totals.debits, totals.credits, "trial balance of {asset}");
            }
            let replayed = verify_book(&self.journal, &self.documents, book.id()).await.expect("a store");
            assert_eq!(replayed.differences, Vec::<String>::new());
            assert_eq!(book.fault(), None);
        }
    }
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

fn callers(app: AppId, other_app: AppId) -> TestAuthenticator {
    let callers = TestAuthenticator::default();
    callers.learn_user(ANN, app, ANN_ID, &[]);
    callers.learn_user(BOB, app, BOB_ID, &[]);
    callers.learn_user(ADMIN, app, UserId::from_u128(8), &[Role::Admin]);
    callers.learn_user(SUPPORT, app, UserId::from_u128(9), &[Role::Support]);
    let both = [Scope::TransactionsRead, Scope::TransactionsWrite];
    callers.learn_key(TILL, app, &both);
    callers.learn_key(READER, app, &[Scope::TransactionsRead]);
    callers.learn_key(STRANGER, app, &[Scope::WalletsRead, Scope::WalletsWrite]);
    callers.learn_key(OTHER_TILL, other_app, &both);
    callers
}

/// Every user is there.
struct Everybody;

#[async_trait]
impl UserLookup for Everybody {
    async fn exists(&self, _: AppId, _: UserId) -> Result<bool, StoreError> {
        Ok(true)
    }
}

/// A module of which only the name counts: what it would do, the world does at the ledger.
struct NameOnly(&'static str);

#[async_trait]
impl Module for NameOnly {
    fn name(&self) -> &'static str {
        self.0
    }
    fn dependencies(&self) -> &'static [&'static str] {
        &[]
    }
    async fn initialise(&self) -> Result<(), InitialiseError> {
        Ok(())
    }
    async fn health(&self) -> Health {
        Health::healthy()
    }
    async fn shut_down(&self) {}
}

impl WebModule for NameOnly {
    fn routes(&self) -> Vec<Arc<Route>> {
        Vec::new()
    }
}
