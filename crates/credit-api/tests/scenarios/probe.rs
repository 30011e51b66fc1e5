//! A module that shows what the door let through.

use std::sync::Arc;

use async_trait::async_trait;
use credit_api::WebModule;
use credit_api::form::Text;
use credit_api::reply::Reply;
use credit_api::request::Request;
use credit_api::route::{Access, Method, Route, Who};
use credit_core::{Amount, Health, InitialiseError, Module, Principal, Problem, Scope};
use serde_json::json;

credit_api::form! {
    /// A thing to make.
    pub(crate) struct MakeBody { amount: req Amount, name: opt Text<1, 5> }
}

pub(crate) struct Probe;

#[async_trait]
impl Module for Probe {
    fn name(&self) -> &'static str {
        "probe"
    }
    fn dependencies(&self) -> &'static [&'static str] {
        &[]
    }
    async fn initialise(&self) -> Result<(), InitialiseError> {
        Ok(())
    }
    async fn health(&self) -> Health {
        Health::healthy()
    }
    async fn shut_down(&self) {}
}

impl WebModule for Probe {
    fn routes(&self) -> Vec<Arc<Route>> {
        let writers = Access::Only(&[Who::Scope(Scope::WalletsWrite), Who::Admin]);
        let rows = [
            Route::new(Method::Post, "/v1/things/{id}", writers, "Make", make)
                .form::<MakeBody>()
                .idempotent(),
            Route::new(Method::Get, "/v1/things/{id}", Access::Optional, "Show", |request| async move {
                let caller = request.known_principal().map(|principal| principal.actor().to_string());
                let client = request.client().address.to_string();
                Ok(Reply::ok(&json!({ "caller": caller, "client": client })).with_version(7))
            }),
            Route::new(Method::Post, "/v1/things/{id}/tidy", writers, "Tidy", |_| async move {
                Ok(Reply::no_content())
            }),
            Route::new(Method::Delete, "/v1/relics/{id}", writers, "Delete", |_| async move {
                Ok(Reply::no_content())
            })
            .turns_away(|knock| match knock.path_text("id") {
                Some("sacred") => Err(Problem::forbidden()),
                _ => Ok(()),
            }),
            Route::new(Method::Put, "/v1/relics/{id}", writers, "Replace", |request| async move {
                let _: MakeBody = request.form()?;
                Ok(Reply::no_content())
            })
            .form::<MakeBody>()
            .turns_away(|knock| match knock.principal() {
                Some(Principal::User { .. }) => Ok(()),
                _ => Err(Problem::forbidden()),
            }),
            Route::new(Method::Get, "/v1/panic", Access::Public, "Panic", |request: Request| async move {
                assert!(request.path().is_empty(), "a bug with a secret in it");
                Ok(Reply::no_content())
            }),
        ];
        rows.into_iter().map(Arc::new).collect()
    }
}

async fn make(request: Request) -> Result<Reply, Problem> {
    let body: MakeBody = request.form()?;
    let intent = request.intent()?;
    if request.path_text("id")? == "missing" {
        return Err(Problem::not_found());
    }
    let name = body.name.map(Text::into_string);
    Ok(Reply::created(&json!({ "amount": body.amount, "name": name, "dry_run": intent.is_dry_run() })))
}
