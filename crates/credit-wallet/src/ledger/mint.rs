//! Ids of a book: UUIDv7 that grow with their place in the journal, also when the clock stands or goes back.

use credit_core::{Timestamp, uuid_v7};

/// The milliseconds and the counter of the last id, as one growing number; kept in every group.
pub(crate) type MintMark = u64;

const COUNTER_BITS: u32 = 12;

/// Mints ids.
#[derive(Clone)]
pub(crate) struct Mint {
    mark: MintMark,
    entropy: u64,
}

impl Mint {
    /// Goes on after `mark`, not before `now`. `seed` is random.
    pub(crate) fn new(mark: MintMark, now: Timestamp, seed: u64) -> Self {
        Self { mark: mark.max(now.sortable() << COUNTER_BITS), entropy: seed }
    }

    /// The next id. When a millisecond has given all its 4,096 ids, the next one begins early (RFC 9562 §6.2).
    pub(crate) fn next(&mut self) -> u128 {
        self.mark += 1;
        let counter = u16::try_from(self.mark & 0xFFF).unwrap_or(0);
        uuid_v7(self.mark >> COUNTER_BITS, counter, self.scramble())
    }

    /// Where it stands.
    pub(crate) fn mark(&self) -> MintMark {
        self.mark
    }

    /// `SplitMix64` (Steele, Lea, Flood 2014): spreads the random seed over the ids of a group.
    fn scramble(&mut self) -> u64 {
        self.entropy = self.entropy.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.entropy;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_grow_even_when_the_clock_goes_back() {
        let mut mint = Mint::new(0, Timestamp::from_millis(1_000), 1);
        let mut last = 0;
        for _ in 0..10_000 {
            let id = mint.next();
            assert!(id > last);
            last = id;
        }
        let mut later = Mint::new(mint.mark(), Timestamp::from_millis(5), 2);
        assert!(later.next() > last);
    }
}
