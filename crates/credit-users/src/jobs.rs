//! What this module does unasked.

use std::sync::Arc;
use std::time::Duration;

use credit_core::Problem;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::service::Users;

const PERIOD: Duration = Duration::from_secs(30);

/// Tidies up now and every half minute, until it is aborted. Several processes may do it at once.
pub(crate) fn start(users: Arc<Users>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            tell("open the wallets that are missing", users.heal_wallets().await);
            tell("forget expired sessions", users.forget_expired_sessions().await);
            tell("forget old login failures", users.forget_old_failures().await);
        }
    })
}

fn tell(what: &str, outcome: Result<(), Problem>) {
    if let Err(problem) = outcome {
        tracing::warn!(code = %problem.code(), "could not {what}; it is tried again");
    }
}
