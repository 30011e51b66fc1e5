//! `make bench`: durable spends a second, over HTTP and without it, beside yardsticks of the same run.
//!
//! ```text
//! cargo run --release -p credit-tests --example bench -- http     # wrk against the release program
//! cargo run --release -p credit-tests --example bench -- ledger   # the ledger alone, in this process
//! cargo run --release -p credit-tests --example bench -- mongo    # on a one-node replica set, beside the raw driver
//! cargo run --release -p credit-tests --example bench -- soak     # 2,000,000 spends: memory, lag, p99, restart
//! ```

mod cage;
mod http;
mod ledger;
mod mongo;
mod raw_log;
mod room;
mod shown;
mod soak;
mod three;
mod together;
mod work;
mod wrk;

/// The allocator of the program, so that the ledger alone is measured with it too.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> anyhow::Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("http") => http::run(),
        Some("ledger") => ledger::run(),
        Some("mongo") => mongo::run(),
        Some("soak") => soak::run(),
        _ => anyhow::bail!("say what: `-- http`, `-- ledger`, `-- mongo` or `-- soak`"),
    }
}
