//! The real servers that other tests stand on: they start, die, hang and come back as the test says.

mod mongod;
mod redis;
