//! Background jobs, on the documents in memory and on MongoDB, queued in the process and in Redis: one at a time, caught up, resumed, stopped.

mod leases;
mod mongodb;
mod redis;
mod runs;
mod world;
