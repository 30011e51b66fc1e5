//! How the web asks.

pub mod response;
