//! A circuit breaker: turns calls away while a dependency is broken, and finds out by few probes when it is not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::window::Window;

/// When a breaker opens, and for how long.
#[derive(Debug, Clone)]
pub struct BreakerSettings {
    /// How far back calls count.
    pub window: Duration,
    /// With fewer calls in the window it stays closed, whatever became of them.
    pub minimum_calls: u32,
    /// It opens when so many in a hundred calls failed.
    pub failed_percent: u32,
    /// A call that takes as long as this is slow, whatever it answers.
    pub slow_after: Duration,
    /// It opens when so many in a hundred calls were slow.
    pub slow_percent: u32,
    /// So many probes at a time while it is half open; when so many have done well, it closes.
    pub probes: u32,
    /// How long it stays open, the first time. Each probe that fails doubles it, up to `longest_open`.
    pub open_for: Duration,
    /// The most that it stays open, before the jitter of a quarter up or down.
    pub longest_open: Duration,
}

impl Default for BreakerSettings {
    /// Opens on half of at least ten calls in ten seconds, for one to four seconds.
    fn default() -> Self {
        Self {
            window: Duration::from_secs(10),
            minimum_calls: 10,
            failed_percent: 50,
            slow_after: Duration::from_secs(1),
            slow_percent: 80,
            probes: 2,
            open_for: Duration::from_secs(1),
            longest_open: Duration::from_secs(4),
        }
    }
}

/// Where a breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Calls are made.
    Closed,
    /// A few calls are made, to find out.
    HalfOpen,
    /// Calls are turned away.
    Open,
}

impl BreakerState {
    /// For `/health` and for labels of metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
        }
    }

    /// For the gauge: 0 closed, 1 half open, 2 open.
    const fn number(self) -> u8 {
        match self {
            Self::Closed => 0,
            Self::HalfOpen => 1,
            Self::Open => 2,
        }
    }
}

/// What a call tells of its dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It answered; a refusal, a conflict or a miss is an answer.
    Answered,
    /// It could not be reached, did not answer, or said that it cannot work.
    Failed,
}

/// A call was turned away: it was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the circuit breaker of {0} is open")]
pub struct Rejected(pub &'static str);

/// A circuit breaker. Its cost while closed is one load before a call and one short lock behind it.
pub struct Breaker {
    name: &'static str,
    settings: BreakerSettings,
    /// The generation, which counts changes of state, and the state: what is read before every call.
    standing: AtomicU64,
    core: Mutex<Core>,
}

struct Core {
    state: BreakerState,
    generation: u64,
    window: Window,
    /// While open: when it turns half open.
    until: Instant,
    /// How long it stays open the next time.
    wait: Duration,
    probing: u32,
    proven: u32,
    dice: u64,
}

/// Leave to make one call. Say with [`Self::finish`] what became of it; a pass that is dropped was given up by its
/// caller, and counts only if it took so long that it was slow.
#[must_use]
pub struct Pass {
    breaker: Arc<Breaker>,
    generation: u64,
    began: Instant,
    slow_after: Duration,
    is_probe: bool,
    finished: bool,
}

impl Breaker {
    /// A closed breaker of this dependency, which is also its name in metrics.
    pub fn new(name: &'static str, settings: BreakerSettings) -> Arc<Self> {
        // Without randomness there is no jitter, and nothing worse.
        Self::seeded(name, settings, getrandom::u64().unwrap_or_default(), Instant::now())
    }

    fn seeded(name: &'static str, settings: BreakerSettings, seed: u64, now: Instant) -> Arc<Self> {
        let core = Core {
            state: BreakerState::Closed,
            generation: 0,
            window: Window::new(settings.window, now),
            until: now,
            wait: settings.open_for,
            probing: 0,
            proven: 0,
            dice: seed,
        };
        metrics::gauge!("credit_breaker_state", "dependency" => name).set(0.0);
        Arc::new(Self { name, settings, standing: AtomicU64::new(0), core: Mutex::new(core) })
    }

    /// Of which dependency.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Where it stands now: an open one whose time is over would take a probe, and so it is half open.
    pub fn state(&self) -> BreakerState {
        self.state_at(Instant::now())
    }

    fn state_at(&self, now: Instant) -> BreakerState {
        let core = self.core.lock();
        match core.state {
            BreakerState::Open if now >= core.until => BreakerState::HalfOpen,
            state => state,
        }
    }

    /// Whether it turns everything away now. Cheap while it is closed.
    pub fn is_open(&self) -> bool {
        self.standing.load(Ordering::Acquire) & 3 != 0 && self.state() == BreakerState::Open
    }

    /// Leave to make a call now, or not.
    pub fn enter(self: &Arc<Self>, now: Instant) -> Result<Pass, Rejected> {
        let standing = self.standing.load(Ordering::Acquire);
        let is_probe = standing & 3 != 0;
        let generation = if is_probe { self.enter_with_care(now)? } else { standing >> 2 };
        let slow_after = self.settings.slow_after;
        Ok(Pass { breaker: self.clone(), generation, began: now, slow_after, is_probe, finished: false })
    }

    fn enter_with_care(&self, now: Instant) -> Result<u64, Rejected> {
        let mut core = self.core.lock();
        if core.state == BreakerState::Open && now >= core.until {
            self.turn(&mut core, BreakerState::HalfOpen, now);
        }
        match core.state {
            BreakerState::Closed => Ok(core.generation),
            BreakerState::HalfOpen if core.probing + core.proven < self.settings.probes => {
                core.probing += 1;
                Ok(core.generation)
            }
            _ => {
                drop(core);
                self.count_rejection("open");
                Err(Rejected(self.name))
            }
        }
    }

    /// Counts a call that was not made, in the metrics.
    pub(super) fn count_rejection(&self, why: &'static str) {
        metrics::counter!("credit_breaker_rejections_total", "dependency" => self.name, "reason" => why)
            .increment(1);
    }

    /// What became of a call; those that began in an earlier state tell nothing of this one.
    fn note(&self, generation: u64, failed: bool, slow: bool, now: Instant) {
        let mut core = self.core.lock();
        if core.generation != generation {
            return;
        }
        match core.state {
            BreakerState::Closed => {
                let counts = core.window.record(failed, slow, now);
                if counts.calls >= self.settings.minimum_calls
                    && (counts.reaches(counts.failed, self.settings.failed_percent)
                        || counts.reaches(counts.slow, self.settings.slow_percent))
                {
                    self.turn(&mut core, BreakerState::Open, now);
                }
            }
            BreakerState::HalfOpen if failed || slow => self.turn(&mut core, BreakerState::Open, now),
            BreakerState::HalfOpen => {
                core.probing = core.probing.saturating_sub(1);
                core.proven += 1;
                if core.proven >= self.settings.probes {
                    self.turn(&mut core, BreakerState::Closed, now);
                }
            }
            BreakerState::Open => {}
        }
    }

    /// A probe was given up and told nothing: another may be made.
    fn give_back(&self, generation: u64) {
        let mut core = self.core.lock();
        if core.generation == generation && core.state == BreakerState::HalfOpen {
            core.probing = core.probing.saturating_sub(1);
        }
    }

    fn turn(&self, core: &mut Core, state: BreakerState, now: Instant) {
        match state {
            BreakerState::Closed => {
                core.window.clear(now);
                core.wait = self.settings.open_for;
            }
            BreakerState::Open => {
                core.until = now + jittered(core.wait, &mut core.dice);
                core.wait = (core.wait * 2).min(self.settings.longest_open);
            }
            BreakerState::HalfOpen => {}
        }
        (core.probing, core.proven) = (0, 0);
        core.state = state;
        core.generation += 1;
        self.standing.store(core.generation << 2 | u64::from(state.number()), Ordering::Release);
        let (dependency, to) = (self.name, state.name());
        metrics::gauge!("credit_breaker_state", "dependency" => dependency).set(f64::from(state.number()));
        metrics::counter!("credit_breaker_transitions_total", "dependency" => dependency, "to" => to)
            .increment(1);
        tracing::warn!(dependency, to, "a circuit breaker has turned");
    }
}

impl Pass {
    /// The same for a call that may take longer than others before it is slow.
    pub fn slow_after(mut self, time: Duration) -> Self {
        self.slow_after = time;
        self
    }

    /// How long the call need be waited for: a probe that is slow has told what there is to tell.
    pub fn patience(&self, otherwise: Duration) -> Duration {
        if self.is_probe { otherwise.min(self.slow_after) } else { otherwise }
    }

    /// Says what became of the call.
    pub fn finish(mut self, verdict: Verdict, now: Instant) {
        self.finished = true;
        self.breaker.note(self.generation, verdict == Verdict::Failed, self.is_slow(now), now);
    }

    fn is_slow(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.began) >= self.slow_after
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        let now = Instant::now();
        if self.is_slow(now) {
            self.breaker.note(self.generation, false, true, now);
        } else {
            self.breaker.give_back(self.generation);
        }
    }
}

/// From three quarters to five quarters of it, so that many processes do not come back at once.
fn jittered(wait: Duration, dice: &mut u64) -> Duration {
    // splitmix64
    *dice = dice.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut bits = *dice;
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^= bits >> 31;
    let thousandths = u32::try_from(750 + bits % 501).unwrap_or(1000);
    wait * thousandths / 1000
}

#[cfg(test)]
#[path = "breaker_tests.rs"]
mod tests;
