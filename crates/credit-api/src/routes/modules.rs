//! `GET /modules/status` and `GET /modules/{name}/health`.

use std::future::ready;
use std::sync::Arc;

use credit_core::{Principal, Problem};
use serde::Serialize;
use utoipa::ToSchema;

use super::health::{ModuleHealth, module};
use crate::connection_api::Desk;
use crate::manager::{ModuleReport, ModuleState};
use crate::reply::Reply;
use crate::request::Request;
use crate::route::{Access, Method, Route};

/// Every module, in the order in which they start.
#[derive(Serialize, ToSchema)]
struct ModulesStatus {
    modules: Vec<ModuleStatus>,
}

/// Where a module stands.
#[derive(Serialize, ToSchema)]
struct ModuleStatus {
    name: &'static str,
    state: ModuleState,
    /// The modules that it needs.
    #[schema(value_type = Vec<String>)]
    dependencies: &'static [&'static str],
    /// From 1.
    load_order: usize,
    /// Since it was ready; 0 if it is not.
    uptime_seconds: u64,
    /// Why it is not ready, for operators.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

pub(super) fn rows(desk: &Arc<Desk>) -> Vec<Route> {
    let (for_status, for_one) = (desk.clone(), desk.clone());
    vec![
        Route::new(
            Method::Get,
            "/modules/status",
            Access::Optional,
            "Tell where every module stands",
            move |request| ready(Ok(status(&for_status, &request))),
        )
        .answers::<ModulesStatus>(200, "State, dependencies, load order, uptime; details for operators only.")
        .always(),
        Route::new(
            Method::Get,
            "/modules/{name}/health",
            Access::Optional,
            "Tell how one module is",
            move |request| ready(one(&for_one, &request)),
        )
        .answers::<ModuleHealth>(200, "Its health; details for operators only.")
        .always(),
    ]
}

fn status(desk: &Desk, request: &Request) -> Reply {
    let with_details = is_operator(request);
    let show = |report: ModuleReport| ModuleStatus {
        name: report.name,
        state: report.state,
        dependencies: report.dependencies,
        load_order: report.load_order,
        uptime_seconds: report.uptime.as_secs(),
        detail: report.reason.filter(|_| with_details),
    };
    Reply::ok(&ModulesStatus { modules: desk.house.modules().into_iter().map(show).collect() })
}

fn one(desk: &Desk, request: &Request) -> Result<Reply, Problem> {
    let name = request.path_text("name")?;
    let report = desk.house.modules().into_iter().find(|report| report.name == name);
    let report = report.ok_or_else(Problem::not_found)?;
    Ok(Reply::ok(&module(report, is_operator(request))))
}

fn is_operator(request: &Request) -> bool {
    request.known_principal().is_some_and(Principal::is_operator)
}
