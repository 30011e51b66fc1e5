//! Over HTTP: every answer durable, each spend with its own key, by an application's key.

use credit_tests::client::Client;
use credit_tests::server::Server;
use credit_tests::story::{purchase, register};

use crate::raw_log;
use crate::wrk::{self, Load};

pub(crate) const WALLETS: usize = 1_000;
const SECONDS: u32 = 10;
const PLENTY: i64 = 1_000_000_000;

pub(crate) fn run() -> anyhow::Result<()> {
    let server = Server::start(&[("CREDIT_LOG__LEVEL", "warn")])?;
    eprintln!("preparing {WALLETS} wallets …");
    let wallets = prepare(&server.app(), WALLETS);
    println!("durable spends a second, embedded store, {SECONDS} s each, wrk on the same machine");
    println!(
        "{:>12} {:>6} {:>10} {:>9} {:>9} {:>12} {:>8} {:>10} {:>10}",
        "wallets", "conns", "spends/s", "p50 ms", "p99 ms", "live/s", "of live", "records/gr", "raw log/s"
    );
    for (name, list) in [("1,000", &wallets[..]), ("one hot", &wallets[..1])] {
        for connections in [1, 64, 256] {
            let live = wrk::gets(server.base(), "/health/live", connections, 5)?;
            let before = Groups::read(&server)?;
            let run = format!("{}-{connections}", list.len());
            let load = wrk::spends(
                server.base(),
                server.folder(),
                server.api_key(),
                list,
                wrk::Callers::of(connections),
                SECONDS,
                &run,
            )?;
            let groups = Groups::read(&server)?.since(&before);
            print_row(&server, name, connections, live, load, groups)?;
        }
    }
    println!(
        "resident memory at the end: {} MiB; views lag {} records",
        server.resident_kib() / 1024,
        lag(&server)?
    );
    Ok(())
}

fn print_row(
    server: &Server,
    name: &str,
    connections: u32,
    live: Load,
    load: Load,
    groups: Groups,
) -> anyhow::Result<()> {
    let records = groups.records / groups.count.max(1.0);
    // What a record takes in the journal, measured from the file of this run's first thousands of spends.
    let bytes = (records * RECORD_BYTES).max(RECORD_BYTES).round();
    let bytes: usize = format!("{bytes:.0}").parse()?;
    let raw = raw_log::groups_a_second(server.folder(), bytes, 2)? * records;
    println!(
        "{name:>12} {connections:>6} {:>10.0} {:>9.2} {:>9.2} {:>12.0} {:>8.2} {records:>10.1} {raw:>10.0}",
        load.rate,
        load.p50_ms,
        load.p99_ms,
        live.rate,
        load.rate / live.rate
    );
    Ok(())
}

/// Bytes of one encoded spend, as `bench -- ledger` prints it.
const RECORD_BYTES: f64 = 400.0;

/// Users with a wallet and plenty of credits, made by sixteen callers.
pub(crate) fn prepare(app: &Client, count: usize) -> Vec<String> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16)
            .map(|_| {
                scope.spawn(|| {
                    (0..count.div_ceil(16))
                        .map(|_| {
                            let owner = register(app);
                            purchase(app, &owner.wallet, PLENTY);
                            owner.wallet
                        })
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("wallets")).take(count).collect()
    })
}

/// How many groups were appended, with how many records.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Groups {
    pub(crate) count: f64,
    pub(crate) records: f64,
}

impl Groups {
    pub(crate) fn read(server: &Server) -> anyhow::Result<Self> {
        let text = metrics(server)?;
        let value = |name: &str| metric(&text, name).unwrap_or(0.0);
        Ok(Self {
            count: value("credit_ledger_group_records_count"),
            records: value("credit_ledger_group_records_sum"),
        })
    }

    pub(crate) fn since(self, before: &Self) -> Self {
        Self { count: self.count - before.count, records: self.records - before.records }
    }
}

/// The views' lag in records.
pub(crate) fn lag(server: &Server) -> anyhow::Result<f64> {
    Ok(metric(&metrics(server)?, "credit_ledger_view_lag_records").unwrap_or(0.0))
}

pub(crate) fn metrics(server: &Server) -> anyhow::Result<String> {
    let base = server.metrics_base()?;
    let answer = Client::nobody(&base).call("GET", "/metrics", &[], None).map_err(anyhow::Error::msg)?;
    Ok(answer.body)
}

pub(crate) fn metric(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.split(['{', ' ']).next() == Some(name))?;
    line.rsplit(' ').next()?.parse().ok()
}
