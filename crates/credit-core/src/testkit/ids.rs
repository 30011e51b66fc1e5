//! Ids that count.

use std::sync::atomic::{AtomicU64, Ordering};

use super::TestClock;
use crate::{IdSource, uuid_v7};

/// Mints the same valid, strictly increasing `UUIDv7`s in every run.
#[derive(Debug, Default)]
pub struct CountingIds {
    next: AtomicU64,
}

impl CountingIds {
    /// From the first.
    pub fn new() -> Self {
        Self::default()
    }

    /// From the `number`th, so that several sources of one test do not meet.
    pub fn starting_at(number: u64) -> Self {
        Self { next: AtomicU64::new(number) }
    }
}

impl IdSource for CountingIds {
    fn mint(&self) -> u128 {
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        let counter = u16::try_from(number & 0xFFF).expect("twelve bits");
        uuid_v7(TestClock::START.sortable() + (number >> 12), counter, number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counted_ids_are_valid_and_increase_strictly() {
        let ids = CountingIds::starting_at(4090);
        let minted: Vec<u128> = (0..20).map(|_| ids.mint()).collect();
        assert!(minted.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(minted.iter().all(|id| (id >> 76) & 0xF == 7 && (id >> 62) & 0b11 == 0b10));
        let again = CountingIds::starting_at(4090);
        assert!(minted.iter().all(|id| *id == again.mint()));
    }
}
