//! Courtesy between the lanes of several processes on one book.
//!
//! A slot is filled once, so that of two lanes that want the next one at once, one has worked in vain. So lanes that fill
//! slots at the same time go round: in the order of their ids, each as soon as it sees the group of the one before it. The
//! others wait, look at the journal now and then, and decide nothing before it is their turn: what comes meanwhile joins
//! their group. Whose turn it is follows from the journal alone. One that does not come is passed over after a while, and
//! soon forgotten.
//!
//! This is about waste and fairness only. The slot rule tells who is right, and nothing is wrong with being early.

use std::time::Duration;

use foldhash::HashMap;
use parking_lot::Mutex;
use tokio::time::Instant;

/// For so long a lane is taken to go round.
const REMEMBERED: Duration = Duration::from_secs(1);
/// And for so many slots, for each lane that does: a process that posts now and then does not hold up a busy one.
const SLOTS: u64 = 4;
/// The longest wait for the others: slow appends need not be answered by slow pauses.
const LONGEST: Duration = Duration::from_millis(100);
/// How long an append takes as long as none has been seen, and the least that is reckoned with.
const QUICK: Duration = Duration::from_millis(1);
/// After so many groups without one of another lane, one is let in that may have tried in vain: whoever has just filled a
/// slot is the first to know that the next one is free.
const IN_A_ROW: u32 = 32;

/// The lanes on a book: half of a group's id is its lane's own, the other half tells its groups apart.
pub(crate) struct Lanes {
    own: u64,
    round: Mutex<Round>,
}

/// Who has filled slots of late.
#[derive(Default)]
struct Round {
    /// Each lane's last slot, and when it was seen here.
    seen: HashMap<u64, (u64, Instant)>,
    /// The last slot, whose it is, and when it was seen here.
    last: Option<(u64, u64, Instant)>,
    /// How many slots this lane has filled since another did.
    in_a_row: u32,
    /// How long an append takes: of this lane, the last ones most.
    took: Duration,
}

/// How long to leave the next slot to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turn {
    /// Until then it is theirs.
    pub(crate) from: Instant,
    /// Their groups may be there by then: one look brings them all.
    pub(crate) look: Instant,
}

impl Lanes {
    pub(crate) fn new(minted: u128) -> Self {
        Self { own: half(minted), round: Mutex::default() }
    }

    /// The id of a group of this process.
    pub(crate) fn group_id(&self, minted: u128) -> u128 {
        (u128::from(self.own) << 64) | u128::from(half(minted))
    }

    /// A group was applied that was found in the journal.
    pub(crate) fn note(&self, slot: u64, group: u128, now: Instant) {
        let lane = half(group >> 64);
        if lane != self.own {
            let mut round = self.round.lock();
            round.in_a_row = 0;
            round.note(slot, lane, now);
        }
    }

    /// A group of this lane has landed that was sent then.
    pub(crate) fn landed(&self, slot: u64, sent: Instant, now: Instant) {
        let mut round = self.round.lock();
        let took = now.duration_since(sent).clamp(QUICK, LONGEST);
        round.took = if round.took.is_zero() { took } else { (round.took * 7 + took) / 8 };
        round.in_a_row = round.in_a_row.saturating_add(1);
        round.note(slot, self.own, now);
    }

    /// Whether other lanes fill slots at present: what is decided on top of a group of this one is decided in vain.
    pub(crate) fn are_several(&self, now: Instant) -> bool {
        self.round.lock().others(self.own, now).next().is_some()
    }

    /// When the next slot is this lane's, if that is still to come.
    pub(crate) fn turn(&self, now: Instant) -> Option<Turn> {
        let round = self.round.lock();
        let (_, holder, at) = round.last?;
        let took = round.took.max(QUICK);
        let before = round.before(self.own, holder, now);
        let pause = match before {
            0 if holder == self.own && round.in_a_row.is_multiple_of(IN_A_ROW) => took,
            before => (took * 2).saturating_mul(before).min(LONGEST),
        };
        let from = at + pause;
        let look = (at + took.saturating_mul(before)).max(now + took / 4).min(from);
        (from > now).then_some(Turn { from, look })
    }
}

impl Round {
    fn note(&mut self, slot: u64, lane: u64, now: Instant) {
        self.seen.insert(lane, (slot, now));
        if self.last.is_none_or(|(newest, ..)| newest < slot) {
            self.last = Some((slot, lane, now));
        }
        if self.seen.len() > 64 {
            self.seen.retain(|_, (_, at)| now.duration_since(*at) < REMEMBERED);
        }
    }

    /// The other lanes that go round.
    fn others(&self, own: u64, now: Instant) -> impl Iterator<Item = u64> {
        let newest = self.last.map_or(0, |(slot, ..)| slot);
        let seen = move |(lane, (slot, at)): &(&u64, &(u64, Instant))| {
            **lane != own && now.duration_since(*at) < REMEMBERED && newest - *slot < self.window()
        };
        self.seen.iter().filter(seen).map(|(lane, _)| *lane)
    }

    fn window(&self) -> u64 {
        SLOTS * u64::try_from(self.seen.len()).unwrap_or(u64::MAX).max(2)
    }

    /// How many lanes have their turn between the holder of the last slot and this one.
    fn before(&self, own: u64, holder: u64, now: Instant) -> u32 {
        let from_holder = |lane: u64| lane.wrapping_sub(holder).wrapping_sub(1);
        let before = self.others(own, now).filter(|lane| from_holder(*lane) < from_holder(own));
        u32::try_from(before.count()).unwrap_or(u32::MAX)
    }
}

fn half(minted: u128) -> u64 {
    u64::try_from(minted & u128::from(u64::MAX)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOOK: Duration = Duration::from_millis(8);

    /// Of the lane 6, which took that long.
    fn lanes(now: Instant) -> Lanes {
        let lanes = Lanes::new(6);
        lanes.landed(1, now, now + TOOK);
        lanes
    }

    fn of(lane: u64) -> u128 {
        Lanes::new(u128::from(lane)).group_id(9)
    }

    /// How long it has to wait from then on.
    fn waits(lanes: &Lanes, now: Instant) -> Duration {
        lanes.turn(now).map_or(Duration::ZERO, |turn| turn.from - now)
    }

    #[test]
    fn a_lane_alone_waits_for_nobody_but_lets_one_in_now_and_then() {
        let now = Instant::now();
        let lanes = lanes(now);
        assert!(!lanes.are_several(now) && lanes.turn(now + TOOK).is_none());
        for slot in 2..=64_u64 {
            lanes.landed(slot, now, now + TOOK);
            let expected = if slot.is_multiple_of(u64::from(IN_A_ROW)) { TOOK } else { Duration::ZERO };
            assert_eq!(waits(&lanes, now + TOOK), expected, "{slot}");
        }
    }

    #[test]
    fn each_goes_after_the_one_before_it_and_passes_over_who_does_not_come() {
        let begun = Instant::now();
        let (lanes, now) = (lanes(begun), begun + TOOK);
        lanes.note(2, of(7), now);
        assert!(lanes.are_several(now));
        assert_eq!(waits(&lanes, now), Duration::ZERO, "there is nobody between 7 and 6");
        lanes.note(3, of(3), now);
        assert_eq!(waits(&lanes, now), Duration::ZERO, "3 comes just before 6");
        lanes.landed(4, begun, now);
        assert_eq!(waits(&lanes, now), TOOK * 4, "7 and 3 come next");
        let looks = |at: Instant| lanes.turn(at).map(|turn| turn.look - now);
        assert_eq!(looks(now), Some(TOOK * 2), "both may be there by then");
        assert_eq!(looks(now + TOOK * 2), Some(TOOK * 2 + TOOK / 4), "they are late");
        assert_eq!(lanes.turn(now + TOOK * 4), None, "neither came");
        lanes.note(5, of(7), now + TOOK);
        assert_eq!(waits(&lanes, now + TOOK), TOOK * 2, "3 is between");
        // An old one that is told late changes nothing.
        lanes.note(2, of(7), now + TOOK);
        assert_eq!(waits(&lanes, now + TOOK), TOOK * 2);
    }

    #[test]
    fn whoever_fills_no_slots_is_forgotten_after_some_or_after_a_while_and_no_wait_is_long() {
        let begun = Instant::now();
        let (lanes, now) = (lanes(begun), begun + TOOK);
        lanes.note(2, of(7), now);
        lanes.landed(3, begun, now);
        assert_eq!(waits(&lanes, now), TOOK * 2);
        assert!(!lanes.are_several(now + REMEMBERED));
        lanes.landed(9, begun, now);
        assert_eq!(waits(&lanes, now), TOOK * 2);
        lanes.landed(10, begun, now);
        assert_eq!(waits(&lanes, now), Duration::ZERO);
        for lane in 10..20 {
            lanes.note(lane + 1, of(lane), now);
        }
        lanes.landed(21, begun, now);
        assert_eq!(waits(&lanes, now), LONGEST);
    }
}
