//! Background jobs on the documents in memory: one at a time, caught up, resumed, stopped.

mod leases;
mod runs;
mod world;
