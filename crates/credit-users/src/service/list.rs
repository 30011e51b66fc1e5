//! Lists of users.

use credit_api::page::{PageRequest, cut_page};
use credit_core::ports::documents::{Direction, Position};
use credit_core::{AppId, Problem, Role};
use futures_util::future::try_join_all;

use super::Users;
use crate::domain::{Status, User, likeness};
use crate::store::users::Shelf;

/// Which users a list shows.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    /// Of these applications.
    pub(crate) apps: Vec<AppId>,
    /// With this address, or a name that begins so.
    pub(crate) search: Option<Search>,
    /// With this status; without, all but the deleted.
    pub(crate) status: Option<Status>,
    /// With this role.
    pub(crate) role: Option<Role>,
}

/// What `q` means.
#[derive(Debug, Clone)]
pub(crate) enum Search {
    /// Exactly this e-mail address.
    Email(String),
    /// A username that begins so.
    NamePrefix(String),
}

impl Search {
    /// An address has an `@`, a username never.
    pub(crate) fn of(text: &str) -> Self {
        if text.contains('@') { Self::Email(text.to_owned()) } else { Self::NamePrefix(text.to_owned()) }
    }
}

impl Filter {
    fn shows(&self, user: &User) -> bool {
        let status = match self.status {
            Some(status) => user.status == status,
            None => user.status != Status::Deleted,
        };
        status && self.role.is_none_or(|role| user.roles.contains(&role))
    }

    /// The narrowest index that has all who are wanted.
    fn shelf(&self) -> Shelf {
        match (&self.search, self.role, self.status) {
            (Some(Search::NamePrefix(text)), _, _) => Shelf::NamePrefix(likeness(text).plain),
            (_, Some(role), _) => Shelf::Role(role),
            (_, None, Some(status)) => Shelf::Status(status),
            (_, None, None) => Shelf::All,
        }
    }
}

impl Users {
    /// A page of users, newest first; by name where a name is searched for.
    pub(crate) async fn list(
        &self,
        filter: &Filter,
        page: &PageRequest,
    ) -> Result<(Vec<User>, Option<Position>), Problem> {
        if let Some(Search::Email(email)) = &filter.search {
            return self.list_by_email(filter, email, page).await;
        }
        let place = filter.shelf();
        let (chunk, mut after, mut found) = (page.limit + 1, page.after.clone(), Vec::new());
        loop {
            let rows = self.chunk(filter, &place, after.clone(), chunk).await?;
            let is_last = rows.len() < chunk;
            after = rows.last().map(|(position, _)| position.clone());
            found.extend(rows.into_iter().filter(|(_, user)| filter.shows(user)));
            if is_last || found.len() > page.limit {
                return Ok(cut_page(found, page.limit));
            }
        }
    }

    /// The next rows of all applications together. Positions of one index compare across applications: ids are UUIDv7.
    async fn chunk(
        &self,
        filter: &Filter,
        place: &Shelf,
        after: Option<Position>,
        limit: usize,
    ) -> Result<Vec<(Position, User)>, Problem> {
        let query = place.query(after, limit);
        let direction = query.direction;
        let asked = filter.apps.iter().map(|app| {
            let query = query.clone();
            async move {
                let rows = self.documents.query(*app, query).await?;
                rows.into_iter().map(|row| self.store.open_row(*app, row)).collect::<Result<Vec<_>, _>>()
            }
        });
        let mut rows: Vec<(Position, User)> = try_join_all(asked).await?.into_iter().flatten().collect();
        rows.sort_by(|(left, _), (right, _)| match direction {
            Direction::Ascending => left.cmp(right),
            Direction::Descending => right.cmp(left),
        });
        rows.truncate(limit);
        Ok(rows)
    }

    /// One of each application at most.
    async fn list_by_email(
        &self,
        filter: &Filter,
        email: &str,
        page: &PageRequest,
    ) -> Result<(Vec<User>, Option<Position>), Problem> {
        let found = try_join_all(filter.apps.iter().map(|app| self.store.by_email(*app, email))).await?;
        let mut rows: Vec<(Position, User)> = found
            .into_iter()
            .flatten()
            .filter(|user| filter.shows(user))
            .map(|user| (Position(user.id.to_string().into_bytes()), user))
            .filter(|(position, _)| page.after.as_ref().is_none_or(|after| position < after))
            .collect();
        rows.sort_by(|(left, _), (right, _)| right.cmp(left));
        Ok(cut_page(rows, page.limit))
    }
}
