//! The list of those who are counted as admins: what keeps the last one.
//!
//! Admins may belong to different applications and no batch spans two, so the list is a document of its own. Its promise
//! is one-sided: **whoever is listed is an active admin**. The list may miss one; it never names one too many.
//!
//! So an admin is struck off *before* it is demoted, suspended or deleted, and listed only *after* its own document says
//! that it is one. Who is struck off and not yet changed is noted as leaving, so that nobody lists it meanwhile.

use credit_core::{AppId, Timestamp, UserId};
use serde::{Deserialize, Serialize};

/// Who is counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Admins {
    listed: Vec<Seat>,
    leaving: Vec<Leave>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Seat {
    app: AppId,
    user: UserId,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Leave {
    seat: Seat,
    /// Which change.
    change: u128,
    since: Timestamp,
}

/// A change that takes this long was broken off: its process is gone.
const ABANDONED_SECONDS: i64 = 600;

impl Admins {
    /// Whether nobody is counted.
    pub(crate) fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    /// Strikes an admin off for a change; `None` if nobody would be left.
    pub(crate) fn leave(&self, app: AppId, user: UserId, change: u128, now: Timestamp) -> Option<Self> {
        let seat = Seat { app, user };
        let mut next = self.without_abandoned(now);
        next.listed.retain(|listed| *listed != seat);
        next.leaving.push(Leave { seat, change, since: now });
        (!next.is_empty()).then_some(next)
    }

    /// Closes a change, if there was one, and lists the user or not as its own document says.
    pub(crate) fn settle(
        &self,
        app: AppId,
        user: UserId,
        change: Option<u128>,
        is_active_admin: bool,
        now: Timestamp,
    ) -> Self {
        let seat = Seat { app, user };
        let mut next = self.without_abandoned(now);
        next.leaving.retain(|leave| Some(leave.change) != change);
        let is_leaving = next.leaving.iter().any(|leave| leave.seat == seat);
        let is_listed = next.listed.contains(&seat);
        if is_active_admin && !is_leaving && !is_listed {
            next.listed.push(seat);
        } else if !is_active_admin {
            next.listed.retain(|listed| *listed != seat);
        }
        next
    }

    fn without_abandoned(&self, now: Timestamp) -> Self {
        let mut next = self.clone();
        next.leaving.retain(|leave| now.millis_since(leave.since) < ABANDONED_SECONDS * 1000);
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP: AppId = AppId::from_u128(1);
    const ANN: UserId = UserId::from_u128(1);
    const BOB: UserId = UserId::from_u128(2);
    const NOW: Timestamp = Timestamp::EPOCH;

    fn both() -> Admins {
        Admins::default().settle(APP, ANN, None, true, NOW).settle(APP, BOB, None, true, NOW)
    }

    #[test]
    fn the_last_one_cannot_leave() {
        let bob_alone = both().leave(APP, ANN, 1, NOW).expect("bob stays");
        assert_eq!(bob_alone.leave(APP, BOB, 2, NOW), None);
    }

    #[test]
    fn who_is_leaving_is_not_listed_by_another_until_its_own_change_is_closed() {
        let leaving = both().leave(APP, ANN, 1, NOW).expect("bob stays");
        assert_eq!(leaving.settle(APP, ANN, None, true, NOW), leaving);
        assert_eq!(leaving.settle(APP, ANN, Some(9), true, NOW), leaving);
        let back = leaving.settle(APP, ANN, Some(1), true, NOW);
        assert!(back.leave(APP, BOB, 2, NOW).is_some());
        let gone = leaving.settle(APP, ANN, Some(1), false, NOW);
        assert!(gone.leave(APP, BOB, 2, NOW).is_none());
    }

    #[test]
    fn a_change_that_was_broken_off_does_not_count_for_ever() {
        let leaving = both().leave(APP, ANN, 1, NOW).expect("bob stays");
        let later = NOW.plus_seconds(ABANDONED_SECONDS);
        assert!(leaving.settle(APP, ANN, None, true, later).leave(APP, BOB, 2, later).is_some());
    }
}
