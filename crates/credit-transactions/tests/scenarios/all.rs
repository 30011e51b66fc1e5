//! Every scenario, for any store: `crate::stores()` gives an empty one. Told on the real stores too, by the package
//! `credit-tests`.

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
