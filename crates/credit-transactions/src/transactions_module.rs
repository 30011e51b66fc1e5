//! The module itself.

use std::sync::Arc;

use async_trait::async_trait;
use credit_api::WebModule;
use credit_api::route::Route;
use credit_core::{Health, InitialiseError, Module};
use credit_wallet::service::Counter;

use crate::routes;
use crate::service::Transactions;

/// `transactions_module`: moves credits and tells how they moved.
pub struct TransactionsModule {
    transactions: Arc<Transactions>,
}

/// What [`TransactionsModule`] needs.
pub struct TransactionsParts {
    /// Where callers and their wallets meet; `wallet_module` keeps the ledger behind it.
    pub counter: Arc<Counter>,
}

impl TransactionsModule {
    /// The module from its parts.
    pub fn new(parts: TransactionsParts) -> Self {
        Self { transactions: Arc::new(Transactions::new(parts.counter)) }
    }
}

#[async_trait]
impl Module for TransactionsModule {
    fn name(&self) -> &'static str {
        "transactions_module"
    }

    fn dependencies(&self) -> &'static [&'static str] {
        &["connection_api", "user_management", "wallet_module"]
    }

    /// Nothing to prepare: what it keeps, the ledger keeps.
    async fn initialise(&self) -> Result<(), InitialiseError> {
        Ok(())
    }

    /// As well as the ledger's books.
    async fn health(&self) -> Health {
        match self.transactions.broken_book() {
            None => Health::healthy(),
            Some(app) => Health::degraded(format!("the book of {app} takes no commands")),
        }
    }

    /// Nothing of its own is in flight: `wallet_module` finishes what waits for the ledger.
    async fn shut_down(&self) {}
}

impl WebModule for TransactionsModule {
    fn about(&self) -> &'static str {
        "Purchases, grants, spends, transfers, adjustments, refunds and their history."
    }

    fn routes(&self) -> Vec<Arc<Route>> {
        routes::table(&self.transactions)
    }
}
