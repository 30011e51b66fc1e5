#![doc = include_str!("../README.md")]

pub mod domain;
mod jobs;
pub mod ledger;
mod module;
pub mod ports;
pub mod routes;
pub mod service;
mod store;
pub mod testkit;

pub use module::WalletModule;
pub use store::COLLECTIONS;
