//! How the web asks.

mod answers;
mod auth;
mod register;
mod sessions;
mod users;
mod users_list;

use std::sync::Arc;

use credit_api::form::NamedId;
use credit_api::request::Request;
use credit_api::route::Route;
use credit_core::{AppId, Principal, Problem, SessionId, UserId};

use crate::service::Users;

/// The rows of this module.
pub(crate) fn table(users: &Arc<Users>) -> Vec<Arc<Route>> {
    let parts = [
        register::rows(users),
        auth::rows(users),
        sessions::rows(users),
        users_list::rows(users),
        users::rows(users),
    ];
    parts.into_iter().flatten().map(Arc::new).collect()
}

credit_api::form! {
    /// Nothing to say.
    pub(crate) struct EmptyBody {}
}

/// The application that a call without a session means: the one it names, else the API key's, else the default one. One
/// that is unknown, or another's than the key's, is `404 not_found`.
async fn named_app(
    users: &Users,
    request: &Request,
    named: Option<NamedId<AppId>>,
) -> Result<AppId, Problem> {
    let own = match request.known_principal() {
        Some(Principal::Application { app, .. }) => Some(*app),
        _ => None,
    };
    let named = named.map(NamedId::known).transpose()?;
    match (named, own) {
        (Some(named), Some(own)) if named != own => Err(Problem::not_found()),
        (_, Some(own)) => Ok(own),
        (Some(named), None) if users.apps.exists(named).await? => Ok(named),
        (Some(_), None) => Err(Problem::not_found()),
        (None, None) => users.apps.default_app().await,
    }
}

/// Who is logged in.
struct LoggedIn {
    app: AppId,
    user: UserId,
    session: SessionId,
}

fn logged_in(request: &Request) -> Result<LoggedIn, Problem> {
    match request.principal()? {
        Principal::User { app, user, session, .. } => {
            Ok(LoggedIn { app: *app, user: *user, session: *session })
        }
        Principal::Application { .. } => Err(Problem::forbidden()),
    }
}
