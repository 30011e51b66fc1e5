//! What the program can do beside serving, a command a file.

pub(crate) mod backup;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod healthcheck;
pub(crate) mod store;
