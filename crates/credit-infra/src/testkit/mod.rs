//! For tests: real servers on loopback, and a proxy that makes their network bad.
//!
//! A server gets a free port and a folder of its own. It ends when its value is dropped, and also if the process of the
//! test is killed: a small shell waits for the end of a pipe that only the test holds open.
//!
//! Whatever cannot be had or done here panics with a sentence: a test that needs a part fails without it.

mod process;

pub mod mongod;
pub mod proxy;
pub mod raw_transfers;
pub mod redis_server;
pub mod tls;
pub mod vault;
