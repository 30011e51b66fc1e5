//! Three processes on one database beside one of them, at as many connections: all three on one book, each for itself and
//! handing each other commands, and each with a book of its own, as a balancer that goes by the caller's key gives them calls.
//!
//! The one is measured before and after the three, for a larger database is slower.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use credit_infra::testkit::mongod::Mongo;
use credit_tests::contract::{ALL_SCOPES, other_app_key};
use credit_tests::server::{HANDING, NEAR, Server, near};
use tempfile::TempDir;

use crate::cage::Cage;
use crate::http::{Groups, lag, prepare};
use crate::mongo::{ONE, serve, serve_with, setting};
use crate::room::Room;
use crate::shown::Shown;
use crate::wrk::{self, Callers, Load};

/// How long each way is gone before it is measured.
const WARM_SECONDS: u32 = 2;

/// Threads that make load, all together: as many for one process as for three.
const LOAD_THREADS: u32 = 3;

/// An application that spends.
pub(crate) struct Tenant {
    pub(crate) key: String,
    pub(crate) wallets: Vec<String>,
}

impl Tenant {
    pub(crate) fn make(server: &Server, wallets: usize) -> Self {
        let key = other_app_key(&server.admin(), &ALL_SCOPES);
        Self { wallets: prepare(&server.nobody().with_key(&key), wallets), key }
    }
}

/// Spends a second, all together.
pub(crate) struct Rates {
    /// Answered while the load went on.
    pub(crate) answered: f64,
    /// Until the views showed all of them: a process that owes less to them at the end of the load was not slower.
    pub(crate) shown: f64,
}

/// What is measured, one way after the other.
pub(crate) struct Bench<'a> {
    pub(crate) mongo: &'a Mongo,
    pub(crate) connections: u32,
    pub(crate) seconds: u32,
    /// No key is used by two runs.
    pub(crate) part: String,
}

/// Measures; each process with that share of a processor, if one is given.
pub(crate) fn measure(
    mongo: &Mongo,
    mut first: Server,
    wallets: Vec<String>,
    seconds: u32,
    percent: Option<u32>,
) -> anyhow::Result<()> {
    let connections = setting("BENCH_CONNECTIONS", 256)?;
    ensure!(connections >= 3, "BENCH_CONNECTIONS is {connections}: three processes need one each");
    let part = percent.map_or_else(|| "three".to_owned(), |percent| format!("shares-{percent}"));
    let bench = Bench { mongo, connections, seconds, part };
    let count = wallets.len();
    let shop = Tenant { key: first.api_key().to_owned(), wallets };
    let others = [Tenant::make(&first, count), Tenant::make(&first, count)];
    let cage = |server: &Server| percent.map(|percent| Cage::around(server.pid(), percent)).transpose();
    let _cage = cage(&first)?;
    if let Some(percent) = percent {
        println!("\neach process has {percent} hundredths of a processor");
    }

    wait_for_views(&[(&first, &shop)])?;
    let (room, spent) = (Room::take(mongo, ONE)?, Groups::read(&first)?);
    println!("\none process on one book, {connections} connections");
    let before = bench.run("before", &[(&first, &shop)])?;
    let spends = Groups::read(&first)?.since(&spent).records;
    println!("  {}", Room::take(mongo, ONE)?.told_since(&room, mongo, spends)?);

    println!("\none process on three books, {connections} connections together");
    let all_before =
        bench.run("all-before", &[(&first, &shop), (&first, &others[0]), (&first, &others[1])])?;

    // As many threads for the web as a process's share of the processors, as a pod has them by its limit.
    let one_of_three = |more: &[(&str, &str)]| match percent {
        None => serve_with(mongo, ONE, &[&[("CREDIT_SERVER__WORKERS", "1")], more].concat()),
        Some(_) => serve_with(mongo, ONE, more),
    };
    ensure!(first.terminate()? == Some(0), "a process did not end well:\n{}", first.log());
    let servers = [one_of_three(&[])?, one_of_three(&[])?, one_of_three(&[])?];
    let _cages = [cage(&servers[0])?, cage(&servers[1])?, cage(&servers[2])?];
    let [a, b, c] = &servers;
    println!("\nthree processes on one book, {connections} connections together");
    let shared = bench.run("shared", &[(a, &shop), (b, &shop), (c, &shop)])?;
    println!("\nthree processes, a book for each, {connections} connections together");
    let each = bench.run("each", &[(a, &shop), (b, &others[0]), (c, &others[1])])?;
    stop(servers)?;

    let house = Handing::new()?;
    let settings = house.settings()?;
    let servers = [one_of_three(&settings)?, one_of_three(&settings)?, one_of_three(&settings)?];
    let _cages = [cage(&servers[0])?, cage(&servers[1])?, cage(&servers[2])?];
    let [a, b, c] = &servers;
    println!(
        "\nthree processes on one book that hand each other commands, {connections} connections together"
    );
    let handed = bench.run("handed", &[(a, &shop), (b, &shop), (c, &shop)])?;
    stop(servers)?;

    let first = serve(mongo, ONE)?;
    let _cage = cage(&first)?;
    let first = &first;
    println!("\none process on three books again");
    let all_after = bench.run("all-after", &[(first, &shop), (first, &others[0]), (first, &others[1])])?;
    println!("\none process on one book again");
    let after = bench.run("after", &[(first, &shop)])?;

    let ratio = |what: &str, rate: fn(&Rates) -> f64| {
        let one = f64::midpoint(rate(&before), rate(&after));
        let all = f64::midpoint(rate(&all_before), rate(&all_after));
        let (shared, handed, each) = (rate(&shared) / one, rate(&handed) / one, rate(&each) / all);
        println!("\n{what}: three processes on one book: {shared:.2} of one ({one:.0}, before and after)");
        println!("{what}: three that hand each other commands: {handed:.2} of one");
        println!("{what}: three processes, a book for each: {each:.2} of one on all three ({all:.0})");
    };
    ratio("answered", |rates| rates.answered);
    ratio("shown", |rates| rates.shown);
    Ok(())
}

/// Processes on one machine that hand each other commands: they find each other in a directory, or ask by TCP with
/// `BENCH_TCP=1`.
pub(crate) struct Handing {
    directory: Option<TempDir>,
}

impl Handing {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let by_tcp = setting("BENCH_TCP", 0)? > 0;
        Ok(Self { directory: if by_tcp { None } else { Some(near()?) } })
    }

    /// As long as this lives.
    pub(crate) fn settings(&self) -> anyhow::Result<Vec<(&str, &str)>> {
        let mut settings = HANDING.to_vec();
        if let Some(directory) = &self.directory {
            settings.push((NEAR, directory.path().to_str().context("a path that is no text")?));
        }
        Ok(settings)
    }
}

pub(crate) fn stop(servers: impl IntoIterator<Item = Server>) -> anyhow::Result<()> {
    for mut server in servers {
        ensure!(server.terminate()? == Some(0), "a process did not end well:\n{}", server.log());
    }
    Ok(())
}

impl Bench<'_> {
    /// The same as [`Self::measure`], by processes that have not served these applications yet: what they read once they
    /// read before.
    fn run(&self, way: &str, pairs: &[(&Server, &Tenant)]) -> anyhow::Result<Rates> {
        self.load(&format!("{way}-first"), pairs, WARM_SECONDS)?;
        self.measure(way, pairs)
    }

    /// Spends of each application at its process, all at once.
    pub(crate) fn measure(&self, way: &str, pairs: &[(&Server, &Tenant)]) -> anyhow::Result<Rates> {
        let mut servers: Vec<&Server> = pairs.iter().map(|(server, _)| *server).collect();
        servers.dedup_by_key(|server| server.pid());
        // Nobody inherits what the views owe to the one before.
        wait_for_views(pairs)?;
        let (before, begun) = (Shown::read(self.mongo, &servers)?, Instant::now());
        let loads = self.load(way, pairs, self.seconds)?;
        let lags = servers.iter().map(|server| lag(server)).collect::<anyhow::Result<Vec<_>>>()?;
        wait_for_views(pairs)?;
        let took = begun.elapsed().as_secs_f64();
        let shown = Shown::read(self.mongo, &servers)?.since(&before);
        let rates =
            Rates { answered: loads.iter().map(|load| load.rate).sum(), shown: shown.groups.records / took };
        let each: Vec<String> = loads.iter().map(|load| format!("{:.0}", load.rate)).collect();
        let p50: Vec<String> = loads.iter().map(|load| format!("{:.1}", load.p50_ms)).collect();
        let p99: Vec<String> = loads.iter().map(|load| format!("{:.1}", load.p99_ms)).collect();
        println!(
            "  {:.0} spends/s ({}), p50 {} ms, p99 {} ms; {:.1} records/group, {:.0} slots taken by another, \
             {:.3} round trips/spend",
            rates.answered,
            each.join(" + "),
            p50.join(", "),
            p99.join(", "),
            shown.groups.records / shown.groups.count.max(1.0),
            shown.taken,
            shown.trips / shown.groups.records.max(1.0),
        );
        println!(
            "  {:.0} spends/s until the views show them, {lags:.0?} records behind at the end of the load; {}; {}",
            rates.shown,
            shown.worked(),
            shown.told()
        );
        Ok(rates)
    }

    pub(crate) fn load(
        &self,
        way: &str,
        pairs: &[(&Server, &Tenant)],
        seconds: u32,
    ) -> anyhow::Result<Vec<Load>> {
        let sharers = u32::try_from(pairs.len())?;
        std::thread::scope(|scope| {
            let runs: Vec<_> = (0..sharers)
                .zip(pairs)
                .map(|(number, (server, tenant))| {
                    let connections = (self.connections + sharers - 1 - number) / sharers;
                    let callers = Callers { connections, threads: LOAD_THREADS / sharers };
                    let run = format!("{}-{way}-{number}", self.part);
                    scope.spawn(move || {
                        let folder = tempfile::tempdir()?;
                        wrk::spends(
                            server.base(),
                            folder.path(),
                            &tenant.key,
                            &tenant.wallets,
                            callers,
                            seconds,
                            &run,
                        )
                    })
                })
                .collect();
            runs.into_iter().map(|run| run.join().map_err(|_| anyhow!("a load broke off"))?).collect()
        })
    }
}

/// Waits until the views show everything of each book, as the first one of its processes knows: the others look once a
/// second. Of processes that hand each other commands only the one that decides them knows.
fn wait_for_views(pairs: &[(&Server, &Tenant)]) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let mut behind: BTreeMap<&str, f64> = BTreeMap::new();
        for (server, tenant) in pairs {
            let lag = lag(server)?;
            let hands = server.setting(HANDING[0].0).is_some();
            let known = behind.entry(&tenant.key).or_insert(lag);
            *known = if hands { known.max(lag) } else { known.min(lag) };
        }
        if behind.values().all(|behind| *behind <= 0.0) {
            return Ok(());
        }
        ensure!(began.elapsed() < Duration::from_secs(120), "the views do not come to the head");
        std::thread::sleep(Duration::from_millis(50));
    }
}
