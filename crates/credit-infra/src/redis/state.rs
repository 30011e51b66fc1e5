//! Whether Redis may be asked.

use std::time::Instant;

use parking_lot::RwLock;

use super::pool::Wire;

/// The name of the dependency in health and metrics.
pub(super) const NAME: &str = "cache";

/// Changes rarely, is read at every request.
pub(super) struct State(RwLock<Standing>);

enum Standing {
    /// It answered lately. Generations tell a failure of this connection from one of an earlier.
    Closed {
        wire: Wire,
        clock: RedisClock,
        generation: u64,
    },
    Open {
        reason: String,
        generation: u64,
    },
}

/// What Redis said of its time.
#[derive(Debug, Clone, Copy)]
pub(super) struct RedisClock {
    /// Its Unix time in microseconds.
    pub(super) micros: u64,
    /// When that had arrived here: at this instant its time was the same or later.
    pub(super) at: Instant,
}

impl RedisClock {
    /// Its Unix time in milliseconds at an instant, or a little earlier.
    pub(super) fn millis_at(&self, instant: Instant) -> u64 {
        let micros = match instant.checked_duration_since(self.at) {
            Some(after) => self.micros.saturating_add(micros(after)),
            None => self.micros.saturating_sub(micros(self.at.duration_since(instant))),
        };
        micros / 1000
    }
}

fn micros(length: std::time::Duration) -> u64 {
    u64::try_from(length.as_micros()).unwrap_or(u64::MAX)
}

impl State {
    pub(super) fn new() -> Self {
        show(2.0);
        Self(RwLock::new(Standing::Open { reason: "it was not reached yet".to_owned(), generation: 0 }))
    }

    /// The connection to use, with its generation.
    pub(super) fn wire(&self) -> Option<(Wire, u64)> {
        match &*self.0.read() {
            Standing::Closed { wire, generation, .. } => Some((wire.clone(), *generation)),
            Standing::Open { .. } => None,
        }
    }

    pub(super) fn clock(&self) -> Option<RedisClock> {
        match &*self.0.read() {
            Standing::Closed { clock, .. } => Some(*clock),
            Standing::Open { .. } => None,
        }
    }

    /// Why it is not asked.
    pub(super) fn failure(&self) -> Option<String> {
        match &*self.0.read() {
            Standing::Closed { .. } => None,
            Standing::Open { reason, .. } => Some(reason.clone()),
        }
    }

    pub(super) fn close(&self, wire: Wire, clock: RedisClock) {
        let mut standing = self.0.write();
        let (was_open, generation) = match &*standing {
            Standing::Closed { generation, .. } => (false, *generation),
            Standing::Open { generation, .. } => (true, generation + 1),
        };
        *standing = Standing::Closed { wire, clock, generation };
        if was_open {
            turned("closed", 0.0);
            tracing::info!("Redis answers: limits and caches are shared");
        }
    }

    /// Nobody asks from now on. Answers whether somebody did until now. A failure of an earlier connection is none.
    pub(super) fn open(&self, reason: String, of: Option<u64>) -> bool {
        let mut standing = self.0.write();
        match &mut *standing {
            Standing::Open { reason: kept, .. } => {
                *kept = reason;
                false
            }
            Standing::Closed { generation, .. } if of.is_some_and(|of| of != *generation) => false,
            Standing::Closed { generation, .. } => {
                tracing::warn!(reason, "Redis is left alone: limits and caches are this process's own");
                *standing = Standing::Open { reason, generation: *generation };
                turned("open", 2.0);
                true
            }
        }
    }
}

/// For the breaker 0 is closed and 2 is open.
fn show(number: f64) {
    metrics::gauge!("credit_breaker_state", "dependency" => NAME).set(number);
    metrics::gauge!("credit_rate_limit_alone").set(f64::from(u8::from(number > 0.0)));
}

fn turned(to: &'static str, number: f64) {
    show(number);
    metrics::counter!("credit_breaker_transitions_total", "dependency" => NAME, "to" => to).increment(1);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_time_of_redis_is_told_for_instants_before_and_after_it_was_asked() {
        let at = Instant::now() + Duration::from_secs(10);
        let clock = RedisClock { micros: 5_000_000, at };
        assert_eq!(clock.millis_at(at), 5000);
        assert_eq!(clock.millis_at(at + Duration::from_micros(1500)), 5001);
        assert_eq!(clock.millis_at(at.checked_sub(Duration::from_secs(2)).unwrap()), 3000);
    }

    #[test]
    fn a_breaker_that_was_never_closed_is_open_and_says_why() {
        let state = State::new();
        assert!(state.wire().is_none());
        assert!(state.clock().is_none());
        assert!(!state.open("the connection is refused".to_owned(), None));
        assert_eq!(state.failure().as_deref(), Some("the connection is refused"));
    }
}
