//! `GET /health/live`, `/health/ready` and `/health`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use credit_core::{HealthState, Principal, Problem};
use serde::Serialize;
use utoipa::ToSchema;

use crate::connection_api::Desk;
use crate::manager::{ModuleReport, ModuleState};
use crate::reply::Reply;
use crate::request::Request;
use crate::route::{Access, Method, Route};
use crate::service::DependencyReport;

/// The process answers.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the schema of a constant answer")]
struct Live {
    /// `live`.
    status: String,
}

/// Whether it takes requests.
#[derive(Serialize, ToSchema)]
struct Ready {
    /// `ready` or `not_ready`.
    status: &'static str,
    /// Why it is not ready.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    reasons: Vec<String>,
}

/// How well something works.
#[derive(Serialize, ToSchema, Clone, Copy)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    Healthy,
    Degraded,
    Unhealthy,
}

impl From<HealthState> for Status {
    fn from(state: HealthState) -> Self {
        match state {
            HealthState::Healthy => Self::Healthy,
            HealthState::Degraded => Self::Degraded,
            HealthState::Unhealthy => Self::Unhealthy,
        }
    }
}

/// How everything is.
#[derive(Serialize, ToSchema)]
struct HealthResponse {
    /// The whole.
    status: Status,
    /// What the house depends on.
    dependencies: Vec<DependencyHealth>,
    /// Its modules.
    modules: Vec<ModuleHealth>,
}

/// How a dependency is.
#[derive(Serialize, ToSchema)]
struct DependencyHealth {
    name: &'static str,
    status: Status,
    /// Whether the house cannot work without it.
    required: bool,
    /// The state of its circuit breaker, or null if it has none; for operators.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, required = false)]
    #[expect(clippy::option_option, reason = "not told, told that there is none, or its state")]
    breaker: Option<Option<&'static str>>,
    /// How long it took to answer, for operators.
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_ms: Option<f64>,
    /// Why, for operators.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

/// How a module is.
#[derive(Serialize, ToSchema)]
pub(super) struct ModuleHealth {
    name: &'static str,
    status: Status,
    state: ModuleState,
    /// Why, for operators.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

pub(super) fn rows(desk: &Arc<Desk>) -> Vec<Route> {
    let (for_ready, for_health) = (desk.clone(), desk.clone());
    vec![
        Route::new(Method::Get, "/health/live", Access::Public, "Tell that the process answers", |_| {
            std::future::ready(Ok(live()))
        })
        .answers::<Live>(200, "It answers, whatever its dependencies do.")
        .always(),
        Route::new(
            Method::Get,
            "/health/ready",
            Access::Public,
            "Tell whether it takes requests",
            move |_| ready(for_ready.clone()),
        )
        .answers::<Ready>(200, "Required dependencies are up, modules initialised, and it is not draining.")
        .answers::<Ready>(503, "Send requests elsewhere for now.")
        .always(),
        Route::new(
            Method::Get,
            "/health",
            Access::Optional,
            "Tell how every dependency and module is",
            move |request| health(for_health.clone(), request),
        )
        .answers::<HealthResponse>(200, "Healthy or degraded; details for operators only.")
        .answers::<HealthResponse>(503, "Something it cannot do without is unhealthy.")
        .always(),
    ]
}

fn live() -> Reply {
    Reply::raw(200, "application/json", Bytes::from_static(br#"{"status":"live"}"#))
}

async fn ready(desk: Arc<Desk>) -> Result<Reply, Problem> {
    let reasons = desk.watchman.report().await.reasons_not_ready();
    Ok(if reasons.is_empty() {
        Reply::ok(&Ready { status: "ready", reasons })
    } else {
        Reply::json(503, &Ready { status: "not_ready", reasons })
    })
}

async fn health(desk: Arc<Desk>, request: Request) -> Result<Reply, Problem> {
    let with_details = request.known_principal().is_some_and(Principal::is_operator);
    let report = desk.watchman.report().await;
    let overall = report.overall();
    let response = HealthResponse {
        status: overall.into(),
        dependencies: report.dependencies.into_iter().map(|one| dependency(one, with_details)).collect(),
        modules: report.modules.into_iter().map(|one| module(one, with_details)).collect(),
    };
    Ok(Reply::json(if overall == HealthState::Unhealthy { 503 } else { 200 }, &response))
}

fn dependency(report: DependencyReport, with_details: bool) -> DependencyHealth {
    DependencyHealth {
        name: report.name,
        status: report.health.state.into(),
        required: report.is_required,
        breaker: with_details.then_some(report.breaker),
        latency_ms: with_details.then(|| milliseconds(report.latency)),
        detail: report.health.detail.filter(|_| with_details),
    }
}

pub(super) fn module(report: ModuleReport, with_details: bool) -> ModuleHealth {
    ModuleHealth {
        name: report.name,
        status: report.health().into(),
        state: report.state,
        detail: report.reason.filter(|_| with_details),
    }
}

/// With three decimals.
fn milliseconds(latency: Duration) -> f64 {
    (latency.as_secs_f64() * 1e6).round() / 1e3
}
