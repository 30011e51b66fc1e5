//! The contract, from outside, for any store: `crate::start` starts the program on the one it is told for.

mod conventions;
mod holds;
mod house;
mod keys;
mod operators;
mod transactions;
mod users;
mod wallets;
