//! The moves that every kind of transaction is composed of.

mod credit;
mod draw;
mod holds;
mod void;

pub use super::desk::Posting;
pub use credit::{Deposit, credit, put_back};
pub use draw::{Draw, draw_exactly, spend, take_from_lot};
pub use holds::{Reserve, capture, extend, release, release_parts, reserve};
pub use void::void_lot;
