//! Filters over claims: whether something was claimed long ago is answered in memory, for all but a few in a million,
//! without touching the views.
//!
//! Claims are hashes and come in no order, so one index over all of them would touch another page for each, more of them
//! the longer the history. They are therefore kept in *generations* of equal size: only the newest one grows, and over
//! each complete one there is a Bloom filter (Bloom 1970) of 32 bits a claim with 8 probes, kept beside the views. A group
//! asks all of them for each of its hundred keys, so that with 16 bits nearly every group waited for a look-up in vain after
//! a few million claims; filters that were kept with 16 are read by their length.
//!
//! Over the newest generation there is a filter too, in memory only, which grows with it and is built again from the views
//! when the book is opened; before it is complete it has become the filter that is kept, so that nobody reads a generation
//! again only because it is complete. A filter that is missing costs a look-up.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use credit_core::ports::StoreError;

const BITS_PER_CLAIM: u64 = 32;
const PROBES: u64 = 8;

/// Which claims a generation may hold: never wrong about one that it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filter(Vec<u8>);

impl Filter {
    /// Over nothing yet, with room for so many claims.
    fn with_room(claims: usize) -> Self {
        let bits = u64::try_from(claims).unwrap_or(u64::MAX).max(1).saturating_mul(BITS_PER_CLAIM);
        Self(vec![0; usize::try_from(bits / 8).unwrap_or(usize::MAX)])
    }

    /// Over all claims of a generation.
    pub(crate) fn over(claims: &[u128]) -> Self {
        let mut filter = Self::with_room(claims.len());
        for claim in claims {
            filter.add(*claim);
        }
        filter
    }

    fn add(&mut self, claim: u128) {
        for (place, bit) in self.probes(claim) {
            self.0[place] |= bit;
        }
    }

    /// False if the generation does not hold it for certain.
    pub(crate) fn may_hold(&self, claim: u128) -> bool {
        self.probes(claim).all(|(place, bit)| self.0[place] & bit != 0)
    }

    /// A claim is a hash already: its halves give the probes by double hashing (Kirsch, Mitzenmacher 2006).
    fn probes(&self, claim: u128) -> impl Iterator<Item = (usize, u8)> + use<> {
        let half = |part: u128| u64::try_from(part & u128::from(u64::MAX)).unwrap_or(0);
        let (first, step) = (half(claim), half(claim >> 64) | 1);
        let bits = u64::try_from(self.0.len()).unwrap_or(1) * 8;
        // A division costs more than the look, and sizes are powers of two unless somebody has set another one.
        let mask = bits.is_power_of_two().then_some(bits - 1);
        (0..PROBES).map(move |probe| {
            let hash = first.wrapping_add(probe.wrapping_mul(step));
            let bit = mask.map_or_else(|| hash % bits, |mask| hash & mask);
            (usize::try_from(bit / 8).unwrap_or(0), 1 << (bit % 8))
        })
    }

    /// As kept.
    pub(crate) fn to_text(&self) -> String {
        STANDARD.encode(&self.0)
    }

    /// From what is kept.
    pub(crate) fn from_text(text: &str) -> Result<Self, StoreError> {
        let bytes = STANDARD.decode(text).unwrap_or_default();
        if bytes.is_empty() {
            return Err(StoreError::Corrupt("a filter of the views cannot be read".to_owned()));
        }
        Ok(Self(bytes))
    }
}

/// A filter with room for the whole generation is made when it has this part of its claims.
const FEW: usize = 8;
/// How many claims the first part of a small filter has room for.
const FIRST_PART: usize = 2048;

/// A filter over a generation that still grows. As long as its claims are few it is small, so that a book with few claims
/// takes little memory; from then on it is the one that the complete generation will have.
#[derive(Debug)]
pub(crate) enum GrowingFilter {
    /// The claims themselves, and parts over them, each twice as large as the one before.
    Few {
        /// How many claims the generation will have.
        capacity: usize,
        claims: Vec<u128>,
        parts: Vec<Filter>,
        /// How many more claims the last part has room for.
        room: usize,
    },
    Many(Filter),
    /// Not all of its claims are known: each has to be looked up.
    Unknown,
}

impl GrowingFilter {
    /// Over nothing yet, of a generation of so many claims.
    pub(crate) fn of(capacity: usize) -> Self {
        Self::Few { capacity, claims: Vec::new(), parts: Vec::new(), room: 0 }
    }

    /// Adds a claim, which may be there already.
    pub(crate) fn add(&mut self, claim: u128) {
        match self {
            Self::Unknown => {}
            Self::Many(filter) => filter.add(claim),
            Self::Few { capacity, claims, parts, room } => {
                claims.push(claim);
                if claims.len() >= *capacity / FEW {
                    let mut filter = Filter::with_room(*capacity);
                    for claim in claims.iter() {
                        filter.add(*claim);
                    }
                    *self = Self::Many(filter);
                    return;
                }
                if *room == 0 {
                    *room = FIRST_PART << parts.len();
                    parts.push(Filter::with_room(*room));
                }
                if let Some(last) = parts.last_mut() {
                    last.add(claim);
                    *room -= 1;
                }
            }
        }
    }

    /// False if it was never added for certain.
    pub(crate) fn may_hold(&self, claim: u128) -> bool {
        match self {
            Self::Unknown => true,
            Self::Many(filter) => filter.may_hold(claim),
            Self::Few { parts, .. } => parts.iter().rev().any(|part| part.may_hold(claim)),
        }
    }

    /// The filter over the whole generation, if all its claims were added.
    pub(crate) fn whole(&self) -> Option<&Filter> {
        match self {
            Self::Many(filter) => Some(filter),
            Self::Few { .. } | Self::Unknown => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::claim;

    #[test]
    fn a_filter_knows_every_claim_of_its_own_and_hardly_any_other() {
        let own: Vec<u128> = (0..10_000).map(|number| claim("own", &[&number.to_string()])).collect();
        let filter = Filter::from_text(&Filter::over(&own).to_text()).expect("its own text");
        assert!(own.iter().all(|claim| filter.may_hold(*claim)));
        let strangers = (0..10_000).map(|number| claim("strange", &[&number.to_string()]));
        let wrong = strangers.filter(|claim| filter.may_hold(*claim)).count();
        assert!(wrong < 3, "{wrong} of 10,000 strangers look known");
    }

    #[test]
    fn a_filter_that_was_kept_with_half_as_many_bits_is_read_by_its_length() {
        let own: Vec<u128> = (0..10_000).map(|number| claim("own", &[&number.to_string()])).collect();
        let mut filter = Filter::with_room(own.len() / 2);
        for claim in &own {
            filter.add(*claim);
        }
        let kept = Filter::from_text(&filter.to_text()).expect("its own text");
        assert!(own.iter().all(|claim| kept.may_hold(*claim)));
        let wrong = (0..10_000).map(claim_of_a_stranger).filter(|claim| kept.may_hold(*claim)).count();
        assert!(wrong < 40, "{wrong} of 10,000 strangers look known");
    }

    #[test]
    fn a_growing_filter_knows_every_claim_and_hardly_any_other_and_becomes_the_one_that_is_kept() {
        const CAPACITY: usize = 120_000;
        assert!(GrowingFilter::Unknown.may_hold(7) && GrowingFilter::Unknown.whole().is_none());
        let own: Vec<u128> = (0..CAPACITY).map(|number| claim("own", &[&number.to_string()])).collect();
        let mut filter = GrowingFilter::of(CAPACITY);
        assert!(!filter.may_hold(own[0]));
        for (number, claim) in own.iter().enumerate() {
            filter.add(*claim);
            if number % 5 == 0 {
                filter.add(*claim); // read when the book was opened, and then come from the journal
            }
            if [10, 9_999, 20_000, CAPACITY - 1].contains(&number) {
                assert!(own[..=number].iter().all(|claim| filter.may_hold(*claim)), "{number}");
                let strangers = (0..10_000).map(claim_of_a_stranger);
                let wrong = strangers.filter(|claim| filter.may_hold(*claim)).count();
                assert!(wrong < 5, "{wrong} of 10,000 strangers look known to {number}");
            }
            assert!(filter.whole().is_none() || number * 7 > CAPACITY / 8, "{number}: large over few claims");
        }
        assert_eq!(filter.whole(), Some(&Filter::over(&own)));
    }

    fn claim_of_a_stranger(number: u32) -> u128 {
        claim("strange", &[&number.to_string()])
    }
}
