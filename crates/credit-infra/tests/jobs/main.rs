//! Background jobs, on the documents in memory and on MongoDB: one at a time, caught up, resumed, stopped.

mod leases;
mod mongodb;
mod runs;
mod world;
