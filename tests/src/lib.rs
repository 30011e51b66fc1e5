#![doc = include_str!("../README.md")]

pub mod architecture;
pub mod balancer;
pub mod client;
pub mod contract;
pub mod load;
pub mod people;
pub mod pki;
pub mod server;
pub mod story;
pub mod wire;
