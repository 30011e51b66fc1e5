//! On MongoDB: a one-node replica set with majority writes and journal, and beside it, on the same server in the same run,
//! the raw driver doing one transaction per transfer with the same writes (two conditional updates, two entries, a key).
//!
//! `bench -- mongo raw one three shares alone` measures all five parts, as `bench -- mongo` does; name some for only those.
//! `BENCH_SECONDS` is how long each figure is measured (10), `BENCH_WALLETS` how many wallets there are (1,000). In the part
//! `shares` each process has `BENCH_CPU_PERCENT` hundredths of one processor (30) and no more, as if it had a machine of its
//! own; it needs root.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

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
use serde_json::{Value, json};

use crate::cage::Cage;
use crate::http::{Groups, lag, metric, metrics, prepare};
use crate::ledger;
use crate::room::Room;
use crate::wrk;

const RAW: &str = "raw";
const ONE: &str = "one";
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
    let seconds = setting("BENCH_SECONDS", 10)?;
    let count = usize::try_from(setting("BENCH_WALLETS", 1_000)?)?;
    let mongo = Mongo::start(Options::one());
    println!(
        "durable spends a second on MongoDB, {seconds} s each, server, load and mongod on the same machine"
    );
    let parts: Vec<String> = std::env::args().skip(2).collect();
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|wanted| wanted == part);
    let mut raw = Raw::default();
    if wanted("raw") {
        raw = measure_raw(&mongo, seconds)?;
    }
    if wanted("one") || wanted("three") || wanted("shares") {
        let server = serve(&mongo, ONE)?;
        eprintln!("preparing {count} wallets …");
        let wallets = prepare(&server.app(), count);
        if wanted("one") {
            measure_http(&mongo, &server, &wallets, seconds, &raw)?;
        }
        if wanted("three") {
            measure_three(&mongo, server, &wallets, seconds, None)?;
        }
        if wanted("shares") {
            let percent = setting("BENCH_CPU_PERCENT", 30)?;
            measure_three(&mongo, serve(&mongo, ONE)?, &wallets, seconds, Some(percent))?;
        }
    }
    if wanted("alone") {
        measure_alone(&mongo)?;
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a benchmark has no configuration but its environment")]
fn setting(name: &str, usual: u32) -> anyhow::Result<u32> {
    match std::env::var(name) {
        Ok(text) => text.parse().with_context(|| format!("{name} is no number")),
        Err(_) => Ok(usual),
    }
}

fn serve(mongo: &Mongo, database: &str) -> anyhow::Result<Server> {
    let uri = mongo.uri();
    let mut settings = vec![
        ("CREDIT_LOG__LEVEL", "warn"),
        ("CREDIT_STORE__BACKEND", "mongodb"),
        ("CREDIT_STORE__MONGODB__URI", uri.as_str()),
        ("CREDIT_STORE__MONGODB__DATABASE", database),
    ];
    settings.extend(SECRETS);
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

fn count(number: u64) -> f64 {
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
                connections,
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

/// Three processes on one book, together at 256 connections, beside one at as many; each with that share of a processor.
fn measure_three(
    mongo: &Mongo,
    first: Server,
    wallets: &[String],
    seconds: u32,
    percent: Option<u32>,
) -> anyhow::Result<()> {
    let (base, folder, key) = (first.base(), first.folder(), first.api_key());
    // Neither inherits what the views owe to the one before.
    wait_for_views(&first)?;
    let cage = |server: &Server| percent.map(|percent| Cage::around(server.pid(), percent)).transpose();
    let _first = cage(&first)?;
    let (room, before) = (Room::take(mongo, ONE)?, Groups::read(&first)?);
    // No key is used by both parts.
    let part = percent.map_or_else(|| "three".to_owned(), |percent| format!("shares-{percent}"));
    let one = wrk::spends(base, folder, key, wallets, 256, seconds, &format!("beside-{part}"))?.rate;
    let owed = lag(&first)?;
    wait_for_views(&first)?;
    let spends = Groups::read(&first)?.since(&before).records;
    let left = Room::take(mongo, ONE)?.told_since(&room, mongo, spends)?;
    println!("\none process at 256 connections\n  {left}");
    let servers = [first, serve(mongo, ONE)?, serve(mongo, ONE)?];
    let _others = [cage(&servers[1])?, cage(&servers[2])?];
    let before = Shown::read(mongo, &servers.each_ref())?;
    let loads = std::thread::scope(|scope| {
        let runs: Vec<_> = servers
            .iter()
            .enumerate()
            .map(|(number, server)| {
                let connections = if number == 0 { 86 } else { 85 };
                let part = &part;
                scope.spawn(move || {
                    let run = format!("{part}-{number}");
                    wrk::spends(
                        server.base(),
                        server.folder(),
                        server.api_key(),
                        wallets,
                        connections,
                        seconds,
                        &run,
                    )
                })
            })
            .collect();
        runs.into_iter().map(|run| run.join().expect("a load")).collect::<anyhow::Result<Vec<_>>>()
    })?;
    let shown = Shown::read(mongo, &servers.each_ref())?.since(&before);
    let lags = servers.iter().map(lag).collect::<anyhow::Result<Vec<_>>>()?;
    let together: f64 = loads.iter().map(|load| load.rate).sum();
    if let Some(percent) = percent {
        println!("\neach process has {percent} hundredths of a processor, then and now");
    }
    println!("\nthree processes on one book, 256 connections together");
    for (number, load) in loads.iter().enumerate() {
        println!("  process {number}: {:.0} spends/s, p99 {:.1} ms", load.rate, load.p99_ms);
    }
    println!(
        "  together {together:.0} spends/s, {:.2} of one process just before ({one:.0}); {:.1} records/group, {:.0} slots taken by another, \
         {:.3} round trips/spend",
        together / one,
        shown.groups.records / shown.groups.count.max(1.0),
        shown.taken,
        shown.trips / shown.groups.records.max(1.0),
    );
    println!("  views behind at the end: {owed:.0} records with one, {lags:.0?} with three");
    println!("  {}", shown.told());
    Ok(())
}

/// Waits until the views show everything.
fn wait_for_views(server: &Server) -> anyhow::Result<()> {
    let began = Instant::now();
    while lag(server)? > 0.0 {
        ensure!(began.elapsed() < Duration::from_secs(120), "the views do not come to the head");
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

/// What the processes have counted, and the server.
struct Shown {
    groups: Groups,
    taken: f64,
    trips: f64,
    /// Commands by their name.
    commands: BTreeMap<String, f64>,
}

impl Shown {
    fn read(mongo: &Mongo, servers: &[&Server]) -> anyhow::Result<Self> {
        let groups = Groups { count: 0.0, records: 0.0 };
        let mut shown = Self { groups, taken: 0.0, trips: 0.0, commands: BTreeMap::new() };
        for server in servers {
            let groups = Groups::read(server)?;
            shown.groups.count += groups.count;
            shown.groups.records += groups.records;
            shown.taken += metric(&metrics(server)?, "credit_ledger_slots_taken_total").unwrap_or(0.0);
        }
        let status = mongo.command(0, "admin", "serverStatus", &json!(1), &json!({}));
        let status = status.map_err(|why| anyhow!(why))?;
        // Every command that the server was sent, those of drivers that look after it included.
        let number =
            |value: &Value| count(u64::try_from(value.as_i64().unwrap_or_default()).unwrap_or_default());
        shown.trips = number(&status["network"]["numRequests"]);
        for (name, told) in status["metrics"]["commands"].as_object().into_iter().flatten() {
            shown.commands.insert(name.clone(), number(&told["total"]));
        }
        Ok(shown)
    }

    fn since(self, before: &Self) -> Self {
        Self {
            groups: self.groups.since(&before.groups),
            taken: self.taken - before.taken,
            trips: self.trips - before.trips,
            commands: self
                .commands
                .into_iter()
                .map(|(name, total)| {
                    let earlier = before.commands.get(&name).copied().unwrap_or(0.0);
                    (name, total - earlier)
                })
                .collect(),
        }
    }

    /// The commands of the server, for each accepted spend.
    fn told(&self) -> String {
        let told = self.commands.iter().filter_map(|(name, total)| {
            let each = total / self.groups.records.max(1.0);
            (each >= 0.005).then(|| format!("{name} {each:.3}"))
        });
        format!("commands/spend: {}", told.collect::<Vec<_>>().join(", "))
    }
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
