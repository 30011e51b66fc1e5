//! `POST /v1/apps` and `GET /v1/apps`.

use std::sync::Arc;

use credit_core::Problem;

use crate::connection_api::Desk;
use crate::domain::App;
use crate::form::Text;
use crate::reply::Reply;
use crate::request::Request;
use crate::route::{Access, Method, Route, Who};

crate::form! {
    /// An application to make.
    pub(super) struct CreateAppBody { name: req Text<1, 100> }
}

pub(super) fn rows(desk: &Arc<Desk>) -> Vec<Route> {
    let (for_create, for_list) = (desk.clone(), desk.clone());
    let admins = Access::Only(&[Who::Admin]);
    vec![
        Route::new(Method::Post, "/v1/apps", admins, "Make an application", move |request| {
            create(for_create.clone(), request)
        })
        .form::<CreateAppBody>()
        .answers::<App>(201, "The application."),
        Route::new(Method::Get, "/v1/apps", admins, "List the applications", move |request| {
            list(for_list.clone(), request)
        })
        .answers_page::<App>("Applications, newest first."),
    ]
}

async fn create(desk: Arc<Desk>, request: Request) -> Result<Reply, Problem> {
    let body: CreateAppBody = request.form()?;
    Ok(Reply::created(&desk.apps.create(body.name.into_string()).await?))
}

async fn list(desk: Arc<Desk>, request: Request) -> Result<Reply, Problem> {
    let (apps, next) = desk.apps.list(&request.page()?).await?;
    Ok(request.page_reply(&apps, next.as_ref()))
}
