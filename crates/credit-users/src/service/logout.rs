//! Ending sessions.

use credit_core::ports::documents::{Batch, CommitError, Query};
use credit_core::{AppId, Code, Problem, SessionId, UserId};

use super::{ATTEMPTS, Users};
use crate::domain::Session;
use crate::store::sessions::{self, SESSIONS};

const CHUNK: usize = 100;

impl Users {
    /// Ends a session: its tokens are good no more, at once. One that is gone or ended already stays so.
    pub(crate) async fn end_session(&self, app: AppId, id: SessionId) -> Result<(), Problem> {
        for _ in 0..ATTEMPTS {
            let Some(document) = self.documents.get(app, &SESSIONS, &id.to_string()).await? else {
                return Ok(());
            };
            let session = sessions::open(app, &document)?;
            if session.ended {
                return Ok(());
            }
            let ended = Session { ended: true, ..session };
            match self.documents.commit(app, Batch::of(sessions::replace(&ended, document.version))).await {
                Ok(()) => {
                    self.seen.forget_session(app, id).await;
                    return Ok(());
                }
                Err(CommitError::Version { .. }) => {}
                Err(other) => return Err(other.into()),
            }
        }
        Err(Problem::new(Code::Conflict))
    }

    /// Ends all sessions of a user but one.
    pub(crate) async fn end_sessions(
        &self,
        app: AppId,
        user: UserId,
        except: Option<SessionId>,
    ) -> Result<(), Problem> {
        let mut after = None;
        loop {
            let rows = self.documents.query(app, sessions::of_user(user, after, CHUNK)).await?;
            for row in &rows {
                let id = sessions::open(app, &row.document)?.id;
                if Some(id) != except {
                    self.end_session(app, id).await?;
                }
            }
            match rows.last() {
                Some(last) if rows.len() == CHUNK => after = Some(last.position.clone()),
                _ => return Ok(()),
            }
        }
    }

    /// Lets the next request of each session of a user ask the store.
    pub(super) async fn forget_what_was_seen(&self, app: AppId, user: UserId) -> Result<(), Problem> {
        if !self.seen.is_any() {
            return Ok(());
        }
        let mut after = None;
        loop {
            let rows = self.documents.query(app, sessions::of_user(user, after, CHUNK)).await?;
            for row in &rows {
                self.seen.forget_session(app, sessions::open(app, &row.document)?.id).await;
            }
            match rows.last() {
                Some(last) if rows.len() == CHUNK => after = Some(last.position.clone()),
                _ => return Ok(()),
            }
        }
    }

    /// Forgets all sessions of a user with their addresses and agents, for it is deleted.
    pub(super) async fn forget_sessions(&self, app: AppId, user: UserId) -> Result<(), Problem> {
        self.end_sessions(app, user, None).await?;
        self.forget(app, || sessions::ended_of_user(user, CHUNK)).await
    }

    /// Deletes what a query finds until it finds nothing; what was changed meanwhile is looked at again.
    pub(super) async fn forget(&self, app: AppId, query: impl Fn() -> Query) -> Result<(), Problem> {
        for _ in 0..10_000 {
            let rows = self.documents.query(app, query()).await?;
            if rows.is_empty() {
                return Ok(());
            }
            for row in rows {
                let delete = sessions::delete(row.document.id, row.document.version);
                match self.documents.commit(app, Batch::of(delete)).await {
                    Ok(()) | Err(CommitError::Version { .. }) => {}
                    Err(other) => return Err(other.into()),
                }
            }
        }
        Ok(())
    }
}
