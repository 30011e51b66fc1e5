//! What an operator sees of the real program: metrics, the log, traces.
#![expect(unused_must_use, reason = "an expected status is often all that a step has to show")]

mod collector;
mod log;
mod metrics;
mod profiles;
mod scrape;
mod traces;
