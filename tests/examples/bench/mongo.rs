//! On MongoDB: a one-node replica set with majority writes and journal, and beside it, on the same server in the same run,
//! the raw driver doing one transaction per transfer with the same writes (two conditional updates, two entries, a key).
//!
//! `bench -- mongo raw one together three shares alone` measures all six parts, as `bench -- mongo` does; name some for only
//! those. `BENCH_SECONDS` is how long each figure is measured (10), `BENCH_WALLETS` how many wallets each application has (1,000),
//! `BENCH_CONNECTIONS` how many connections one process or three together have in the parts `together`, `three` and `shares`
//! (256). `together` compares one process and three that hand each other commands, `BENCH_ROUNDS` times (3) on each of two
//! books. In `shares` each process has `BENCH_CPU_PERCENT` hundredths of one processor (30) and no more, as if it had a
//! machine of its own; it needs root.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use credit_core::AppId;
use credit_core::ports::documents::Collection;
use credit_infra::clock::SystemClock;
use credit_infra::mongodb::{MongoOptions, MongoStore};
use credit_infra::randomness::OsIds;
use credit_infra::testkit::mongod::{Mongo, Options};
use credit_infra::testkit::raw_transfers;
use credit_tests::server::Server;
use credit_wallet::ledger::{Ledger, LedgerParts, LedgerSettings, views};

use crate::http::{lag, prepare};
use crate::shown::Shown;
use crate::{ledger, three, together, wrk};

const PARTS: [&str; 6] = ["raw", "one", "together", "three", "shares", "alone"];
/// Memory for the server's cache. The tests' smallest one would measure how often pages are written and read again.
const CACHE_MIB: u32 = 4096;
const RAW: &str = "raw";
pub(crate) const ONE: &str = "one";
const ALONE: &str = "alone";
const CONNECTIONS: [u32; 3] = [1, 64, 256];
/// For three processes that must read each other's tokens and fields.
const SECRETS: [(&str, &str); 4] = [
    ("CREDIT_AUTH__TOKEN_KEYS", "7c0f3e5a9b1d2846e0a4c8f7135792db6e8f0a1b2c3d4e5f60718293a4b5c6d7"),
    ("CREDIT_ENCRYPTION__KEYS", "1f2e3d4c5b6a79880796a5b4c3d2e1f0aabbccddeeff00112233445566778899"),
    ("CREDIT_ENCRYPTION__INDEX_KEYS", "90817263544536271809fafbfcfdfeff0123456789abcdeffedcba9876543210"),
    ("CREDIT_ENCRYPTION__CURSOR_KEY", "5a6b7c8d9eafb0c1d2e3f405162738495a6c7e8f9a0b1c2d3e4f506172839405"),
];

pub(crate) fn run() -> anyhow::Result<()> {
    let parts: Vec<String> = std::env::args().skip(2).collect();
    for part in &parts {
        ensure!(PARTS.contains(&part.as_str()), "there is no part {part:?}; there are {}", PARTS.join(", "));
    }
    let seconds = setting("BENCH_SECONDS", 10)?;
    let count = usize::try_from(setting("BENCH_WALLETS", 1_000)?)?;
    let mongo = Mongo::start(Options { cache_mib: CACHE_MIB, ..Options::one() });
    println!(
        "durable spends a second on MongoDB, {seconds} s each, server, load and mongod on the same machine"
    );
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|wanted| wanted == part);
    let mut raw = Raw::default();
    if wanted("raw") {
        raw = measure_raw(&mongo, seconds)?;
    }
    if ["one", "three", "shares", "together"].into_iter().any(wanted) {
        let server = serve(&mongo, ONE)?;
        eprintln!("preparing {count} wallets …");
        let wallets = prepare(&server.app(), count);
        if wanted("one") {
            measure_http(&mongo, &server, &wallets, seconds, &raw)?;
        }
        // Nobody else is there while several are compared with one.
        drop(server);
        if wanted("together") {
            together::measure(&mongo, serve(&mongo, ONE)?, wallets.clone(), seconds)?;
        }
        if wanted("three") {
            three::measure(&mongo, serve(&mongo, ONE)?, wallets.clone(), seconds, None)?;
        }
        if wanted("shares") {
            let percent = setting("BENCH_CPU_PERCENT", 30)?;
            three::measure(&mongo, serve(&mongo, ONE)?, wallets, seconds, Some(percent))?;
        }
    }
    if wanted("alone") {
        measure_alone(&mongo)?;
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a benchmark has no configuration but its environment")]
pub(crate) fn setting(name: &str, usual: u32) -> anyhow::Result<u32> {
    match std::env::var(name) {
        Ok(text) => text.parse().with_context(|| format!("{name} is no number")),
        Err(_) => Ok(usual),
    }
}

pub(crate) fn serve(mongo: &Mongo, database: &str) -> anyhow::Result<Server> {
    serve_with(mongo, database, &[])
}

/// With more settings.
pub(crate) fn serve_with(mongo: &Mongo, database: &str, more: &[(&str, &str)]) -> anyhow::Result<Server> {
    let uri = mongo.uri();
    let mut settings = vec![
        ("CREDIT_LOG__LEVEL", "warn"),
        ("CREDIT_STORE__BACKEND", "mongodb"),
        ("CREDIT_STORE__MONGODB__URI", uri.as_str()),
        ("CREDIT_STORE__MONGODB__DATABASE", database),
    ];
    settings.extend(SECRETS);
    settings.extend_from_slice(more);
    Server::start(&settings)
}

/// The raw rates: over many accounts and with one hot one, by callers; empty if they were not measured.
#[derive(Default)]
struct Raw {
    spread: Vec<f64>,
    hot: Vec<f64>,
}

fn measure_raw(mongo: &Mongo, seconds: u32) -> anyhow::Result<Raw> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    println!("\nthe raw driver, one transaction per transfer");
    println!("{:>12} {:>8} {:>12} {:>9}", "accounts", "callers", "transfers/s", "retries");
    let mut raw = Raw { spread: Vec::new(), hot: Vec::new() };
    for (name, hot, rates) in [("1,000", false, &mut raw.spread), ("one hot", true, &mut raw.hot)] {
        for callers in CONNECTIONS {
            let length = Duration::from_secs(seconds.into());
            let uri = mongo.uri();
            let measured = raw_transfers::measure(&uri, RAW, 1_000, hot, callers.into(), length);
            let measured = runtime.block_on(measured).map_err(|why| anyhow!(why))?;
            let rate = count(measured.transfers) / measured.elapsed.as_secs_f64();
            rates.push(rate);
            println!("{name:>12} {callers:>8} {rate:>12.0} {:>9}", measured.retries);
        }
    }
    Ok(raw)
}

pub(crate) fn count(number: u64) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

fn measure_http(
    mongo: &Mongo,
    server: &Server,
    wallets: &[String],
    seconds: u32,
    raw: &Raw,
) -> anyhow::Result<()> {
    println!("\none process, over HTTP");
    println!(
        "{:>12} {:>6} {:>10} {:>9} {:>9} {:>8} {:>11} {:>7} {:>8} {:>13}",
        "wallets",
        "conns",
        "spends/s",
        "p50 ms",
        "p99 ms",
        "x raw",
        "records/gr",
        "taken",
        "lag",
        "trips/spend"
    );
    for (name, list, raw) in [("1,000", wallets, &raw.spread), ("one hot", &wallets[..1], &raw.hot)] {
        for (place, connections) in CONNECTIONS.into_iter().enumerate() {
            let before = Shown::read(mongo, &[server])?;
            let run = format!("{}-{connections}", list.len());
            let load = wrk::spends(
                server.base(),
                server.folder(),
                server.api_key(),
                list,
                wrk::Callers::of(connections),
                seconds,
                &run,
            )?;
            let shown = Shown::read(mongo, &[server])?.since(&before);
            println!(
                "{name:>12} {connections:>6} {:>10.0} {:>9.2} {:>9.2} {:>8.1} {:>11.1} {:>7.0} {:>8.0} {:>13.3}",
                load.rate,
                load.p50_ms,
                load.p99_ms,
                raw.get(place).map_or(f64::NAN, |raw| load.rate / raw),
                shown.groups.records / shown.groups.count.max(1.0),
                shown.taken,
                lag(server)?,
                shown.trips / shown.groups.records.max(1.0),
            );
            println!("{:>12} {}", "", shown.told());
        }
    }
    Ok(())
}

/// The ledger without HTTP.
fn measure_alone(mongo: &Mongo) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let collections: Vec<&'static Collection> = [
            &credit_api::COLLECTIONS[..],
            &credit_users::COLLECTIONS,
            &credit_wallet::COLLECTIONS,
            &views::ALL,
        ]
        .concat();
        let store = MongoStore::connect(MongoOptions::new(mongo.uri().into(), ALONE, collections)).await?;
        let ledger = Ledger::new(LedgerParts {
            journal: store.journal(),
            documents: store.documents(),
            clock: Arc::new(SystemClock::new()),
            ids: Arc::new(OsIds::new()),
            settings: LedgerSettings::default(),
            runtime: tokio::runtime::Handle::current(),
            views: tokio::runtime::Handle::current(),
            company: None,
        });
        let app = AppId::from_u128(1);
        let book = ledger.book(app).await?;
        let wallets = ledger::prepare(&book).await?;
        println!("\nthe ledger without HTTP, {} s each", ledger::SECONDS);
        println!(
            "{:>12} {:>10} {:>10} {:>11} {:>8}",
            "wallets", "in flight", "spends/s", "records/gr", "lag"
        );
        for (name, wallets) in [("1,000", wallets.clone()), ("one hot", wallets[..1].to_vec())] {
            for in_flight in [64, 512] {
                let before = store.journal().head(app).await?;
                let spends = ledger::spend(&book, wallets.clone(), in_flight).await?;
                let groups = store.journal().head(app).await? - before;
                let rate = ledger::ratio(spends, ledger::SECONDS);
                let records = ledger::ratio(spends, groups);
                println!("{name:>12} {in_flight:>10} {rate:>10.0} {records:>11.1} {:>8}", book.lag());
            }
        }
        ledger.shut_down().await;
        store.close().await;
        Ok(())
    })
}
