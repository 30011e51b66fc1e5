//! What this module does unasked.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use credit_core::{Job, JobError, JobReport, JobRun};

use crate::service::{ReencryptProgress, Users};

/// Every job of the module.
pub(crate) fn all(users: &Arc<Users>) -> Vec<Arc<dyn Job>> {
    vec![
        Arc::new(SessionSweep(users.clone())),
        Arc::new(WalletRepair(users.clone())),
        Arc::new(KeyReencryption(users.clone())),
    ]
}

/// Forgets what is over.
struct SessionSweep(Arc<Users>);

#[async_trait]
impl Job for SessionSweep {
    fn name(&self) -> &'static str {
        "session_sweep"
    }

    fn about(&self) -> &'static str {
        "Forgets sessions that have expired and failed logins that count no more."
    }

    fn every(&self) -> Duration {
        Duration::from_secs(30)
    }

    async fn run(&self, run: &dyn JobRun) -> Result<JobReport, JobError> {
        let sessions = self.0.forget_expired_sessions(run).await?;
        let failures = self.0.forget_old_failures(run).await?;
        Ok(JobReport::done(format!("forgot {sessions} sessions and {failures} failed logins")))
    }
}

/// Opens wallets that are missing.
struct WalletRepair(Arc<Users>);

#[async_trait]
impl Job for WalletRepair {
    fn name(&self) -> &'static str {
        "wallet_repair"
    }

    fn about(&self) -> &'static str {
        "Opens the wallets of users that were registered while the ledger was away."
    }

    fn every(&self) -> Duration {
        Duration::from_secs(30)
    }

    async fn run(&self, run: &dyn JobRun) -> Result<JobReport, JobError> {
        let opened = self.0.heal_wallets(run).await?;
        Ok(JobReport::done(format!("opened {opened} wallets")))
    }
}

/// Brings what is kept of users under the newest keys.
struct KeyReencryption(Arc<Users>);

#[async_trait]
impl Job for KeyReencryption {
    fn name(&self) -> &'static str {
        "key_reencryption"
    }

    fn about(&self) -> &'static str {
        "Seals what is sealed under an earlier key again, and finds addresses under the keys that are known now."
    }

    fn every(&self) -> Duration {
        Duration::from_secs(3600)
    }

    async fn run(&self, run: &dyn JobRun) -> Result<JobReport, JobError> {
        let ReencryptProgress { looked_at, rewritten, unreadable } =
            self.0.reencrypt(|_| run.check().is_ok()).await?;
        run.check()?;
        let detail = format!("looked at {looked_at} users, rewrote {rewritten}, could not read {unreadable}");
        if unreadable > 0 {
            return Err(JobError::Failed(detail));
        }
        Ok(JobReport::done(detail))
    }
}
