//! `GET /v1/debug/pprof/profile` and `GET /v1/debug/pprof/heap`: what the process that answers does with time and memory.

use std::sync::Arc;
use std::time::Duration;

use credit_core::{Code, Fault, Problem};
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};

use super::text_schema;
use crate::connection_api::Desk;
use crate::ports::{NoProfile, Profiles};
use crate::reply::Reply;
use crate::request::Request;
use crate::route::{Access, Method, Route, Who};

const GZIP: &str = "application/gzip";
/// For how long it is looked at if nobody says.
const SECONDS: u64 = 10;
const MOST_SECONDS: u64 = 60;

pub(super) fn rows(desk: &Arc<Desk>) -> Vec<Route> {
    let (for_cpu, for_heap) = (desk.clone(), desk.clone());
    let admins = Access::Only(&[Who::Admin]);
    vec![
        Route::new(Method::Get, "/v1/debug/pprof/profile", admins, "Take a CPU profile", move |request| {
            cpu(for_cpu.clone(), request)
        })
        .parameter("seconds", "For how long to look: 1 to 60, else 10.", seconds_schema)
        .answers_schema(200, "A profile for `pprof`, packed by gzip.", text_schema(GZIP))
        .refuses(&[Code::NotFound, Code::Unavailable]),
        Route::new(Method::Get, "/v1/debug/pprof/heap", admins, "Take a heap profile", move |_| {
            heap(for_heap.clone())
        })
        .answers_schema(200, "A profile for `pprof`, packed by gzip.", text_schema(GZIP))
        .refuses(&[Code::NotFound, Code::Unavailable]),
    ]
}

async fn cpu(desk: Arc<Desk>, request: Request) -> Result<Reply, Problem> {
    let profiles = profiles(&desk)?;
    let seconds = seconds(request.query("seconds"))?;
    packed(profiles.cpu(Duration::from_secs(seconds)).await)
}

async fn heap(desk: Arc<Desk>) -> Result<Reply, Problem> {
    packed(profiles(&desk)?.heap().await)
}

/// Where profiling is switched off, the routes are not there.
fn profiles(desk: &Desk) -> Result<&Arc<dyn Profiles>, Problem> {
    desk.profiles.as_ref().ok_or_else(Problem::not_found)
}

fn seconds(given: Option<&str>) -> Result<u64, Problem> {
    let Some(given) = given else { return Ok(SECONDS) };
    let wrong = || Fault::new("seconds", "out_of_range", format!("It takes 1 to {MOST_SECONDS}."));
    let seconds = given.parse().ok().filter(|seconds| (1..=MOST_SECONDS).contains(seconds));
    seconds.ok_or_else(|| Problem::with_faults(Code::InvalidParameter, vec![wrong()]))
}

fn packed(profile: Result<Vec<u8>, NoProfile>) -> Result<Reply, Problem> {
    let bytes = profile.map_err(|why| Problem::because(Code::Unavailable, why.0))?;
    Ok(Reply::raw(200, GZIP, bytes))
}

fn seconds_schema() -> Schema {
    ObjectBuilder::new()
        .schema_type(SchemaType::new(Type::Integer))
        .minimum(Some(1))
        .maximum(Some(MOST_SECONDS))
        .into()
}
