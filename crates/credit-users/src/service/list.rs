//! Lists of users.

use std::collections::BTreeMap;

use credit_api::page::{PageRequest, cut_page};
use credit_core::ports::StoreError;
use credit_core::ports::documents::{Direction, Document, Position, Row};
use credit_core::{AppId, Problem, Role};
use futures_util::future::try_join_all;

use super::Users;
use crate::domain::{Status, User, likeness};
use crate::store::users::{ListedHead, Shelf, listed_head};

/// How many rows of each application a search by name looks at in one turn.
const SEARCH_CHUNK: usize = 256;

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
    fn shows(&self, status: Status, roles: &[Role]) -> bool {
        let status = match self.status {
            Some(wanted) => status == wanted,
            None => status != Status::Deleted,
        };
        status && self.role.is_none_or(|role| roles.contains(&role))
    }

    /// The narrowest index by age that has all who are wanted.
    fn shelf(&self) -> Shelf {
        match (self.role, self.status) {
            (Some(role), _) => Shelf::Role(role),
            (None, Some(status)) => Shelf::Status(status),
            (None, None) => Shelf::All,
        }
    }
}

/// A user that is not opened yet.
struct Listed {
    app: AppId,
    document: Document,
    head: ListedHead,
}

impl Listed {
    /// Its place by age.
    fn place_by_age(&self) -> Position {
        Position(self.document.id.clone().into_bytes())
    }
}

impl Users {
    /// A page of users, newest first.
    pub(crate) async fn list(
        &self,
        filter: &Filter,
        page: &PageRequest,
    ) -> Result<(Vec<User>, Option<Position>), Problem> {
        let found = match &filter.search {
            Some(Search::Email(email)) => return self.list_by_email(filter, email, page).await,
            Some(Search::NamePrefix(text)) => self.find_by_name(filter, &likeness(text).plain, page).await?,
            None => self.find_by_age(filter, page).await?,
        };
        let (found, next) = cut_page(found, page.limit);
        let opened = found.into_iter().map(|listed| self.store.open(listed.app, &listed.document));
        Ok((opened.collect::<Result<_, _>>()?, next))
    }

    /// One more than the page of those who are shown.
    async fn find_by_age(
        &self,
        filter: &Filter,
        page: &PageRequest,
    ) -> Result<Vec<(Position, Listed)>, Problem> {
        let place = filter.shelf();
        let (size, mut after, mut found) = (page.limit + 1, page.after.clone(), Vec::new());
        loop {
            let rows = self.chunk(filter, &place, after, size).await?;
            let is_last = rows.len() < size;
            after = rows.last().map(|(position, _)| position.clone());
            found.extend(rows.into_iter().filter(|(_, row)| filter.shows(row.head.status, &row.head.roles)));
            if is_last || found.len() > page.limit {
                return Ok(found);
            }
        }
    }

    /// One more than the page of those whose names begin so, newest first.
    ///
    /// There is no index by name and age: nobody knows how much of a name is asked for. So two searches take turns, and
    /// the first that is done answers. By name, all who match are looked at and the newest of them kept, which is done
    /// soon if they are few; by age, whoever is met is asked for its name, which is done soon if they are many. Either
    /// keeps no more than a page.
    async fn find_by_name(
        &self,
        filter: &Filter,
        prefix: &str,
        page: &PageRequest,
    ) -> Result<Vec<(Position, Listed)>, Problem> {
        let by_name = Shelf::NamePrefix(prefix.to_owned());
        let (mut last_name, mut newest) = (None, BTreeMap::new());
        let (mut last_age, mut met) = (page.after.clone(), Vec::new());
        loop {
            let rows = self.chunk(filter, &by_name, last_name, SEARCH_CHUNK).await?;
            let is_last = rows.len() < SEARCH_CHUNK;
            last_name = rows.last().map(|(position, _)| position.clone());
            let shown = rows.into_iter().filter(|(_, row)| filter.shows(row.head.status, &row.head.roles));
            for (_, row) in shown {
                let place = row.place_by_age();
                if page.after.as_ref().is_none_or(|after| place < *after) {
                    newest.insert(place, row);
                }
                if newest.len() > page.limit + 1 {
                    newest.pop_first();
                }
            }
            if is_last {
                return Ok(newest.into_iter().rev().collect());
            }
            let rows = self.chunk(filter, &Shelf::All, last_age, SEARCH_CHUNK).await?;
            let is_last = rows.len() < SEARCH_CHUNK;
            last_age = rows.last().map(|(position, _)| position.clone());
            let is_named = |head: &ListedHead| {
                head.username.as_ref().is_some_and(|name| likeness(name).plain.starts_with(prefix))
            };
            met.extend(
                rows.into_iter()
                    .filter(|(_, row)| filter.shows(row.head.status, &row.head.roles) && is_named(&row.head)),
            );
            if is_last || met.len() > page.limit {
                return Ok(met);
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
    ) -> Result<Vec<(Position, Listed)>, Problem> {
        let query = place.query(after, limit);
        let direction = query.direction;
        let asked = filter.apps.iter().map(|app| {
            let query = query.clone();
            async move {
                let rows = self.documents.query(*app, query).await?;
                let listed = rows.into_iter().map(|Row { position, document }| {
                    let head = listed_head(&document)?;
                    Ok((position, Listed { app: *app, document, head }))
                });
                listed.collect::<Result<Vec<_>, StoreError>>()
            }
        });
        let mut rows: Vec<(Position, Listed)> = try_join_all(asked).await?.into_iter().flatten().collect();
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
            .filter(|user| filter.shows(user.status, &user.roles))
            .map(|user| (Position(user.id.to_string().into_bytes()), user))
            .filter(|(position, _)| page.after.as_ref().is_none_or(|after| position < after))
            .collect();
        rows.sort_by(|(left, _), (right, _)| right.cmp(left));
        Ok(cut_page(rows, page.limit))
    }
}
