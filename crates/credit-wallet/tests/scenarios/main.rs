//! The module seen from the street, on the in-memory ports.

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
