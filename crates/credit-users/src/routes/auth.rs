//! `/v1/auth`: coming in and going out; and the public keys of tokens.

use std::sync::Arc;

use credit_api::form::{NamedId, SecretText, Text};
use credit_api::reply::Reply;
use credit_api::request::Request;
use credit_api::route::{Access, AnswerSchema, Method, Route, Who};
use credit_core::{AppId, Code, Problem};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema};

use super::answers::{MeAnswer, SessionAnswer, TokensAnswer};
use super::{EmptyBody, LoggedIn, logged_in, named_app};
use crate::domain::NewPassword;
use crate::service::Users;

credit_api::form! {
    /// Somebody who comes back.
    pub(crate) struct LoginBody {
        /// Username or e-mail address.
        login: req Text<1, 254>,
        password: req SecretText,
        app_id: opt NamedId<AppId>,
    }
}

credit_api::form! {
    /// A token for a new pair.
    pub(crate) struct RefreshBody { refresh_token: req SecretText }
}

credit_api::form! {
    /// Another password.
    pub(crate) struct PasswordBody { current_password: req SecretText, new_password: req NewPassword }
}

pub(super) fn rows(users: &Arc<Users>) -> Vec<Route> {
    let me = Access::Only(&[Who::User]);
    let [for_login, for_refresh, for_logout, for_logout_all, for_me, for_password, for_jwks] =
        [(); 7].map(|()| users.clone());
    vec![
        Route::new(Method::Post, "/v1/auth/login", Access::Optional, "Log in", move |request| {
            login(for_login.clone(), request)
        })
        .strict()
        .form::<LoginBody>()
        .answers::<TokensAnswer>(200, "A pair of tokens.")
        .refuses(&[
            Code::Unauthenticated,
            Code::InvalidCredentials,
            Code::NotFound,
            Code::RateLimited,
        ]),
        Route::new(
            Method::Post,
            "/v1/auth/refresh",
            Access::Public,
            "Get a new pair for a refresh token",
            move |request| refresh(for_refresh.clone(), request),
        )
        .form::<RefreshBody>()
        .answers::<TokensAnswer>(200, "A new pair; the old refresh token is spent.")
        .refuses(&[Code::Unauthenticated, Code::RefreshTokenReused, Code::Conflict]),
        Route::new(Method::Post, "/v1/auth/logout", me, "Log out", move |request| {
            logout(for_logout.clone(), request)
        })
        .optional_form::<EmptyBody>()
        .answers_empty(204, "The session has ended; its tokens are good no more.")
        .refuses(&[Code::Conflict]),
        Route::new(Method::Post, "/v1/auth/logout-all", me, "Log out everywhere", move |request| {
            logout_all(for_logout_all.clone(), request)
        })
        .optional_form::<EmptyBody>()
        .answers_empty(204, "All sessions of the user have ended.")
        .refuses(&[Code::Conflict]),
        Route::new(Method::Get, "/v1/auth/me", me, "Tell who asks", move |request| {
            who(for_me.clone(), request)
        })
        .answers::<MeAnswer>(200, "The user and the session."),
        Route::new(Method::Put, "/v1/auth/password", me, "Change one's own password", move |request| {
            password(for_password.clone(), request)
        })
        .strict()
        .form::<PasswordBody>()
        .answers_empty(204, "The new password is kept; every other session has ended.")
        .refuses(&[Code::InvalidCredentials, Code::RateLimited, Code::Conflict]),
        Route::new(
            Method::Get,
            "/.well-known/jwks.json",
            Access::Public,
            "The public keys of access tokens",
            move |_| std::future::ready(Ok(Reply::ok(&for_jwks.signer.jwks()))),
        )
        .answers_schema(200, "A JSON Web Key Set (RFC 7517).", jwks_schema()),
    ]
}

async fn login(users: Arc<Users>, request: Request) -> Result<Reply, Problem> {
    let body: LoginBody = request.form()?;
    let app = named_app(&users, &request, body.app_id).await?;
    let password = body.password.into_secret();
    let tokens = users.login(app, body.login.as_str(), password, request.client()).await?;
    Ok(Reply::ok(&TokensAnswer::from(tokens)))
}

async fn refresh(users: Arc<Users>, request: Request) -> Result<Reply, Problem> {
    let body: RefreshBody = request.form()?;
    let tokens = users.refresh(body.refresh_token.secret()).await?;
    Ok(Reply::ok(&TokensAnswer::from(tokens)))
}

async fn logout(users: Arc<Users>, request: Request) -> Result<Reply, Problem> {
    let EmptyBody {} = request.form()?;
    let LoggedIn { app, session, .. } = logged_in(&request)?;
    users.end_session(app, session).await?;
    Ok(Reply::no_content())
}

async fn logout_all(users: Arc<Users>, request: Request) -> Result<Reply, Problem> {
    let EmptyBody {} = request.form()?;
    let LoggedIn { app, user, .. } = logged_in(&request)?;
    users.end_sessions(app, user, None).await?;
    Ok(Reply::no_content())
}

async fn who(users: Arc<Users>, request: Request) -> Result<Reply, Problem> {
    let LoggedIn { app, user, session } = logged_in(&request)?;
    let kept = users.own_session(app, user, session).await?;
    let answer =
        MeAnswer { user: users.present(app, user).await?.into(), session: SessionAnswer::new(kept, session) };
    Ok(Reply::ok(&answer))
}

async fn password(users: Arc<Users>, request: Request) -> Result<Reply, Problem> {
    let LoggedIn { app, user, session } = logged_in(&request)?;
    let body: PasswordBody = request.form()?;
    let current = body.current_password.into_secret();
    users.change_password(app, user, session, current, body.new_password, request.client()).await?;
    Ok(Reply::no_content())
}

fn jwks_schema() -> AnswerSchema {
    let keys = ArrayBuilder::new().items(ObjectBuilder::new());
    let body: Schema = ObjectBuilder::new().property("keys", keys).required("keys").into();
    AnswerSchema { content_type: "application/json", body: RefOr::T(body), components: Vec::new() }
}
