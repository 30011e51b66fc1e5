//! Two million spends: memory stays flat, views keep up, the 99th percentile does not grow with history, and a restart
//! after it is quick.

use std::time::Instant;

use credit_tests::server::Server;

use crate::http::{WALLETS, lag, prepare};
use crate::wrk;

const SPENDS: f64 = 2_000_000.0;
const SECONDS: u32 = 10;
const CONNECTIONS: u32 = 256;

pub(crate) fn run() -> anyhow::Result<()> {
    let mut server = Server::start(&[("CREDIT_LOG__LEVEL", "warn")])?;
    let wallets = prepare(&server.app(), WALLETS);
    println!(
        "{:>10} {:>10} {:>9} {:>9} {:>9} {:>8}",
        "spends", "spends/s", "p50 ms", "p99 ms", "RSS MiB", "lag"
    );
    let mut done = 0.0;
    for round in 0.. {
        let run = format!("soak-{round}");
        let load = wrk::spends(
            server.base(),
            server.folder(),
            server.api_key(),
            &wallets,
            wrk::Callers::of(CONNECTIONS),
            SECONDS,
            &run,
        )?;
        done += load.rate * f64::from(SECONDS);
        let (memory, lag) = (server.resident_kib() / 1024, lag(&server)?);
        println!(
            "{done:>10.0} {:>10.0} {:>9.2} {:>9.2} {memory:>9} {lag:>8.0}",
            load.rate, load.p50_ms, load.p99_ms
        );
        if done >= SPENDS {
            break;
        }
    }
    let begun = Instant::now();
    server.kill_and_restart()?;
    println!("kill -9, ready again after {} ms", begun.elapsed().as_millis());
    Ok(())
}
