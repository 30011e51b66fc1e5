//! How fast the embedded store is on this machine, beside a bare append log with a sync per group in the same run.
//!
//! `cargo run --release -p credit-infra --example store_speed [directory]`

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use credit_core::ports::documents::{Batch, Collection, Documents, Write};
use credit_core::ports::journal::{Appended, Group, Journal};
use credit_core::{AppId, Timestamp};
use credit_infra::embedded::{EmbeddedOptions, EmbeddedStore};

/// 256 records of 400 bytes.
const GROUP_BYTES: usize = 256 * 400;
const SECONDS: u64 = 3;

static VIEWS: Collection = Collection { name: "speed_views", indexes: &[] };

type Failed = Box<dyn std::error::Error>;

fn main() -> Result<(), Failed> {
    let directory = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let directory = tempfile::tempdir_in(directory)?;
    let group: Bytes = (0..=255).cycle().take(GROUP_BYTES).collect();

    let raw = raw_log(&directory.path().join("raw.log"), &group)?;
    println!("raw log, one sync a group        {raw:>9.0} groups/s");

    let store = EmbeddedStore::open(directory.path(), EmbeddedOptions::new(Timestamp::EPOCH, 1))?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    for books in [1, 4, 16] {
        let rate = runtime.block_on(appends(&store.journal(), books, &group));
        println!(
            "embedded, {books:>2} books at once       {rate:>9.0} groups/s   {:.2} of the raw log",
            rate / raw
        );
    }
    for round in 1..=4 {
        let took = runtime.block_on(put_views(&*store.documents(), round))?;
        println!("50,000 views put, round {round}        {:>9.0} ms", took.as_secs_f64() * 1000.0);
    }
    let begun = Instant::now();
    store.close()?;
    println!("close                            {:>9.1} ms", begun.elapsed().as_secs_f64() * 1000.0);
    let begun = Instant::now();
    let store = EmbeddedStore::open(directory.path(), EmbeddedOptions::new(Timestamp::EPOCH, 1))?;
    println!("open after a clean stop          {:>9.1} ms", begun.elapsed().as_secs_f64() * 1000.0);
    drop(store);
    for file in ["raw.log", "journal.redb", "documents.redb"] {
        let bytes = std::fs::metadata(directory.path().join(file))?.len();
        println!("{file:<32} {:>9} MiB", bytes >> 20);
    }
    Ok(())
}

fn raw_log(path: &Path, group: &[u8]) -> Result<f64, Failed> {
    let mut log = std::fs::File::create(path)?;
    let begun = Instant::now();
    let mut count = 0_u32;
    while begun.elapsed() < Duration::from_secs(SECONDS) {
        log.write_all(group)?;
        log.sync_data()?;
        count += 1;
    }
    Ok(f64::from(count) / begun.elapsed().as_secs_f64())
}

async fn appends(journal: &Arc<dyn Journal>, books: u32, group: &Bytes) -> f64 {
    let begun = Instant::now();
    let lanes = (0..books).map(|book| {
        let journal = Arc::clone(journal);
        let group = group.clone();
        async move {
            // A book of its own for every lane of every run.
            let book = AppId::from_u128(u128::from(books * 100 + book));
            let mut count = 0_u32;
            while begun.elapsed() < Duration::from_secs(SECONDS) {
                count += 1;
                let group = Group { id: u128::from(count), bytes: group.clone() };
                let answer = journal.append(book, u64::from(count), group).await;
                assert_eq!(answer, Ok(Appended::Appended), "the store takes a group");
            }
            count
        }
    });
    let local = tokio::task::LocalSet::new();
    let lanes: Vec<_> = lanes.map(|lane| local.spawn_local(lane)).collect();
    let count = local
        .run_until(async {
            let mut count = 0;
            for lane in lanes {
                count += lane.await.expect("a lane ends");
            }
            count
        })
        .await;
    f64::from(count) / begun.elapsed().as_secs_f64()
}

async fn put_views(documents: &dyn Documents, round: u64) -> Result<Duration, Failed> {
    // Ids as they come: time-ordered for two thirds, spread over all that is kept for the rest.
    let writes = (0..50_000_u64).map(|number| {
        let number =
            if number % 3 == 0 { number.wrapping_mul(0x9E37_79B9) % 50_000 } else { round * 50_000 + number };
        Write::Put {
            collection: &VIEWS,
            id: format!("{number:032x}"),
            sequence: round,
            body: Bytes::from(vec![b'0'; 200]),
            keys: Vec::new(),
        }
    });
    let batch = Batch { writes: writes.collect() };
    let begun = Instant::now();
    documents.commit(AppId::from_u128(1), batch).await?;
    Ok(begun.elapsed())
}
