//! The contract, from outside, on the embedded store.

#[path = "contract/all.rs"]
mod contract;

use credit_tests::server::Server;

fn start(settings: &[(&str, &str)]) -> anyhow::Result<Server> {
    Server::start(settings)
}
