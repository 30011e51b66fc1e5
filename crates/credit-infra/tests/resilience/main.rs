//! The guard around the store ports: what is turned away, what is unknown, and what heals.

mod contract;
mod store;
mod turned_away;
