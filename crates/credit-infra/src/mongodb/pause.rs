//! Pauses between attempts.

use std::time::Duration;

use tokio::time::Instant;

/// How finely the dice are marked.
const SIDES: u32 = 1 << 10;

/// Full jitter over a doubling span, until a deadline.
pub(super) struct Backoff {
    limit: Instant,
    span: Duration,
}

impl Backoff {
    pub(super) fn until(limit: Instant) -> Self {
        Self { limit, span: Duration::from_millis(5) }
    }

    pub(super) fn is_over(&self) -> bool {
        Instant::now() >= self.limit
    }

    /// Waits. False, at once, if the deadline would pass meanwhile.
    pub(super) async fn pause(&mut self) -> bool {
        let dice = getrandom::u32().unwrap_or(SIDES) % SIDES;
        let pause = self.span * dice / SIDES;
        if Instant::now() + pause >= self.limit {
            return false;
        }
        tokio::time::sleep(pause).await;
        self.span = (self.span * 2).min(Duration::from_millis(500));
        true
    }
}
