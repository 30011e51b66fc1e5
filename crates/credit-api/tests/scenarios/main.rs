//! The module and the front door seen from the street, on the in-memory ports.

mod api_keys;
mod apps;
mod contract;
mod door;
mod down;
mod house;
mod jobs;
mod ledger;
mod limits;
mod metrics;
mod pages;
mod probe;
mod world;
