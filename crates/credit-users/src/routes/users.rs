//! `/v1/users/{id}`.

use std::sync::Arc;

use credit_api::form::{Faults, FormValue, Metadata, Schema};
use credit_api::reply::Reply;
use credit_api::request::Request;
use credit_api::route::{Access, Knock, Method, Route, Who};
use credit_core::{Code, Principal, Problem, Role, Scope, UserId};
use serde_json::Value;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::ArrayBuilder;

use super::EmptyBody;
use super::answers::UserAnswer;
use crate::domain::{Email, User, Username};
use crate::service::{Change, Users};

credit_api::form! {
    /// What is to be changed of a user; what is not named stays.
    pub(crate) struct ChangeUserBody {
        username: opt Username,
        email: opt Email,
        /// The whole of it; null empties it.
        profile: patch Metadata,
    }
}

credit_api::form! {
    /// What a user is to be.
    pub(crate) struct RolesBody { roles: req RoleSet }
}

/// At least one role, none twice.
#[derive(Debug, Clone)]
pub(crate) struct RoleSet(Vec<Role>);

impl RoleSet {
    pub(super) fn into_roles(mut self) -> Vec<Role> {
        self.0.sort_unstable();
        self.0
    }
}

impl FormValue for RoleSet {
    fn read(value: &Value, pointer: &str, faults: &mut Faults) -> Option<Self> {
        let roles = Vec::<Role>::read(value, pointer, faults)?;
        if roles.is_empty() {
            faults.add(pointer, "out_of_range", "must name at least one role");
        }
        for (index, role) in roles.iter().enumerate() {
            if roles[..index].contains(role) {
                faults.add(&format!("{pointer}/{index}"), "duplicate", "stands there already");
            }
        }
        Some(Self(roles))
    }

    fn schema() -> Schema {
        ArrayBuilder::new().items(RefOr::T(Role::schema())).min_items(Some(1)).unique_items(true).into()
    }
}

pub(super) fn rows(users: &Arc<Users>) -> Vec<Route> {
    let readers = Access::Only(&[Who::Scope(Scope::UsersRead), Who::User]);
    let writers = Access::Only(&[Who::Scope(Scope::UsersWrite), Who::User]);
    let admins = Access::Only(&[Who::Admin]);
    let operators = Access::Only(&[Who::Support]);
    let [for_get, for_change, for_delete, for_roles, for_suspend, for_reactivate] =
        [(); 6].map(|()| users.clone());
    vec![
        Route::new(Method::Get, "/v1/users/{id}", readers, "Show a user", move |request| {
            get(for_get.clone(), request)
        })
        .answers::<UserAnswer>(200, "The user."),
        Route::new(Method::Patch, "/v1/users/{id}", writers, "Change a user", move |request| {
            change(for_change.clone(), request)
        })
        .turns_away(refuse_support)
        .form::<ChangeUserBody>()
        .answers::<UserAnswer>(200, "The user as it is now.")
        .refuses(&[Code::VersionMismatch, Code::UsernameTaken, Code::EmailTaken, Code::Conflict]),
        Route::new(
            Method::Delete,
            "/v1/users/{id}",
            writers,
            "Erase a user; its history stays",
            move |request| delete(for_delete.clone(), request),
        )
        .turns_away(refuse_support)
        .answers_empty(204, "Its personal fields are erased and its sessions have ended.")
        .refuses(&[Code::WalletNotEmpty, Code::LastAdmin, Code::Conflict]),
        Route::new(Method::Put, "/v1/users/{id}/roles", admins, "Set the roles of a user", move |request| {
            roles(for_roles.clone(), request)
        })
        .form::<RolesBody>()
        .answers::<UserAnswer>(200, "The user as it is now; the roles count from its next request on.")
        .refuses(&[Code::LastAdmin, Code::Conflict]),
        Route::new(Method::Post, "/v1/users/{id}/suspend", operators, "Suspend a user", move |request| {
            suspend(for_suspend.clone(), request)
        })
        .optional_form::<EmptyBody>()
        .answers::<UserAnswer>(200, "The user as it is now; its sessions have ended.")
        .refuses(&[Code::LastAdmin, Code::Conflict]),
        Route::new(
            Method::Post,
            "/v1/users/{id}/reactivate",
            admins,
            "Let a suspended user in again",
            move |request| reactivate(for_reactivate.clone(), request),
        )
        .optional_form::<EmptyBody>()
        .answers::<UserAnswer>(200, "The user as it is now.")
        .refuses(&[Code::Conflict]),
    ]
}

async fn get(users: Arc<Users>, request: Request) -> Result<Reply, Problem> {
    let id = request.path_id("id", UserId::parse)?;
    Ok(shown(users.visible(request.principal()?, id).await?))
}

async fn change(users: Arc<Users>, request: Request) -> Result<Reply, Problem> {
    let body: ChangeUserBody = request.form()?;
    let id = request.path_id("id", UserId::parse)?;
    let change = Change {
        username: body.username,
        email: body.email,
        profile: body.profile.map(Option::unwrap_or_default),
    };
    Ok(shown(users.change(request.principal()?, id, change, request.if_match()).await?))
}

async fn delete(users: Arc<Users>, request: Request) -> Result<Reply, Problem> {
    let id = request.path_id("id", UserId::parse)?;
    users.delete(request.principal()?, id).await?;
    Ok(Reply::no_content())
}

async fn roles(users: Arc<Users>, request: Request) -> Result<Reply, Problem> {
    let body: RolesBody = request.form()?;
    let id = request.path_id("id", UserId::parse)?;
    Ok(shown(users.set_roles(request.principal()?, id, body.roles.into_roles()).await?))
}

async fn suspend(users: Arc<Users>, request: Request) -> Result<Reply, Problem> {
    let EmptyBody {} = request.form()?;
    let id = request.path_id("id", UserId::parse)?;
    Ok(shown(users.suspend(request.principal()?, id).await?))
}

async fn reactivate(users: Arc<Users>, request: Request) -> Result<Reply, Problem> {
    let EmptyBody {} = request.form()?;
    let id = request.path_id("id", UserId::parse)?;
    Ok(shown(users.reactivate(request.principal()?, id).await?))
}

/// Support reads everybody and changes nobody but itself.
fn refuse_support(knock: &Knock<'_>) -> Result<(), Problem> {
    match knock.principal() {
        Some(caller @ Principal::User { user, .. }) if caller.is_operator() && !caller.is_admin() => {
            let is_itself = knock.path_text("id").is_some_and(|id| UserId::parse(id) == Ok(*user));
            if is_itself { Ok(()) } else { Err(Problem::forbidden()) }
        }
        _ => Ok(()),
    }
}

fn shown(user: User) -> Reply {
    let version = user.version;
    Reply::ok(&UserAnswer::from(user)).with_version(version)
}
