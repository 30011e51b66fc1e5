//! The module seen from the street: every call over HTTP, on in-memory ports.

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
