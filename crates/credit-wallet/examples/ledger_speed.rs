//! How many commands a second the ledger decides and appends on the stores in memory: `cargo run --release -p
//! credit-wallet --example ledger_speed`. For finding hot spots; `make bench-ledger` measures the real store.

use std::sync::Arc;
use std::time::Instant;

use credit_core::memory::{MemoryDocuments, MemoryJournal};
use credit_core::testkit::{CountingIds, TestClock};
use credit_core::{Actor, AppId, AssetCode, Problem, UserId, WalletId};
use credit_wallet::domain::commands::CreateWallet;
use credit_wallet::domain::moves::{self, Deposit, Posting};
use credit_wallet::domain::{
    Account, Answer, Category, Command, Desk, Direction, KeyMark, Kind, Needs, Note, claim,
};
use credit_wallet::ledger::{Ask, Book, Ledger, LedgerParts, LedgerSettings};

const IN_FLIGHT: u64 = 512;
const COMMANDS: u64 = 400_000;

#[tokio::main]
async fn main() {
    for wallets in [1_000, 1] {
        let book = book().await;
        let wallets = open(&book, wallets).await;
        let begun = Instant::now();
        let workers: Vec<_> =
            (0..IN_FLIGHT).map(|worker| tokio::spawn(spend(book.clone(), wallets.clone(), worker))).collect();
        for worker in workers {
            worker.await.expect("every spend is covered");
        }
        let seconds = begun.elapsed().as_secs_f64();
        let rate = f64::from(u32::try_from(COMMANDS).expect("few")) / seconds;
        println!(
            "{:>5} wallets, {IN_FLIGHT} in flight: {rate:>9.0} spends/s, {} records behind",
            wallets.len(),
            book.lag()
        );
    }
}

async fn spend(book: Arc<Book>, wallets: Arc<Vec<WalletId>>, worker: u64) {
    for round in 0..COMMANDS / IN_FLIGHT {
        let number = worker * 7_919 + round * 31;
        let place = usize::try_from(number).expect("fits") % wallets.len();
        let mark = claim("key", &[&format!("{worker}-{round}")]);
        let ask = Ask {
            key: Some(KeyMark { claim: mark, fingerprint: mark }),
            ..Ask::new(Arc::new(Spend(wallets[place])), Actor::System, "speed")
        };
        book.submit(ask).await.expect("every spend is covered");
    }
}

async fn book() -> Arc<Book> {
    let ledger = Ledger::new(LedgerParts {
        journal: Arc::new(MemoryJournal::new()),
        documents: Arc::new(MemoryDocuments::new()),
        clock: Arc::new(TestClock::new()),
        ids: Arc::new(CountingIds::new()),
        settings: LedgerSettings::default(),
        runtime: tokio::runtime::Handle::current(),
        views: tokio::runtime::Handle::current(),
        company: None,
    });
    ledger.book(AppId::from_u128(1)).await.expect("memory opens")
}

async fn open(book: &Book, count: u128) -> Arc<Vec<WalletId>> {
    let mut wallets = Vec::new();
    for user in 0..count {
        let user = UserId::from_u128(user);
        let metadata = std::collections::BTreeMap::new();
        let command = Arc::new(CreateWallet { user, asset: AssetCode::CREDIT, metadata });
        let outcome = book.submit(Ask::new(command, Actor::System, "speed")).await.expect("a wallet");
        if let Answer::Wallet(id) = *outcome.answer() {
            book.submit(Ask::new(Arc::new(Give(id)), Actor::System, "speed")).await.expect("credits");
            wallets.push(id);
        }
    }
    Arc::new(wallets)
}

struct Give(WalletId);

impl Command for Give {
    fn needs(&self) -> Needs {
        Needs { wallets: vec![self.0], ..Needs::default() }
    }
    fn guarded(&self) -> Option<WalletId> {
        None
    }
    fn decide(&self, desk: &mut Desk<'_>) -> Result<Answer, Problem> {
        desk.bump(self.0)?;
        let deposit = Deposit::new(1_000_000_000, Category::Paid);
        let mut posting = Posting::new(Kind::Purchase, deposit.amount, Note::default());
        posting.credited.push(moves::credit(desk, self.0, &deposit)?);
        desk.post(self.0, Direction::Credit, Account::Issuance, posting).map(Answer::Posted)
    }
}

struct Spend(WalletId);

impl Command for Spend {
    fn needs(&self) -> Needs {
        Needs { wallets: vec![self.0], ..Needs::default() }
    }
    fn guarded(&self) -> Option<WalletId> {
        None
    }
    fn decide(&self, desk: &mut Desk<'_>) -> Result<Answer, Problem> {
        desk.bump(self.0)?;
        let (amount, drawn) = moves::spend(desk, self.0, 1, false)?;
        let mut posting = Posting::new(Kind::Spend, amount, Note::default());
        posting.taken = drawn.taken;
        desk.post(self.0, Direction::Debit, Account::Revenue, posting).map(Answer::Posted)
    }
}
