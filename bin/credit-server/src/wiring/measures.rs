//! What is only known when somebody looks, and what is counted little by little.

use std::sync::Arc;
use std::time::Duration;

use super::Service;

/// So many wallets are looked at in one go, and then there is a pause: hardly anything of one core.
const WALLETS_AT_A_TIME: usize = 5000;
const PAUSE: Duration = Duration::from_secs(15);

impl Service {
    /// Sets every gauge to what it is now. Looks at memory only.
    pub(crate) fn measure(&self) {
        self.ledger.measure();
        self.adapters.guards.measure();
        self.shared.measure();
        self.door.active.measure();
        self.figures.measure();
    }

    /// Counts wallets, held and expiring credits, for ever.
    pub(crate) async fn count_figures(self: Arc<Self>) {
        loop {
            if let Err(error) = self.figures.go_on(&self.counter, WALLETS_AT_A_TIME).await {
                tracing::debug!(%error, "the figures could not be counted on; they are later");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
