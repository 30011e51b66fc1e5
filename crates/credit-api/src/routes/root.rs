//! `GET /` and `GET /version`: what this is and where to go on.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use crate::connection_api::Desk;
use crate::reply::Reply;
use crate::route::{Access, Method, Route};

/// What this is.
#[derive(Serialize, ToSchema)]
struct About {
    /// The product.
    name: &'static str,
    /// Its version.
    version: &'static str,
    /// Where to go on.
    links: BTreeMap<&'static str, &'static str>,
}

const LINKS: [(&str, &str); 6] = [
    ("docs", "/docs"),
    ("health", "/health"),
    ("modules", "/modules/status"),
    ("openapi", "/openapi.json"),
    ("ready", "/health/ready"),
    ("version", "/version"),
];

pub(super) fn rows(desk: &Arc<Desk>) -> Vec<Route> {
    let row = |path, summary| {
        let desk = desk.clone();
        Route::new(Method::Get, path, Access::Public, summary, move |_| std::future::ready(Ok(about(&desk))))
            .answers::<About>(200, "Name, version and links.")
            .always()
    };
    vec![row("/", "Say what this is"), row("/version", "Say which version this is")]
}

fn about(desk: &Desk) -> Reply {
    Reply::ok(&About { name: desk.name, version: desk.version, links: BTreeMap::from(LINKS) })
}
