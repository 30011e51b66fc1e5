//! The yardstick of `make bench-mongo`: the driver alone, one transaction per transfer, as one would write it without a
//! ledger. A transfer is two conditional updates (one `update` command with two statements, which is faster than two
//! commands), two entries and an idempotency key; snapshot reads, majority commits with journal; every transient fault
//! begins the transaction again, every unknown commit is committed again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mongodb::bson::{Document, doc};
use mongodb::error::{Error, Result, TRANSIENT_TRANSACTION_ERROR, UNKNOWN_TRANSACTION_COMMIT_RESULT};
use mongodb::options::{Acknowledgment, ReadConcern, TransactionOptions, WriteConcern};
use mongodb::{Client, ClientSession, Database};

const PLENTY: i64 = 1_000_000_000;

/// What was measured.
#[derive(Debug, Clone, Copy)]
pub struct RawTransfers {
    /// Transfers committed.
    pub transfers: u64,
    /// Transactions that had to begin again.
    pub retries: u64,
    /// How long it took.
    pub elapsed: Duration,
}

struct Bench {
    database: Database,
    accounts: u64,
    hot: bool,
    numbers: AtomicU64,
    retries: AtomicU64,
}

/// Transfers by `callers` at once for so long. With `hot`, every transfer debits account 0.
///
/// # Errors
/// The driver's words, if the server cannot be used.
pub async fn measure(
    uri: &str,
    database: &str,
    accounts: u64,
    hot: bool,
    callers: u64,
    length: Duration,
) -> std::result::Result<RawTransfers, String> {
    run(uri, database, accounts, hot, callers, length).await.map_err(|error| error.to_string())
}

async fn run(
    uri: &str,
    database: &str,
    accounts: u64,
    hot: bool,
    callers: u64,
    length: Duration,
) -> Result<RawTransfers> {
    let client = Client::with_uri_str(uri).await?;
    let database = client.database(database);
    prepare(&database, accounts).await?;
    let bench =
        Arc::new(Bench { database, accounts, hot, numbers: AtomicU64::new(0), retries: AtomicU64::new(0) });
    let begun = Instant::now();
    let mut tasks = Vec::new();
    for caller in 0..callers {
        let (bench, client) = (bench.clone(), client.clone());
        tasks.push(tokio::spawn(async move {
            let mut session = client.start_session().await?;
            let mut done = 0_u64;
            let mut place = caller;
            while begun.elapsed() < length {
                place += 7;
                bench.transfer(&mut session, place).await?;
                done += 1;
            }
            Ok::<_, Error>(done)
        }));
    }
    let mut transfers = 0;
    for task in tasks {
        transfers += task.await.map_err(|panicked| Error::custom(panicked.to_string()))??;
    }
    Ok(RawTransfers { transfers, retries: bench.retries.load(Ordering::Relaxed), elapsed: begun.elapsed() })
}

async fn prepare(database: &Database, accounts: u64) -> Result<()> {
    database.drop().await?;
    for name in ["entries", "keys"] {
        database.create_collection(name).await?;
    }
    let number = |account: u64| i64::try_from(account).expect("few accounts");
    let rows = (0..accounts).map(|account| doc! {"_id": number(account), "balance": PLENTY});
    database.collection::<Document>("accounts").insert_many(rows).await?;
    Ok(())
}

fn options() -> TransactionOptions {
    TransactionOptions::builder()
        .read_concern(ReadConcern::snapshot())
        .write_concern(WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build())
        .build()
}

impl Bench {
    async fn transfer(&self, session: &mut ClientSession, place: u64) -> Result<()> {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        loop {
            session.start_transaction().with_options(options()).await?;
            if let Err(error) = self.writes(session, number, place).await {
                // The server may have ended it already.
                let _ = session.abort_transaction().await;
                if error.contains_label(TRANSIENT_TRANSACTION_ERROR) {
                    self.wait(number).await;
                    continue;
                }
                return Err(error);
            }
            loop {
                match session.commit_transaction().await {
                    Ok(()) => return Ok(()),
                    Err(error) if error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT) => {}
                    Err(error) if error.contains_label(TRANSIENT_TRANSACTION_ERROR) => break,
                    Err(error) => return Err(error),
                }
            }
            self.wait(number).await;
        }
    }

    /// A short pause, another one for each caller: those that got into each other's way begin again apart.
    async fn wait(&self, number: u64) {
        self.retries.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_micros(500 + number.wrapping_mul(7919) % 4000)).await;
    }

    async fn writes(&self, session: &mut ClientSession, number: u64, place: u64) -> Result<()> {
        let source = if self.hot { 0 } else { place % self.accounts };
        let destination = (source + 1 + place % (self.accounts - 1)) % self.accounts;
        let [source, destination, number] =
            [source, destination, number].map(|n| i64::try_from(n).expect("few of them"));
        let update = doc! {"update": "accounts", "updates": [
            {"q": {"_id": source, "balance": {"$gte": 1_i64}}, "u": {"$inc": {"balance": -1_i64}}},
            {"q": {"_id": destination}, "u": {"$inc": {"balance": 1_i64}}},
        ]};
        let answer = self.database.run_command(update).session(&mut *session).await?;
        // What a command refuses, it does not raise.
        if answer.get_i32("n").unwrap_or_default() != 2 || answer.contains_key("writeErrors") {
            return Err(Error::custom(format!("an update was refused: {answer}")));
        }
        let entry = |side: &str, account: i64| doc! {"_id": format!("{number}-{side}"), "account": account, "amount": 1_i64};
        let entries = [entry("debit", source), entry("credit", destination)];
        self.database.collection::<Document>("entries").insert_many(entries).session(&mut *session).await?;
        let key = doc! {"_id": format!("key-{number}"), "transfer": number};
        self.database.collection::<Document>("keys").insert_one(key).session(&mut *session).await?;
        Ok(())
    }
}
