//! `/v1/auth/sessions`.

use std::sync::Arc;

use credit_api::reply::Reply;
use credit_api::request::Request;
use credit_api::route::{Access, Method, Route, Who};
use credit_core::{Code, Problem, SessionId};

use super::answers::SessionAnswer;
use super::{LoggedIn, logged_in};
use crate::service::Users;

pub(super) fn rows(users: &Arc<Users>) -> Vec<Route> {
    let me = Access::Only(&[Who::User]);
    let [for_list, for_end] = [(); 2].map(|()| users.clone());
    vec![
        Route::new(Method::Get, "/v1/auth/sessions", me, "List one's own sessions", move |request| {
            list(for_list.clone(), request)
        })
        .answers_page::<SessionAnswer>("Live sessions, newest first."),
        Route::new(
            Method::Delete,
            "/v1/auth/sessions/{id}",
            me,
            "End one of one's own sessions",
            move |request| end(for_end.clone(), request),
        )
        .answers_empty(204, "The session has ended; its tokens are good no more.")
        .refuses(&[Code::Conflict]),
    ]
}

async fn list(users: Arc<Users>, request: Request) -> Result<Reply, Problem> {
    let LoggedIn { app, user, session } = logged_in(&request)?;
    let page = request.page()?;
    let (sessions, next) = users.list_sessions(app, user, &page).await?;
    let rows: Vec<_> = sessions.into_iter().map(|kept| SessionAnswer::new(kept, session)).collect();
    Ok(request.page_reply(&rows, next.as_ref()))
}

async fn end(users: Arc<Users>, request: Request) -> Result<Reply, Problem> {
    let LoggedIn { app, user, .. } = logged_in(&request)?;
    let id = request.path_id("id", SessionId::parse)?;
    let session = users.own_session(app, user, id).await?;
    users.end_session(app, session.id).await?;
    Ok(Reply::no_content())
}
