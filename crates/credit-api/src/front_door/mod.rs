//! The front door: every request passes the same checks in the order of the contract, and every answer leaves the
//! same way.
//!
//! `401`, then `403` by role or scope, then the form (`415`, `413`, `400`); what depends on the route (`422`, the key,
//! `404`, replay, business) is the handler's.

mod access;
mod answer;
mod credentials;
pub(crate) mod json;
mod limits;
mod pass;
mod query;
mod trace;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::{self, ServiceConfig};
use async_trait::async_trait;
use credit_core::ports::StoreError;
use credit_core::ports::keys::KeyedHash;
use credit_core::{IdSource, Principal};

pub use crate::metrics::ActiveUsers;
use crate::metrics::Meter;
use crate::ports::Traces;
use crate::route::Route;
pub use answer::{body as problem_body, empty_answer, not_found, refuse_body};
pub use limits::{LimitSettings, Limits, Quotas};

/// Why a credential was not accepted.
#[derive(Debug, Clone)]
pub enum AuthFailure {
    /// It is not good, or not any more.
    Invalid,
    /// Whether it is good cannot be known now.
    Unavailable(StoreError),
}

/// Knows whose credential it is. One for tokens (users), one for API keys (here).
#[async_trait]
pub trait Authenticator: Send + Sync {
    /// The caller behind a credential.
    async fn authenticate(&self, credential: &str) -> Result<Principal, AuthFailure>;
}

/// Tells whether the module behind a route can answer.
pub trait Gate: Send + Sync {
    /// False while the module is not initialised.
    fn is_open(&self) -> bool;
}

/// What the front door needs.
pub struct FrontDoor {
    /// Access tokens.
    pub tokens: Arc<dyn Authenticator>,
    /// API keys.
    pub api_keys: Arc<dyn Authenticator>,
    /// New request ids.
    pub ids: Arc<dyn IdSource>,
    /// Seals cursors.
    pub cursor_key: Arc<dyn KeyedHash>,
    /// Proxies whose `X-Forwarded-For` counts.
    pub trusted_proxies: TrustedProxies,
    /// How long a caller may take to send a body, from its first byte to its last.
    pub body_timeout: Duration,
    /// How often somebody may call; `None`: as often as it likes.
    pub limits: Option<Limits>,
    /// Follows requests through services; `None`: nobody wants to know.
    pub traces: Option<Arc<dyn Traces>>,
    /// Who has called lately.
    pub active: ActiveUsers,
}

/// Networks whose forwarded headers count.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Vec<(IpAddr, u8)>);

/// Where requests of one row are received.
struct Post {
    door: Arc<FrontDoor>,
    gate: Arc<dyn Gate>,
    route: Arc<Route>,
    meter: Meter,
}

/// Registers the routes of a module behind its gate. Other methods on the same paths answer `405`.
pub fn register(
    config: &mut ServiceConfig,
    door: &Arc<FrontDoor>,
    gate: &Arc<dyn Gate>,
    routes: &[Arc<Route>],
) {
    let mut paths: Vec<&'static str> = Vec::new();
    for route in routes {
        if !paths.contains(&route.path) {
            paths.push(route.path);
        }
    }
    for path in paths {
        let here: Vec<Arc<Route>> = routes.iter().filter(|route| route.path == path).cloned().collect();
        let allow = answer::allow_header(&here);
        let mut resource = web::resource(path);
        for route in here {
            let method = pass::actix_route(route.method);
            let meter = Meter::new(&route);
            meter.begin(&route);
            let post = Arc::new(Post { door: door.clone(), gate: gate.clone(), meter, route });
            resource =
                resource.route(method.to(move |request, payload| pass::pass(post.clone(), request, payload)));
        }
        let door = door.clone();
        config.service(resource.default_service(web::to(move |request| {
            let refusal = answer::method_not_allowed(&door, &allow, &request);
            async { refusal }
        })));
    }
}
