#![doc = include_str!("../README.md")]

pub mod domain;
pub mod ledger;
pub mod ports;
pub mod routes;
pub mod service;
