//! The ledger on the ports in memory: races, faults, crashes, several processes on one book, and what readers see.

mod audit;
mod crash;
mod faults;
mod keys;
mod meanwhile;
mod pipeline;
mod races;
mod reads;
mod reconcile;
mod rounds;
mod shared;
mod stuck;
mod support;
mod switchboard;
mod turns;
mod usual;
