//! Every scenario, for any store: `crate::stores()` gives an empty one. Told on the real stores too, by the package
//! `credit-tests`.

mod cached;
mod interleaved;
mod login;
mod look_alikes;
mod operators;
mod own_account;
mod refresh;
mod register;
mod throttle;
mod users;
mod world;
