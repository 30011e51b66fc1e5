//! How fast the embedded store is on this machine, beside a bare append log with a sync per group in the same run.
//!
//! `cargo run --release -p credit-infra --example store_speed [directory]`

use std::io::Write as _;
use std::ops::Range;
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

    let store = EmbeddedStore::open(directory.path(), EmbeddedOptions::new(Timestamp::EPOCH, 1))?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    for books in [1, 4, 16] {
        let rate = runtime.block_on(appends_to(&store.journal(), books * 100..books * 101, &group));
        beside_raw_log(&format!("{books} books at once"), rate, directory.path(), &group)?;
    }
    for round in 1..=4 {
        let took = runtime.block_on(put_views(&*store.documents(), round))?;
        println!("50,000 views, round {round}    {:>7.0} ms", took.as_secs_f64() * 1000.0);
    }
    let rate = runtime.block_on(appends_while_views_are_put(&store, &group))?;
    beside_raw_log("4 books under views", rate, directory.path(), &group)?;
    let begun = Instant::now();
    store.close()?;
    println!("close                    {:>7.1} ms", begun.elapsed().as_secs_f64() * 1000.0);
    let begun = Instant::now();
    let store = EmbeddedStore::open(directory.path(), EmbeddedOptions::new(Timestamp::EPOCH, 1))?;
    println!("open after a clean stop  {:>7.1} ms", begun.elapsed().as_secs_f64() * 1000.0);
    drop(store);
    for file in ["raw.log", "journal.redb", "documents.redb"] {
        let bytes = std::fs::metadata(directory.path().join(file))?.len();
        println!("{file:<24} {:>7} MiB", bytes >> 20);
    }
    Ok(())
}

/// The bare log is measured anew each time: disks change their mind from minute to minute.
fn beside_raw_log(what: &str, rate: f64, directory: &Path, group: &[u8]) -> Result<(), Failed> {
    let raw = raw_log(&directory.join("raw.log"), group)?;
    println!("{what:<24} {rate:>7.0} groups/s   raw log {raw:>7.0} groups/s   {:.2} of it", rate / raw);
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

/// Appends to these new books, a lane each.
async fn appends_to(journal: &Arc<dyn Journal>, books: Range<u32>, group: &Bytes) -> f64 {
    let begun = Instant::now();
    let lanes = books.map(|book| {
        let journal = Arc::clone(journal);
        let group = group.clone();
        async move {
            let book = AppId::from_u128(u128::from(book));
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

/// The other file's writer must not hold this one up.
async fn appends_while_views_are_put(store: &EmbeddedStore, group: &Bytes) -> Result<f64, Failed> {
    let (journal, documents) = (store.journal(), store.documents());
    let begun = Instant::now();
    let putting = async {
        for round in 5.. {
            put_views(&*documents, round).await?;
            if begun.elapsed() >= Duration::from_secs(SECONDS) {
                break;
            }
        }
        Ok::<_, Failed>(())
    };
    let (rate, put) = tokio::join!(appends_to(&journal, 5000..5004, group), putting);
    put?;
    Ok(rate)
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
