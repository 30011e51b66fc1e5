//! Courtesy between the lanes of several processes on one book.
//!
//! Whoever has just filled a slot is the first to know that the next one is free, and would win that too while the others
//! still read. So as long as others take slots as well, a lane that has landed a group waits for as long as that took before
//! it sends the next. What comes meanwhile joins it: groups are fewer and larger, and no process starves.

use std::time::Duration;

use tokio::time::Instant;

/// For so long after a slot was lost others are taken to be there.
const REMEMBERED: Duration = Duration::from_secs(1);
/// The longest wait: a slow append need not be answered by a slow pause.
const LONGEST: Duration = Duration::from_millis(50);

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
    pub(crate) fn landed(&mut self, sent: Instant, now: Instant) {
        let others = self.lost_at.is_some_and(|at| now.duration_since(at) < REMEMBERED);
        self.until = others.then(|| now + now.duration_since(sent).min(LONGEST));
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
    fn only_who_has_lost_a_slot_of_late_waits_after_landing_and_never_after_losing() {
        let (sent, took) = (Instant::now(), Duration::from_millis(8));
        let landed = sent + took;
        let mut courtesy = Courtesy::default();
        courtesy.landed(sent, landed);
        assert_eq!(courtesy.pause(landed), None, "nobody else is there");
        courtesy.lost(sent);
        assert_eq!(courtesy.pause(sent), None, "whoever lost is next");
        courtesy.landed(sent, landed);
        assert_eq!(courtesy.pause(landed), Some(landed + took));
        assert_eq!(courtesy.pause(landed + took), None, "it is over");
        courtesy.landed(sent, sent + Duration::from_millis(900));
        assert_eq!(
            courtesy.pause(sent + Duration::from_millis(900)),
            Some(sent + Duration::from_millis(950))
        );
        courtesy.landed(sent + REMEMBERED, sent + REMEMBERED + took);
        assert_eq!(courtesy.pause(sent + REMEMBERED + took), None, "the others have gone");
    }
}
