//! The module seen from the street, on the in-memory ports.

mod contract;
mod grants;
mod history;
mod promises;
mod purchases;
mod races;
mod refunds;
mod spends;
mod transfers;
mod world;
