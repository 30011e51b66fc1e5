//! A house for ledgers: stores, a clock, a few commands, and stores that fail by seed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use credit_core::memory::{MemoryDocuments, MemoryJournal};
use credit_core::ports::StoreError;
use credit_core::ports::documents::{Batch, CommitError, Documents};
use credit_core::ports::journal::{Appended, BookId, Group, Journal, Sequence};
use credit_core::testkit::{Between, CountingIds, Dice, MeddlesWithDocuments, MeddlesWithJournal, TestClock};
use credit_core::{Actor, AppId, AssetCode, Code, Problem, Timestamp, UserId, WalletId};
use credit_wallet::domain::commands::CreateWallet;
use credit_wallet::domain::moves::{self, Deposit, Posting};
use credit_wallet::domain::{
    Account, Answer, Category, Command, Desk, Direction, KeyMark, Kind, Needs, Note, Pack, Portable,
    Transaction, claim,
};
use credit_wallet::ledger::{Ask, Book, Ledger, LedgerParts, LedgerSettings, Outcome, Replayed, verify_book};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::switchboard::Switchboard;

pub(crate) const APP: AppId = AppId::from_u128(0xA);

/// Stores and a clock; ledgers come and go over them.
#[derive(Clone)]
pub(crate) struct House {
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) documents: Arc<dyn Documents>,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) settings: LedgerSettings,
    /// Over which its processes hand each other commands, if they do.
    pub(crate) board: Option<Arc<Switchboard>>,
}

impl House {
    pub(crate) fn new() -> Self {
        Self::over(Arc::new(MemoryJournal::new()), Arc::new(MemoryDocuments::new()))
    }

    pub(crate) fn over(journal: Arc<dyn Journal>, documents: Arc<dyn Documents>) -> Self {
        // Small generations, so that every test goes through many of them.
        let settings = LedgerSettings {
            view_pause: Duration::from_millis(1),
            claims_per_generation: 8,
            ..LedgerSettings::default()
        };
        Self { journal, documents, clock: Arc::new(TestClock::new()), settings, board: None }
    }

    pub(crate) fn ledger_on(&self, runtime: tokio::runtime::Handle) -> Arc<Ledger> {
        static PROCESS: AtomicU64 = AtomicU64::new(0);
        let ids = CountingIds::starting_at(PROCESS.fetch_add(1, Ordering::Relaxed) << 32);
        Ledger::new(LedgerParts {
            journal: self.journal.clone(),
            documents: self.documents.clone(),
            clock: self.clock.clone(),
            ids: Arc::new(ids),
            settings: self.settings.clone(),
            views: runtime.clone(),
            runtime,
            company: self.board.as_ref().map(Switchboard::company),
        })
    }

    /// A book in a process of its own.
    pub(crate) async fn book(&self) -> Arc<Book> {
        self.ledger_on(tokio::runtime::Handle::current()).book(APP).await.expect("the book opens")
    }

    /// The journal from its first group.
    pub(crate) async fn replay(&self) -> Replayed {
        let head = self.journal.head(APP).await.expect("a head");
        let replayed = Replayed::play(&self.journal, APP, head).await.expect("the journal can be read");
        assert!(replayed.differences.is_empty(), "{:?}", replayed.differences);
        replayed
    }

    /// The views show everything, and it is what the journal says.
    pub(crate) async fn verify(&self, book: &Book) -> Replayed {
        book.refresh().await.expect("the journal can be read"); // what others have appended
        let mut flushed = book.flush().await;
        for _ in 0..100 {
            if flushed.is_ok() {
                break;
            }
            flushed = book.flush().await; // a house with a short deadline
        }
        flushed.expect("the views catch up");
        let verified = verify_book(&self.journal, &self.documents, APP).await.expect("both can be read");
        assert!(verified.differences.is_empty(), "{:?}", verified.differences);
        assert_eq!(verified.head, self.journal.head(APP).await.expect("a head"));
        verified
    }
}

pub(crate) fn key(name: &str) -> KeyMark {
    KeyMark { claim: claim("key", &[name]), fingerprint: claim("body", &[name]) }
}

pub(crate) fn ask(command: impl Command + 'static) -> Ask {
    Ask::new(Arc::new(command), Actor::System, "request-1")
}

pub(crate) fn keyed(command: impl Command + 'static, name: &str) -> Ask {
    Ask { key: Some(key(name)), ..ask(command) }
}

pub(crate) async fn open(book: &Book, user: u128) -> WalletId {
    let user = UserId::from_u128(user);
    let command =
        CreateWallet { user, asset: AssetCode::CREDIT, metadata: std::collections::BTreeMap::new() };
    let outcome = book.submit(ask(command)).await.expect("a new user gets a wallet");
    let Answer::Wallet(id) = *outcome.answer() else { panic!("{:?}", outcome.answer()) };
    id
}

pub(crate) async fn wallet_with(book: &Book, user: u128, amount: i64) -> WalletId {
    let wallet = open(book, user).await;
    book.submit(ask(Give::new(wallet, amount))).await.expect("credits come in");
    wallet
}

pub(crate) async fn balance(book: &Book, wallet: WalletId) -> i64 {
    book.wallet(wallet).await.expect("it can be read").expect("it exists").balance()
}

pub(crate) fn posted(outcome: &Outcome) -> Arc<Transaction> {
    let Answer::Posted(index) = *outcome.answer() else { panic!("{:?}", outcome.answer()) };
    Arc::new(outcome.posted()[usize::try_from(index).expect("small")].clone())
}

/// What a caller is told, wherever it was decided.
pub(crate) fn told(outcome: &Outcome) -> (&Answer, &[Transaction]) {
    (outcome.answer(), outcome.posted())
}

/// Credits come in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Give {
    pub(crate) wallet: WalletId,
    pub(crate) deposit: Deposit,
    pub(crate) note: Note,
}

impl Give {
    pub(crate) fn new(wallet: WalletId, amount: i64) -> Self {
        Self { wallet, deposit: Deposit::new(amount, Category::Paid), note: Note::default() }
    }

    pub(crate) fn until(mut self, expires_at: Timestamp) -> Self {
        self.deposit.expires_at = Some(expires_at);
        self
    }

    pub(crate) fn from(mut self, effective_at: Timestamp) -> Self {
        self.deposit.effective_at = Some(effective_at);
        self
    }
}

impl Command for Give {
    fn needs(&self) -> Needs {
        Needs { wallets: vec![self.wallet], ..Needs::default() }
    }
    fn guarded(&self) -> Option<WalletId> {
        Some(self.wallet)
    }
    fn decide(&self, desk: &mut Desk<'_>) -> Result<Answer, Problem> {
        desk.active_wallet(self.wallet)?;
        desk.bump(self.wallet)?;
        let mut posting = Posting::new(Kind::Purchase, self.deposit.amount, self.note.clone());
        posting.credited.push(moves::credit(desk, self.wallet, &self.deposit)?);
        desk.post(self.wallet, Direction::Credit, Account::Issuance, posting).map(Answer::Posted)
    }
    fn portable(&self) -> Option<&dyn Pack> {
        Some(self)
    }
}

impl Portable for Give {
    const NAME: &'static str = "give";
}

/// Credits go out.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Take {
    pub(crate) wallet: WalletId,
    pub(crate) amount: i64,
    pub(crate) note: Note,
}

impl Take {
    pub(crate) fn new(wallet: WalletId, amount: i64) -> Self {
        Self { wallet, amount, note: Note::default() }
    }
}

impl Command for Take {
    fn needs(&self) -> Needs {
        Needs { wallets: vec![self.wallet], ..Needs::default() }
    }
    fn guarded(&self) -> Option<WalletId> {
        Some(self.wallet)
    }
    fn decide(&self, desk: &mut Desk<'_>) -> Result<Answer, Problem> {
        desk.active_wallet(self.wallet)?;
        desk.bump(self.wallet)?;
        let (amount, drawn) = moves::spend(desk, self.wallet, self.amount, false)?;
        let mut posting = Posting::new(Kind::Spend, amount, self.note.clone());
        (posting.taken, posting.overdrawn) = (drawn.taken, drawn.overdrawn);
        desk.post(self.wallet, Direction::Debit, Account::Revenue, posting).map(Answer::Posted)
    }
    fn portable(&self) -> Option<&dyn Pack> {
        Some(self)
    }
}

impl Portable for Take {
    const NAME: &'static str = "take";
}

/// All that was taken goes back to its lots, once.
#[derive(Debug, Clone)]
pub(crate) struct GiveBack(pub(crate) Arc<Transaction>);

impl Command for GiveBack {
    fn needs(&self) -> Needs {
        let wallet = self.0.parties.first();
        let lots = self.0.taken.iter().map(|taken| (wallet, taken.grant)).collect();
        Needs { wallets: vec![wallet], lots, refunds: vec![(wallet, self.0.id)], ..Needs::default() }
    }
    fn guarded(&self) -> Option<WalletId> {
        None
    }
    fn decide(&self, desk: &mut Desk<'_>) -> Result<Answer, Problem> {
        let wallet = self.0.parties.first();
        let mut progress = desk.refunded(wallet, self.0.id)?;
        if progress.total > 0 {
            return Err(Problem::new(Code::RefundExceedsOriginal));
        }
        desk.bump(wallet)?;
        let mut posting = Posting::new(Kind::Refund, self.0.amount, Note::default());
        posting.refund_of = Some(self.0.id);
        let until = desk.now().plus_seconds(1_000);
        for taken in &self.0.taken {
            posting.credited.push(moves::put_back(desk, wallet, taken.grant, taken.amount, until)?);
            progress.parts.push(taken.amount);
        }
        progress.total = self.0.amount;
        desk.put_refunded(wallet, self.0.id, progress)?;
        desk.post(wallet, Direction::Credit, Account::Revenue, posting).map(Answer::Posted)
    }
}

/// A journal in memory that is slow and fails as its dice fall.
pub(crate) struct ShakyJournal {
    inner: Arc<MemoryJournal>,
    dice: Mutex<Dice>,
    /// In a hundred appends.
    pub(crate) faults: AtomicU64,
    pub(crate) slow: Duration,
}

impl ShakyJournal {
    pub(crate) fn new(inner: MemoryJournal, seed: u64, faults: u64, slow: Duration) -> Arc<Between<Self>> {
        let dice = Mutex::new(Dice::new(seed));
        Arc::new(Between(Self { inner: Arc::new(inner), dice, faults: AtomicU64::new(faults), slow }))
    }
}

#[async_trait]
impl MeddlesWithJournal for ShakyJournal {
    fn behind(&self) -> &dyn Journal {
        &*self.inner
    }

    async fn append(&self, book: BookId, sequence: Sequence, group: Group) -> Result<Appended, StoreError> {
        if !self.slow.is_zero() {
            tokio::time::sleep(self.slow).await;
        }
        let unknown = || StoreError::OutcomeUnknown("the dice fell so".to_owned());
        let (fails, how) = {
            let mut dice = self.dice.lock();
            (dice.percent(self.faults.load(Ordering::Relaxed)), dice.below(4))
        };
        match (fails, how) {
            (false, _) => self.inner.append(book, sequence, group).await,
            (true, 0) => Err(StoreError::Unavailable("the dice fell so".to_owned())),
            (true, 1) => Err(unknown()),
            (true, 2) => {
                self.inner.append(book, sequence, group).await?;
                Err(unknown())
            }
            (true, _) => {
                let inner = self.inner.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(30)).await;
                    inner.append(book, sequence, group).await
                });
                Err(unknown())
            }
        }
    }
}

/// Documents in memory that yield before they answer, and that can refuse to commit.
#[derive(Default)]
pub(crate) struct Shaky {
    pub(crate) inner: MemoryDocuments,
    pub(crate) failing: AtomicBool,
}

#[async_trait]
impl MeddlesWithDocuments for Shaky {
    fn behind(&self) -> &dyn Documents {
        &self.inner
    }

    async fn before(&self) -> Result<(), StoreError> {
        tokio::task::yield_now().await;
        Ok(())
    }

    async fn commit(&self, app: AppId, batch: Batch) -> Result<(), CommitError> {
        if self.failing.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("told to fail".to_owned()).into());
        }
        self.inner.commit(app, batch).await
    }
}

/// Those documents.
pub(crate) type ShakyDocuments = Between<Shaky>;
