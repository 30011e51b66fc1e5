//! The embedded store from outside.

#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

mod backup;
mod contract;
mod faults;
mod life;

use credit_core::Timestamp;
use credit_core::testkit::TestClock;
use credit_infra::embedded::EmbeddedOptions;

const NOW: Timestamp = TestClock::START;

fn options() -> EmbeddedOptions {
    EmbeddedOptions::new(NOW, 42)
}
