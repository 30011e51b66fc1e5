//! Courtesy between the lanes of several processes on one book.
//!
//! Whoever has just filled a slot is the first to know that the next one is free, and would win that too while the others
//! still read. So as long as slots are lost, a lane that has landed a group lets each of the others have its turn: for every
//! one it waits for as long as its own group took before it sends the next. What comes meanwhile joins it: groups are fewer
//! and larger, hardly an append is in vain, and no process starves.

use std::time::Duration;

use foldhash::HashMap;
use parking_lot::Mutex;
use tokio::time::Instant;

/// For so long others are taken to be there.
const REMEMBERED: Duration = Duration::from_secs(1);
/// The longest wait: a slow append need not be answered by a slow pause.
const LONGEST: Duration = Duration::from_millis(100);

/// The lanes on a book: half of a group's id is its lane's own, the other half tells its groups apart.
pub(crate) struct Lanes {
    own: u64,
    /// Others, each with when a group of it was last applied here.
    others: Mutex<HashMap<u64, Instant>>,
}

impl Lanes {
    pub(crate) fn new(minted: u128) -> Self {
        Self { own: half(minted), others: Mutex::default() }
    }

    /// The id of a group of this process.
    pub(crate) fn group_id(&self, minted: u128) -> u128 {
        (u128::from(self.own) << 64) | u128::from(half(minted))
    }

    /// A group was applied that was found in the journal.
    pub(crate) fn note(&self, group: u128, now: Instant) {
        let lane = half(group >> 64);
        if lane != self.own {
            self.others.lock().insert(lane, now);
        }
    }

    /// How many others there were of late.
    fn others(&self, now: Instant) -> u32 {
        let mut seen = self.others.lock();
        seen.retain(|_, at| now.duration_since(*at) < REMEMBERED);
        u32::try_from(seen.len()).unwrap_or(u32::MAX)
    }
}

fn half(minted: u128) -> u64 {
    u64::try_from(minted & u128::from(u64::MAX)).unwrap_or_default()
}

/// When a lane may send its next group.
#[derive(Default)]
pub(crate) struct Courtesy {
    lost_at: Option<Instant>,
    until: Option<Instant>,
}

impl Courtesy {
    /// Another was faster: it is this one's turn.
    pub(crate) fn lost(&mut self, now: Instant) {
        self.lost_at = Some(now);
        self.until = None;
    }

    /// A group has landed that was sent then.
    pub(crate) fn landed(&mut self, lanes: &Lanes, sent: Instant, now: Instant) {
        let is_crowded = self.lost_at.is_some_and(|at| now.duration_since(at) < REMEMBERED);
        let each = now.duration_since(sent);
        self.until = is_crowded.then(|| now + each.saturating_mul(lanes.others(now)).min(LONGEST));
    }

    /// Until when to wait, if that is still to come.
    pub(crate) fn pause(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_lost_slots_of_late_lets_each_of_the_others_go_before_and_never_waits_after_losing() {
        let (sent, took) = (Instant::now(), Duration::from_millis(8));
        let landed = sent + took;
        let (lanes, mut courtesy) = (Lanes::new(6), Courtesy::default());
        courtesy.landed(&lanes, sent, landed);
        assert_eq!(courtesy.pause(landed), None, "nobody else is there");
        for (lane, minted) in [(7, 1), (8, 2), (7, 3), (6, 4)] {
            lanes.note(Lanes::new(lane).group_id(minted), sent);
        }
        courtesy.landed(&lanes, sent, landed);
        assert_eq!(courtesy.pause(landed), None, "they are not in the way");
        courtesy.lost(sent);
        assert_eq!(courtesy.pause(sent), None, "whoever lost is next");
        courtesy.landed(&lanes, sent, landed);
        assert_eq!(courtesy.pause(landed), Some(landed + took * 2));
        assert_eq!(courtesy.pause(landed + took * 2), None, "it is over");
        courtesy.landed(&lanes, sent, sent + took * 100);
        assert_eq!(courtesy.pause(sent + took * 100), Some(sent + took * 100 + LONGEST));
        courtesy.lost(sent + REMEMBERED);
        courtesy.landed(&lanes, sent + REMEMBERED, sent + REMEMBERED + took);
        assert_eq!(courtesy.pause(sent + REMEMBERED + took), None, "the others have gone");
    }
}
