#![doc = include_str!("../README.md")]

pub mod form;
pub mod front_door;
mod metrics;
pub mod page;
pub mod reply;
pub mod request;
pub mod route;
mod web_module;

pub use web_module::WebModule;
