//! Keeping the last admin. Why it is safe is said in `domain/admins.rs`.

use credit_core::ports::documents::{CommitError, Query};
use credit_core::{AppId, Code, Problem, Role, UserId};

use super::{ATTEMPTS, Users};
use crate::domain::{Admins, User};
use crate::store::admins::{self, ADMINS, ID};
use crate::store::users::Shelf;

const CHUNK: usize = 100;

impl Users {
    /// Changes a user by `step`, which may be tried several times and answers the next version of what it is given.
    /// `409 last_admin` if no active admin would be left. Nothing is written if the user stays as it is.
    pub(super) async fn change_standing<F>(&self, user: User, step: F) -> Result<User, Problem>
    where
        F: Fn(&User) -> Result<User, Problem>,
    {
        let (app, id) = (user.app, user.id);
        let mut user = user;
        for _ in 0..ATTEMPTS {
            let next = step(&user)?;
            if next.status == user.status && next.roles == user.roles {
                return Ok(user);
            }
            let leaves = user.is_active_admin() && !next.is_active_admin();
            let change = if leaves { Some(self.strike_off(app, id).await?) } else { None };
            let written = self.replace(next).await;
            if change.is_some()
                || user.is_active_admin()
                || matches!(&written, Ok(now) if now.is_active_admin())
            {
                self.settle_admin(app, id, change).await?;
            }
            match written {
                Ok(user) => return Ok(user),
                Err(CommitError::Version { .. }) => user = self.present(app, id).await?,
                Err(other) => return Err(other.into()),
            }
        }
        Err(Problem::new(Code::Conflict))
    }

    /// Strikes an admin off the list before it stops being one. Answers the change to settle afterwards, whatever came
    /// of it.
    pub(super) async fn strike_off(&self, app: AppId, user: UserId) -> Result<u128, Problem> {
        let change = self.ids.mint();
        if self.try_strike_off(app, user, change).await? {
            return Ok(change);
        }
        // The list may miss some: look again at everyone.
        self.list_all_admins().await?;
        if self.try_strike_off(app, user, change).await? {
            return Ok(change);
        }
        Err(Problem::new(Code::LastAdmin))
    }

    async fn try_strike_off(&self, app: AppId, user: UserId, change: u128) -> Result<bool, Problem> {
        for _ in 0..ATTEMPTS {
            let (admins, version) = self.admins().await?;
            let Some(next) = admins.leave(app, user, change, self.now()) else { return Ok(false) };
            if self.keep_admins(&next, version).await? {
                return Ok(true);
            }
        }
        Err(Problem::new(Code::Conflict))
    }

    /// Closes a change and lists the user or not. The list is read before the user and written only if nobody changed it
    /// since: whoever strikes the user off in between makes us look again.
    pub(super) async fn settle_admin(
        &self,
        app: AppId,
        user: UserId,
        change: Option<u128>,
    ) -> Result<(), Problem> {
        for _ in 0..ATTEMPTS {
            let (admins, version) = self.admins().await?;
            let is_active_admin =
                self.store.find(app, user).await?.is_some_and(|user| user.is_active_admin());
            let next = admins.settle(app, user, change, is_active_admin, self.now());
            if next == admins || self.keep_admins(&next, version).await? {
                return Ok(());
            }
        }
        Err(Problem::new(Code::Conflict))
    }

    /// Lists every active admin of every application.
    pub(super) async fn list_all_admins(&self) -> Result<(), Problem> {
        for app in self.apps.all().await?.iter() {
            let mut after = None;
            loop {
                let query: Query = Shelf::Role(Role::Admin).query(after, CHUNK);
                let rows = self.documents.query(*app, query).await?;
                let full = rows.len() == CHUNK;
                after = rows.last().map(|row| row.position.clone());
                for row in rows {
                    let user = self.store.open(*app, &row.document)?;
                    if user.is_active_admin() {
                        self.settle_admin(*app, user.id, None).await?;
                    }
                }
                if !full {
                    break;
                }
            }
        }
        Ok(())
    }

    pub(super) async fn admins(&self) -> Result<(Admins, u64), Problem> {
        let document = self.documents.get(AppId::SYSTEM, &ADMINS, ID).await?;
        Ok(admins::open(document.as_ref())?)
    }

    /// False if somebody else was faster.
    async fn keep_admins(&self, admins: &Admins, version: u64) -> Result<bool, Problem> {
        match self.documents.commit(AppId::SYSTEM, admins::keep(admins, version)).await {
            Ok(()) => Ok(true),
            Err(CommitError::Version { .. } | CommitError::Exists { .. }) => Ok(false),
            Err(other) => Err(other.into()),
        }
    }
}
