#![doc = include_str!("../README.md")]

mod connection_api;
mod domain;
pub mod form;
pub mod front_door;
mod manager;
mod metrics;
mod openapi;
pub mod page;
pub mod ports;
pub mod reply;
pub mod request;
pub mod route;
mod routes;
mod service;
mod store;
pub mod testkit;
mod web_module;

pub use connection_api::{ConnectionApi, ConnectionApiParts};
pub use domain::App;
pub use manager::{ArrangeError, House, ModuleManager, ModuleState};
pub use routes::metrics::{RenderMetrics, configure_metrics};
pub use service::{ApiKeys, ApiKeysParts, Apps, IssuedKey, KnownKey, NewKey};
pub use store::COLLECTIONS;
pub use web_module::WebModule;
