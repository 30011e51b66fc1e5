#![doc = include_str!("../README.md")]

mod domain;
pub mod form;
pub mod front_door;
mod metrics;
pub mod page;
pub mod ports;
pub mod reply;
pub mod request;
pub mod route;
mod service;
mod store;
pub mod testkit;
mod web_module;

pub use domain::App;
pub use service::Apps;
pub use web_module::WebModule;
