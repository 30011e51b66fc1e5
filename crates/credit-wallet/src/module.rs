//! The module itself.

use std::sync::Arc;

use async_trait::async_trait;
use credit_api::WebModule;
use credit_api::route::Route;
use credit_core::ports::StoreError;
use credit_core::{Health, InitialiseError, Job, Module};

use crate::service::Counter;
use crate::{jobs, routes};

/// `wallet_module`: wallets, lots, holds and the ledger that keeps them.
pub struct WalletModule {
    counter: Arc<Counter>,
}

impl WalletModule {
    /// The module over its counter, which `credit-transactions` works at too.
    pub fn new(counter: Arc<Counter>) -> Self {
        Self { counter }
    }

    async fn start(&self) -> Result<(), StoreError> {
        self.counter.ensure_credit().await?;
        self.counter.ledger().start().await
    }
}

#[async_trait]
impl Module for WalletModule {
    fn name(&self) -> &'static str {
        "wallet_module"
    }

    fn dependencies(&self) -> &'static [&'static str] {
        &["connection_api", "user_management"]
    }

    async fn initialise(&self) -> Result<(), InitialiseError> {
        self.start().await.map_err(|error| InitialiseError(format!("the ledger cannot be opened: {error}")))
    }

    async fn health(&self) -> Health {
        let faults: Vec<String> = self
            .counter
            .ledger()
            .open_books()
            .iter()
            .filter_map(|book| book.fault().map(|why| format!("book {}: {why}", book.id())))
            .collect();
        if faults.is_empty() { Health::healthy() } else { Health::unhealthy(faults.join("; ")) }
    }

    fn jobs(&self) -> Vec<Arc<dyn Job>> {
        jobs::all(&self.counter)
    }

    async fn shut_down(&self) {
        self.counter.ledger().shut_down().await;
    }
}

impl WebModule for WalletModule {
    fn about(&self) -> &'static str {
        "Wallets, their lots and holds, balances and ledger entries."
    }

    fn routes(&self) -> Vec<Arc<Route>> {
        routes::rows(&self.counter).into_iter().map(Arc::new).collect()
    }
}
