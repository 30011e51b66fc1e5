//! `GET /metrics`, on a port of its own.

use std::sync::Arc;

use actix_web::web::{self, ServiceConfig};

use super::text_schema;
use crate::front_door::{self, FrontDoor, Gate};
use crate::reply::Reply;
use crate::route::{Access, Method, Route};

const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Renders the present metrics as Prometheus text.
pub type RenderMetrics = Arc<dyn Fn() -> String + Send + Sync>;

/// Registers `GET /metrics` and nothing else: for the port of the metrics.
pub fn configure_metrics(config: &mut ServiceConfig, door: &Arc<FrontDoor>, render: &RenderMetrics) {
    let render = render.clone();
    let row = Route::new(Method::Get, "/metrics", Access::Public, "Show the metrics", move |_| {
        let text = render();
        async { Ok(Reply::raw(200, PROMETHEUS_TEXT, text)) }
    })
    .answers_schema(200, "The metrics.", text_schema(PROMETHEUS_TEXT))
    .always();
    let gate: Arc<dyn Gate> = Arc::new(AlwaysOpen);
    front_door::register(config, door, &gate, &[Arc::new(row)]);
    let door = door.clone();
    config.default_service(web::to(move |request| front_door::not_found(door.clone(), request)));
}

struct AlwaysOpen;

impl Gate for AlwaysOpen {
    fn is_open(&self) -> bool {
        true
    }
}
