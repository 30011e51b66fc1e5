//! One's own sessions.

use credit_api::page::{PageRequest, cut_page};
use credit_core::ports::StoreError;
use credit_core::ports::documents::Position;
use credit_core::{AppId, Problem, SessionId, UserId};

use super::Users;
use crate::domain::Session;
use crate::store::sessions::{self, SESSIONS};

impl Users {
    /// The live sessions of a user, newest first.
    pub(crate) async fn list_sessions(
        &self,
        app: AppId,
        user: UserId,
        page: &PageRequest,
    ) -> Result<(Vec<Session>, Option<Position>), Problem> {
        let query = sessions::of_user(user, page.after.clone(), page.limit + 1);
        let rows = self.documents.query(app, query).await?;
        let rows = rows
            .into_iter()
            .map(|row| Ok((row.position, sessions::open(app, &row.document)?)))
            .collect::<Result<Vec<_>, StoreError>>()?;
        let (mut sessions, next) = cut_page(rows, page.limit);
        let now = self.now();
        // The sweep has not come by yet: the page is shorter by those.
        sessions.retain(|session| session.is_live(now));
        Ok((sessions, next))
    }

    /// A live session of a user; another's is `404 not_found`.
    pub(crate) async fn own_session(
        &self,
        app: AppId,
        user: UserId,
        id: SessionId,
    ) -> Result<Session, Problem> {
        let document = self.documents.get(app, &SESSIONS, &id.to_string()).await?;
        let session = document.map(|document| sessions::open(app, &document)).transpose()?;
        let now = self.now();
        session.filter(|session| session.user == user && session.is_live(now)).ok_or_else(Problem::not_found)
    }
}
