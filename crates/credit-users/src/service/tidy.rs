//! What is done unasked: opening wallets that a crash left out, forgetting what is over.

use credit_core::ports::documents::{Batch, CommitError};
use credit_core::{AppId, Problem, UserId, uuid_v7_millis};

use super::Users;
use crate::store::failures::{self, FAILURES};
use crate::store::pending::{self, PENDING};
use crate::store::sessions::{self, SESSIONS};

const CHUNK: usize = 200;
const PENDING_SECONDS: i64 = 60;

impl Users {
    /// Opens the wallets of users that have been noted as without for a minute: younger ones are on their way. One that
    /// cannot be opened does not keep the others waiting; its problem is answered at the end.
    pub async fn heal_wallets(&self) -> Result<(), Problem> {
        let mut outcome = Ok(());
        let old = self.now().plus_seconds(-PENDING_SECONDS).sortable();
        for app in self.documents.apps(&PENDING).await? {
            for row in self.documents.query(app, pending::some(CHUNK)).await? {
                let Ok(user) = UserId::parse(&row.document.id) else { continue };
                if uuid_v7_millis(user.as_u128()) < old {
                    let opened = self.open_wallet(app, user, row.document.version).await;
                    outcome = outcome.and(opened.map(|_| ()));
                }
            }
        }
        outcome
    }

    /// Forgets sessions that have expired.
    pub async fn forget_expired_sessions(&self) -> Result<(), Problem> {
        let now = self.now();
        for app in self.documents.apps(&SESSIONS).await? {
            self.forget(app, || sessions::expired(now, CHUNK)).await?;
        }
        Ok(())
    }

    /// Forgets failed logins that count no more.
    pub async fn forget_old_failures(&self) -> Result<(), Problem> {
        let since = self.now().plus_seconds(-self.settings.login_window_seconds);
        let mut apps: Vec<AppId> = self.documents.apps(&FAILURES).await?;
        apps.retain(|app| *app != AppId::SYSTEM);
        apps.push(AppId::SYSTEM);
        for app in apps {
            for row in self.documents.query(app, failures::stale(since, CHUNK)).await? {
                let forget = failures::forget(&row.document.id, row.document.version);
                match self.documents.commit(app, Batch::of(forget)).await {
                    Ok(()) | Err(CommitError::Version { .. }) => {}
                    Err(other) => return Err(other.into()),
                }
            }
        }
        Ok(())
    }
}
