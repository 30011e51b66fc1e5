//! What an operator sees of the real program: metrics, the log, traces.

mod collector;
mod log;
mod metrics;
mod profiles;
mod scrape;
mod traces;
