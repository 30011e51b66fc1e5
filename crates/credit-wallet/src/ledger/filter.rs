//! Filters over claims: whether something was claimed long ago is answered in memory, for all but one in a thousand,
//! without touching the views.
//!
//! Claims are hashes and come in no order, so one index over all of them would touch another page for each, more of them
//! the longer the history. They are therefore kept in *generations* of equal size: only the newest one grows, and over
//! each complete one there is a Bloom filter (Bloom 1970) of 16 bits a claim with 8 probes, kept beside the views. Over
//! the newest one there is a filter too, in memory only, which grows with it and is built again from the views when the
//! book is opened; it keeps its claims, 16 bytes each, so that nobody reads a generation again only because it has become
//! complete. A filter that is missing costs a look-up.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use credit_core::ports::StoreError;

const BITS_PER_CLAIM: u64 = 16;
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

/// How many claims the first part of a growing filter has room for.
const FIRST_PART: usize = 4096;

/// A filter over a generation that still grows: parts, each twice as large as the one before, so that a book with few
/// claims takes little memory.
#[derive(Debug, Default)]
pub(crate) struct GrowingFilter {
    parts: Vec<Filter>,
    /// How many more claims the last part has room for.
    room: usize,
    /// What was added.
    claims: Vec<u128>,
}

impl GrowingFilter {
    /// Adds a claim; one that is there already only takes room.
    pub(crate) fn add(&mut self, claim: u128) {
        if self.room == 0 {
            self.room = FIRST_PART << self.parts.len();
            self.parts.push(Filter::with_room(self.room));
        }
        if let Some(last) = self.parts.last_mut() {
            last.add(claim);
            self.room -= 1;
            self.claims.push(claim);
        }
    }

    /// What was added, as often as it was.
    pub(crate) fn claims(&self) -> &[u128] {
        &self.claims
    }

    /// False if it was never added for certain.
    pub(crate) fn may_hold(&self, claim: u128) -> bool {
        self.parts.iter().rev().any(|part| part.may_hold(claim))
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
        assert!(wrong < 40, "{wrong} of 10,000 strangers look known");
    }
    #[test]
    fn a_growing_filter_knows_every_claim_over_all_its_parts_and_hardly_any_other() {
        let own: Vec<u128> = (0..30_000).map(|number| claim("own", &[&number.to_string()])).collect();
        let mut filter = GrowingFilter::default();
        assert!(!filter.may_hold(own[0]));
        for claim in &own {
            filter.add(*claim);
        }
        assert!(own.iter().all(|claim| filter.may_hold(*claim)));
        let strangers = (0..10_000).map(|number| claim("strange", &[&number.to_string()]));
        let wrong = strangers.filter(|claim| filter.may_hold(*claim)).count();
        assert!(wrong < 100, "{wrong} of 10,000 strangers look known");
    }
}
