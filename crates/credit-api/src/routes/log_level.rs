//! `GET` and `PUT /v1/log-level`: what the process that answers writes into its log.

use std::sync::Arc;

use credit_core::{Code, Fault, Problem};
use serde::Serialize;
use utoipa::ToSchema;

use crate::connection_api::Desk;
use crate::form::Text;
use crate::ports::LogLevel as LogLevelPort;
use crate::reply::Reply;
use crate::request::Request;
use crate::route::{Access, Method, Route, Who};

crate::form! {
    /// What to log from now on.
    pub(super) struct SetLogLevelBody {
        /// `error`, `warn`, `info`, `debug` or `trace`, or by target: `info,credit_wallet=debug`.
        level: req Text<1, 1000>
    }
}

/// What is logged.
#[derive(Serialize, ToSchema)]
struct LogLevel {
    /// As it is now: a level, or levels by target.
    level: String,
    /// As it was configured, and will be again after the next start.
    configured: String,
}

pub(super) fn rows(desk: &Arc<Desk>) -> Vec<Route> {
    let (for_show, for_set) = (desk.clone(), desk.clone());
    let admins = Access::Only(&[Who::Admin]);
    vec![
        Route::new(Method::Get, "/v1/log-level", admins, "Show what this process logs", move |_| {
            std::future::ready(show(&for_show))
        })
        .answers::<LogLevel>(200, "The present level, and the configured one."),
        Route::new(Method::Put, "/v1/log-level", admins, "Log more or less from now on", move |request| {
            std::future::ready(set(&for_set, &request))
        })
        .form::<SetLogLevelBody>()
        .answers::<LogLevel>(200, "It is so in the process that answered, until its next start."),
    ]
}

fn show(desk: &Desk) -> Result<Reply, Problem> {
    Ok(Reply::ok(&told(&**log(desk)?)))
}

fn set(desk: &Desk, request: &Request) -> Result<Reply, Problem> {
    let body: SetLogLevelBody = request.form()?;
    let log = log(desk)?;
    let (before, level) = (log.current(), body.level.into_string());
    log.set(&level).map_err(|why| Problem::invalid(vec![Fault::new("/level", "invalid", why)]))?;
    tracing::warn!(before, level, "an admin has changed what is logged");
    Ok(Reply::ok(&told(&**log)))
}

fn log(desk: &Desk) -> Result<&Arc<dyn LogLevelPort>, Problem> {
    desk.log.as_ref().ok_or_else(|| Problem::new(Code::ModuleUnavailable))
}

fn told(log: &dyn LogLevelPort) -> LogLevel {
    LogLevel { level: log.current(), configured: log.configured() }
}
