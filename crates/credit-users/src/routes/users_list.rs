//! `POST` and `GET /v1/users`.

use std::sync::Arc;

use credit_api::form::{FormValue, Metadata, NamedId, NamedValue, Schema, Text};
use credit_api::reply::Reply;
use credit_api::request::Request;
use credit_api::route::{Access, Method, Route, Who};
use credit_core::{AppId, Code, Principal, Problem, Role, Scope};
use serde_json::Value;

use super::answers::UserAnswer;
use super::users::RoleSet;
use super::{form_of_newcomer, named_app};
use crate::domain::{Email, NewPassword, Status, Username};
use crate::service::{Filter, NewUser, Search, Users};

credit_api::form! {
    /// A user to make.
    pub(crate) struct CreateUserBody {
        username: req Username,
        email: req Email,
        /// Without one it cannot log in.
        password: opt NewPassword,
        profile: opt Metadata,
        /// From an admin only.
        roles: opt RoleSet,
        /// From an admin only.
        app_id: opt NamedId<AppId>,
    }
}

pub(super) fn rows(users: &Arc<Users>) -> Vec<Route> {
    let writers = Access::Only(&[Who::Scope(Scope::UsersWrite), Who::Admin]);
    let readers = Access::Only(&[Who::Scope(Scope::UsersRead), Who::Support]);
    let [for_create, for_list] = [(); 2].map(|()| users.clone());
    vec![
        Route::new(Method::Post, "/v1/users", writers, "Make a user and its wallet", move |request| {
            create(for_create.clone(), request)
        })
        .form::<CreateUserBody>()
        .answers::<UserAnswer>(201, "The user. Its wallet is there.")
        .refuses(&[Code::NotFound, Code::UsernameTaken, Code::EmailTaken]),
        Route::new(Method::Get, "/v1/users", readers, "List users", move |request| {
            list(for_list.clone(), request)
        })
        .parameter("q", "An e-mail address, exactly; or what a username begins with.", Text::<1, 254>::schema)
        .parameter("status", "Only with this status; without, all but the deleted.", Status::schema)
        .parameter("role", "Only with this role.", Role::schema)
        .parameter("app_id", "Only of this application.", app_id_schema)
        .answers_page::<UserAnswer>("Users, newest first."),
    ]
}

async fn create(users: Arc<Users>, request: Request) -> Result<Reply, Problem> {
    let names = |field: &str| request.body().get(field).is_some_and(|value| *value != Value::Null);
    if !request.principal()?.is_admin() && (names("roles") || names("app_id")) {
        return Err(Problem::because(Code::Forbidden, "Only an admin names roles or an application."));
    }
    let body: CreateUserBody = form_of_newcomer(&request)?;
    let app = named_app(&users, &request, body.app_id).await?;
    let new = NewUser {
        username: body.username,
        email: body.email,
        password: body.password,
        profile: body.profile.unwrap_or_default(),
        roles: body.roles.map_or_else(|| vec![Role::User], RoleSet::into_roles),
    };
    let user = users.create(app, new).await?;
    let location = format!("/v1/users/{}", user.id);
    let version = user.version;
    Ok(Reply::created(&UserAnswer::from(user)).with_version(version).with_header("location", location))
}

async fn list(users: Arc<Users>, request: Request) -> Result<Reply, Problem> {
    let page = request.page()?;
    let filter = Filter {
        apps: shown_apps(&users, &request).await?,
        search: request.query("q").map(Search::of),
        status: named_query(&request, "status")?,
        role: named_query(&request, "role")?,
    };
    let (found, next) = users.list(&filter, &page).await?;
    let rows: Vec<_> = found.into_iter().map(UserAnswer::from).collect();
    Ok(request.page_reply(&rows, next.as_ref()))
}

/// The applications whose users the caller sees, cut down to the one that it asks for. An id that is no id shows nothing.
async fn shown_apps(users: &Users, request: &Request) -> Result<Vec<AppId>, Problem> {
    let seen = match request.principal()? {
        Principal::Application { app, .. } => vec![*app],
        Principal::User { .. } => users.apps.all().await?.to_vec(),
    };
    let Some(wanted) = request.query("app_id") else { return Ok(seen) };
    let wanted = AppId::parse(wanted).ok();
    Ok(seen.into_iter().filter(|app| Some(*app) == wanted).collect())
}

fn named_query<T: NamedValue>(request: &Request, name: &str) -> Result<Option<T>, Problem> {
    let names: Vec<&str> = T::NAMES.iter().map(|(_, name)| *name).collect();
    let expected = format!("must be one of {}", names.join(", "));
    request.query_as(name, &expected, |text| {
        T::NAMES.iter().find(|(_, name)| *name == text).map(|(value, _)| *value)
    })
}

fn app_id_schema() -> Schema {
    NamedId::<AppId>::schema()
}
