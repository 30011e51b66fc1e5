//! What is done unasked: opening wallets that a crash left out, forgetting what is over.

use credit_core::ports::documents::{Batch, CommitError, Query, Write};
use credit_core::{AppId, JobError, JobRun, UserId, uuid_v7_millis};

use super::Users;
use crate::store::failures::{self, FAILURES};
use crate::store::pending::{self, PENDING};
use crate::store::sessions::{self, SESSIONS};

const CHUNK: usize = 200;
const PENDING_SECONDS: i64 = 60;

impl Users {
    /// Opens the wallets of users that have been noted as without for a minute: younger ones are on their way. One that
    /// cannot be opened does not keep the others waiting; its problem is answered at the end. Answers how many it opened.
    pub async fn heal_wallets(&self, run: &dyn JobRun) -> Result<usize, JobError> {
        let mut opened = 0;
        let mut failed = None;
        let old = self.now().plus_seconds(-PENDING_SECONDS).sortable();
        for app in self.documents.apps(&PENDING).await? {
            for row in self.documents.query(app, pending::some(CHUNK)).await? {
                let Ok(user) = UserId::parse(&row.document.id) else { continue };
                if uuid_v7_millis(user.as_u128()) >= old {
                    continue;
                }
                run.check()?;
                match self.open_wallet(app, user, row.document.version).await {
                    Ok(_) => opened += 1,
                    Err(problem) => failed = failed.or(Some(problem)),
                }
            }
        }
        failed.map_or(Ok(opened), |problem| Err(problem.into()))
    }

    /// Forgets sessions that have expired. Answers how many.
    pub async fn forget_expired_sessions(&self, run: &dyn JobRun) -> Result<usize, JobError> {
        let now = self.now();
        let mut forgotten = 0;
        for app in self.documents.apps(&SESSIONS).await? {
            forgotten +=
                self.forget_all(run, app, || sessions::expired(now, CHUNK), sessions::delete).await?;
        }
        Ok(forgotten)
    }

    /// Forgets failed logins that count no more. Answers how many.
    pub async fn forget_old_failures(&self, run: &dyn JobRun) -> Result<usize, JobError> {
        let since = self.now().plus_seconds(-self.settings.login_window_seconds);
        let mut apps: Vec<AppId> = self.documents.apps(&FAILURES).await?;
        apps.retain(|app| *app != AppId::SYSTEM);
        apps.push(AppId::SYSTEM);
        let mut forgotten = 0;
        let forget = |id: String, version| failures::forget(&id, version);
        for app in apps {
            forgotten += self.forget_all(run, app, || failures::stale(since, CHUNK), forget).await?;
        }
        Ok(forgotten)
    }

    /// Deletes what a query finds until it finds less than it may; what was changed meanwhile stays.
    async fn forget_all(
        &self,
        run: &dyn JobRun,
        app: AppId,
        query: impl Fn() -> Query,
        delete: impl Fn(String, u64) -> Write,
    ) -> Result<usize, JobError> {
        let mut forgotten = 0;
        loop {
            let rows = self.documents.query(app, query()).await?;
            let (found, before) = (rows.len(), forgotten);
            for row in rows {
                run.check()?;
                match self
                    .documents
                    .commit(app, Batch::of(delete(row.document.id, row.document.version)))
                    .await
                {
                    Ok(()) => forgotten += 1,
                    Err(CommitError::Version { .. }) => {}
                    Err(other) => return Err(other.into()),
                }
            }
            // If somebody else is faster with all of them, they are that one's to forget.
            if found < CHUNK || forgotten == before {
                return Ok(forgotten);
            }
        }
    }
}
