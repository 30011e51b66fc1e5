#![doc = include_str!("../README.md")]

pub mod domain;
mod routes;
mod service;
mod transactions_module;

pub use transactions_module::{TransactionsModule, TransactionsParts};
