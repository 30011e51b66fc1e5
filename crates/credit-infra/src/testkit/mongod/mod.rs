//! Real MongoDB servers: alone, or replica sets of any size.

mod admin;
mod node;
mod options;
mod set;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

pub use options::{Login, Options};
pub use set::Mongo;

/// The replica set of one node that all tests of this process share. Take a [`fresh_database`] of it, and leave it as it
/// is: no faults, no kills, no settings.
pub fn shared() -> &'static Mongo {
    static SHARED: OnceLock<Mongo> = OnceLock::new();
    SHARED.get_or_init(|| Mongo::start(Options { in_memory: true, ..Options::one() }))
}

/// A name of a database that no other test has.
pub fn fresh_database() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("credit_test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}
