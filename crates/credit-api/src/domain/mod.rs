//! The things that `connection_api` keeps, and their rules.

mod app;

pub use app::App;
