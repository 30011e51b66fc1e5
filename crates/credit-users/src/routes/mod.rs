//! How the web asks.

mod answers;
mod auth;
mod register;
mod sessions;
mod users;
mod users_list;

use std::sync::Arc;

use credit_api::form::{FormValue, NamedId};
use credit_api::request::Request;
use credit_api::route::Route;
use credit_core::{AppId, Principal, Problem, SessionId, UserId};
use serde_json::Value;

use crate::domain::own_name_fault;
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

/// The form of somebody new. The password is compared with the names although other fields may be wrong: every fault is
/// told at once.
fn form_of_newcomer<T: FormValue>(request: &Request) -> Result<T, Problem> {
    let text = |name: &str| request.body().get(name).and_then(Value::as_str);
    let own_name = text("password")
        .and_then(|password| own_name_fault("/password", password, [text("username"), text("email")]));
    let form = request.form();
    let Some(own_name) = own_name else { return form };
    let mut faults = form.err().map_or_else(Vec::new, |problem| problem.faults().to_vec());
    if faults.iter().all(|fault| fault.pointer != own_name.pointer) {
        faults.push(own_name);
    }
    Err(Problem::invalid(faults))
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
