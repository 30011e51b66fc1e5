//! The contract, from outside, on MongoDB.

#[path = "contract/all.rs"]
mod contract;

use credit_infra::testkit::mongod::{fresh_database, shared};
use credit_tests::server::{Server, on_mongodb};

/// What is kept elsewhere than in the server's directory: every document, as text.
fn kept(server: &Server) -> Vec<(String, String)> {
    let database = server.setting("CREDIT_STORE__MONGODB__DATABASE").expect("it was started by `start`");
    shared().everything(database).into_iter().map(|(name, document)| (name, document.to_string())).collect()
}

fn start(settings: &[(&str, &str)]) -> anyhow::Result<Server> {
    Server::start(&on_mongodb(&shared().uri(), &fresh_database(), settings))
}
