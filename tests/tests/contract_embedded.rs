//! The contract, from outside, on the embedded store.

#[path = "contract/all.rs"]
mod contract;

use credit_tests::server::Server;

fn start(settings: &[(&str, &str)]) -> anyhow::Result<Server> {
    Server::start(settings)
}

/// What is kept elsewhere than in the server's directory.
fn kept(_: &Server) -> Vec<(String, String)> {
    Vec::new()
}
