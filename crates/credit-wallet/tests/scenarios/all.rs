//! Every scenario, for any store: `crate::stores()` gives an empty one. Told on the real stores too, by the package
//! `credit-tests`.

mod access;
mod assets;
mod audit;
mod balance;
mod entries;
mod expiry;
mod grants;
mod holds;
mod keys;
mod lists;
mod races;
mod replicas;
mod settle_holds;
mod store_down;
mod wallets;
mod world;
