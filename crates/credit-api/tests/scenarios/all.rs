//! Every scenario, for any store: `crate::stores()` gives an empty one. Told on the real stores too, by the package
//! `credit-tests`.

mod api_keys;
mod apps;
mod contract;
mod door;
mod down;
mod house;
mod jobs;
mod ledger;
mod limits;
mod log_level;
mod metrics;
mod pages;
mod probe;
mod profiles;
mod rehashed;
mod world;
