//! The ledger alone on the embedded store: no HTTP, every outcome durable.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use credit_api::request::{IdempotencyKey, Intent, KeyHolder, KeyUse};
use credit_core::ports::journal::Journal;
use credit_core::{Actor, Amount, AppId, AssetCode, UserId, WalletId};
use credit_infra::clock::SystemClock;
use credit_infra::embedded::{EmbeddedOptions, EmbeddedStore};
use credit_infra::randomness::OsIds;
use credit_transactions::domain::{Purchase, Spend};
use credit_wallet::domain::commands::CreateWallet;
use credit_wallet::domain::moves::Deposit;
use credit_wallet::domain::{Answer, Category, Command, Note};
use credit_wallet::ledger::{Ask, Book, Ledger, LedgerParts, LedgerSettings};

use crate::raw_log;

const WALLETS: u128 = 1_000;
pub(crate) const SECONDS: u64 = 8;
const PLENTY: i64 = 1_000_000_000;

pub(crate) fn run() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(measure(runtime.handle().clone()))
}

async fn measure(handle: tokio::runtime::Handle) -> anyhow::Result<()> {
    let folder = tempfile::TempDir::new()?;
    let store = EmbeddedStore::open(folder.path(), EmbeddedOptions::default())?;
    let journal = store.journal();
    let ledger = Ledger::new(LedgerParts {
        journal: journal.clone(),
        documents: store.documents(),
        clock: Arc::new(SystemClock::new()),
        ids: Arc::new(OsIds::new()),
        settings: LedgerSettings::default(),
        runtime: handle.clone(),
        views: handle,
        company: None,
    });
    let app = AppId::from_u128(1);
    let book = ledger.book(app).await?;
    let wallets = prepare(&book).await?;
    println!("the ledger alone, durable, embedded store, {SECONDS} s each");
    println!(
        "{:>10} {:>9} {:>11} {:>11} {:>13} {:>12}",
        "wallets", "in flight", "spends/s", "records/gr", "bytes/record", "raw log/s"
    );
    for (name, wallets) in [("1,000", wallets.clone()), ("one hot", wallets[..1].to_vec())] {
        for in_flight in [64, 512] {
            let before = journal.head(app).await?;
            let spends = spend(&book, wallets.clone(), in_flight).await?;
            let head = journal.head(app).await?;
            let (groups, bytes) = (head - before, sample_bytes(&*journal, app, head).await?);
            let per_group = ratio(spends, groups);
            let rate = ratio(spends, SECONDS);
            let raw = raw_log::groups_a_second(folder.path(), bytes, 2)? * per_group;
            let per_record = f64::from(u32::try_from(bytes)?) / per_group;
            println!(
                "{name:>10} {in_flight:>9} {rate:>11.0} {per_group:>11.1} {per_record:>13.0} {raw:>12.0}"
            );
        }
    }
    ledger.shut_down().await;
    store.close()?;
    Ok(())
}

pub(crate) fn ratio(left: u64, right: u64) -> f64 {
    let number = |value: u64| f64::from(u32::try_from(value).unwrap_or(u32::MAX));
    number(left) / number(right.max(1))
}

/// The mean size of the last hundred groups.
async fn sample_bytes(journal: &dyn Journal, app: AppId, head: u64) -> anyhow::Result<usize> {
    let groups = journal.read(app, head.saturating_sub(99).max(1), 100).await?;
    let total: usize = groups.iter().map(|(_, group)| group.bytes.len()).sum();
    Ok(total / groups.len().max(1))
}

pub(crate) async fn prepare(book: &Arc<Book>) -> anyhow::Result<Vec<WalletId>> {
    let mut wallets = Vec::new();
    for number in 1..=WALLETS {
        let user = UserId::from_u128(number);
        let open =
            CreateWallet { user, asset: AssetCode::CREDIT, metadata: std::collections::BTreeMap::new() };
        let opened = book.submit(Ask::new(Arc::new(open), Actor::System, "bench")).await?;
        let Answer::Wallet(wallet) = *opened.answer() else { anyhow::bail!("no wallet was opened") };
        let deposit = Deposit::new(PLENTY, Category::Paid);
        let buy = Purchase { wallet, deposit, note: Note::default(), earlier: None };
        book.submit(Ask::new(Arc::new(buy), Actor::System, "bench")).await?;
        wallets.push(wallet);
    }
    Ok(wallets)
}

pub(crate) async fn spend(book: &Arc<Book>, wallets: Vec<WalletId>, in_flight: u64) -> anyhow::Result<u64> {
    static KEYS: AtomicU64 = AtomicU64::new(0);
    let limit = Instant::now() + Duration::from_secs(SECONDS);
    let wallets = Arc::new(wallets);
    let mut tasks = Vec::new();
    for caller in 0..in_flight {
        let (book, wallets) = (book.clone(), wallets.clone());
        tasks.push(tokio::spawn(async move {
            let mut done = 0_u64;
            let mut place = usize::try_from(caller)?;
            while Instant::now() < limit {
                place = (place + 7) % wallets.len();
                let number = KEYS.fetch_add(1, Ordering::Relaxed);
                let key = IdempotencyKey::parse(&format!("bench-{number}")).map_err(anyhow::Error::new)?;
                let intent = Intent::Once(KeyUse { key, holder: KeyHolder::Application, fingerprint: 1 });
                let command: Arc<dyn Command> = Arc::new(Spend {
                    wallet: wallets[place],
                    amount: Amount::ONE,
                    at_most: false,
                    note: Note::default(),
                });
                let outcome =
                    book.submit(Ask::new(command, Actor::System, "bench").intending(&intent)).await?;
                ensure!(!outcome.replayed, "a fresh key was replayed");
                done += 1;
            }
            anyhow::Ok(done)
        }));
    }
    let mut spends = 0;
    for task in tasks {
        spends += task.await.context("a caller panicked")??;
    }
    Ok(spends)
}
