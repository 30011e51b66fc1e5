//! What can be asked of this module. Each use case has a file.

mod counter;

pub use counter::{Counter, CounterParts, Sight};
