//! `POST /v1/auth/register`.

use std::sync::Arc;

use credit_api::form::{Metadata, NamedId};
use credit_api::reply::Reply;
use credit_api::request::Request;
use credit_api::route::{Access, Knock, Method, Route};
use credit_core::{AppId, Code, Principal, Problem, Role, Scope};

use super::answers::{RegistrationAnswer, TokensAnswer};
use super::{form_of_newcomer, named_app};
use crate::domain::{Email, NewPassword, Username};
use crate::service::{NewUser, Users};
use crate::settings::Registration;

credit_api::form! {
    /// Somebody who wants in.
    pub(crate) struct RegisterBody {
        username: req Username,
        email: req Email,
        password: req NewPassword,
        app_id: opt NamedId<AppId>,
    }
}

pub(super) fn rows(users: &Arc<Users>) -> Vec<Route> {
    let registration = users.settings.registration;
    let users = users.clone();
    let row = Route::new(
        Method::Post,
        "/v1/auth/register",
        Access::Optional,
        "Register: make a user, its wallet, and log it in",
        move |request| register(users.clone(), request),
    )
    .strict()
    .turns_away(move |knock| refuse_if_closed(registration, knock))
    .form::<RegisterBody>()
    .answers::<RegistrationAnswer>(201, "The user and its first tokens. Its wallet is there.")
    .tagged()
    .refuses(&[
        Code::Unauthenticated,
        Code::RegistrationClosed,
        Code::NotFound,
        Code::UsernameTaken,
        Code::EmailTaken,
    ]);
    vec![row]
}

/// Where registration is switched off, only those who make users anyway may register one.
fn refuse_if_closed(registration: Registration, knock: &Knock<'_>) -> Result<(), Problem> {
    let may = |caller: &Principal| caller.has_scope(Scope::UsersWrite) || caller.is_admin();
    if registration == Registration::Closed && !knock.principal().is_some_and(may) {
        return Err(Problem::new(Code::RegistrationClosed));
    }
    Ok(())
}

async fn register(users: Arc<Users>, request: Request) -> Result<Reply, Problem> {
    let body: RegisterBody = form_of_newcomer(&request)?;
    let app = named_app(&users, &request, body.app_id).await?;
    let new = NewUser {
        username: body.username,
        email: body.email,
        password: Some(body.password),
        profile: Metadata::default(),
        roles: vec![Role::User],
    };
    let (user, tokens) = users.register(app, new, request.client()).await?;
    let version = user.version;
    let answer = RegistrationAnswer { user: user.into(), tokens: TokensAnswer::from(tokens) };
    Ok(Reply::created(&answer).with_version(version))
}
