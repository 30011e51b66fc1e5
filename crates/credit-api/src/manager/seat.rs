//! One module in its place: its state, its gate, and when to try it again.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use credit_core::{Health, HealthState, Job};
use futures_util::FutureExt;
use parking_lot::Mutex;

use crate::WebModule;
use crate::front_door::Gate;
use crate::route::Route;

const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// What a module needs may come back at any moment, and then it is there within ten seconds.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Where a module stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ModuleState {
    /// It has a place and was not started yet.
    Registered,
    /// It is being started.
    Initialising,
    /// It works.
    Ready,
    /// It works, with something missing.
    Degraded,
    /// It could not be started; its routes answer `503 module_unavailable`.
    Failed,
    /// It has finished.
    Stopped,
}

/// How a module is.
#[derive(Debug, Clone)]
pub(crate) struct ModuleReport {
    pub(crate) name: &'static str,
    pub(crate) state: ModuleState,
    pub(crate) dependencies: &'static [&'static str],
    pub(crate) load_order: usize,
    pub(crate) uptime: Duration,
    /// Why it is not ready. For operators.
    pub(crate) reason: Option<String>,
}

impl ModuleReport {
    /// Its state in the words of health.
    pub(crate) fn health(&self) -> HealthState {
        match self.state {
            ModuleState::Ready => HealthState::Healthy,
            ModuleState::Degraded => HealthState::Degraded,
            _ => HealthState::Unhealthy,
        }
    }
}

pub(super) struct Seat {
    module: Arc<dyn WebModule>,
    load_order: usize,
    needed: Vec<Arc<Seat>>,
    open: AtomicBool,
    standing: Mutex<Standing>,
}

struct Standing {
    state: ModuleState,
    ready_since: Option<Instant>,
    reason: Option<String>,
    pause: Duration,
    try_again_at: Option<Instant>,
}

impl Gate for Seat {
    fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }
}

impl Seat {
    pub(super) fn new(module: Arc<dyn WebModule>, load_order: usize, needed: Vec<Arc<Self>>) -> Self {
        let standing = Standing {
            state: ModuleState::Registered,
            ready_since: None,
            reason: None,
            pause: FIRST_PAUSE,
            try_again_at: None,
        };
        Self { module, load_order, needed, open: AtomicBool::new(false), standing: Mutex::new(standing) }
    }

    pub(super) fn name(&self) -> &'static str {
        self.module.name()
    }

    pub(super) fn jobs(&self) -> Vec<Arc<dyn Job>> {
        self.module.jobs()
    }

    pub(super) fn routes(&self) -> Vec<Arc<Route>> {
        self.module.routes()
    }

    /// Starts the module, unless one that it needs is not there.
    pub(super) async fn initialise(&self, now: Instant) {
        if let Some(missing) = self.needed.iter().find(|seat| !seat.is_open()) {
            return self.wait_for(missing.name());
        }
        {
            let mut standing = self.standing.lock();
            if standing.state == ModuleState::Stopped {
                return;
            }
            standing.state = ModuleState::Initialising;
        }
        let started = AssertUnwindSafe(self.module.initialise()).catch_unwind().await;
        match started {
            Ok(Ok(())) if self.open(now) => {}
            // It was told to stop while it started.
            Ok(Ok(())) => self.module.shut_down().await,
            Ok(Err(error)) => self.fail(error.to_string(), now),
            Err(_) => self.fail("it panicked while starting".to_owned(), now),
        }
    }

    /// Tries a failed module again when its pause is over; asks a working one how it is.
    pub(super) async fn look_after(&self, now: Instant) {
        let (state, is_due) = {
            let standing = self.standing.lock();
            (standing.state, standing.try_again_at.is_none_or(|at| now >= at))
        };
        match state {
            ModuleState::Failed if is_due => self.initialise(now).await,
            ModuleState::Ready | ModuleState::Degraded => {
                let health = AssertUnwindSafe(self.module.health()).catch_unwind().await;
                self.note(health.unwrap_or_else(|_| Health::unhealthy("it panicked when asked")));
            }
            _ => {}
        }
    }

    pub(super) async fn shut_down(&self) {
        let was_open = {
            let mut standing = self.standing.lock();
            standing.state = ModuleState::Stopped;
            standing.ready_since = None;
            self.open.swap(false, Ordering::AcqRel)
        };
        if was_open && AssertUnwindSafe(self.module.shut_down()).catch_unwind().await.is_err() {
            tracing::error!(module = self.name(), "a module panicked while it stopped");
        }
    }

    pub(super) fn report(&self, now: Instant) -> ModuleReport {
        let standing = self.standing.lock();
        ModuleReport {
            name: self.name(),
            state: standing.state,
            dependencies: self.module.dependencies(),
            load_order: self.load_order,
            uptime: standing.ready_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since)),
            reason: standing.reason.clone(),
        }
    }

    /// False if it was told to stop meanwhile.
    fn open(&self, now: Instant) -> bool {
        {
            let mut standing = self.standing.lock();
            if standing.state == ModuleState::Stopped {
                return false;
            }
            standing.state = ModuleState::Ready;
            standing.ready_since = Some(now);
            standing.reason = None;
            standing.pause = FIRST_PAUSE;
            standing.try_again_at = None;
            self.open.store(true, Ordering::Release);
        }
        tracing::info!(module = self.name(), "a module is ready");
        true
    }

    fn fail(&self, reason: String, now: Instant) {
        tracing::error!(
            module = self.name(),
            reason,
            "a module could not be started; it will be tried again"
        );
        let mut standing = self.standing.lock();
        if standing.state == ModuleState::Stopped {
            return;
        }
        standing.state = ModuleState::Failed;
        standing.try_again_at = Some(now + standing.pause);
        standing.pause = (standing.pause * 2).min(LONGEST_PAUSE);
        standing.reason = Some(reason);
    }

    /// Failed for want of another; tried again as soon as that one is there.
    fn wait_for(&self, missing: &str) {
        let mut standing = self.standing.lock();
        standing.state = ModuleState::Failed;
        standing.try_again_at = None;
        standing.reason = Some(format!("it needs {missing}, which is not available"));
    }

    /// A health report never closes the gate: a module that was started answers for itself.
    fn note(&self, health: Health) {
        let mut standing = self.standing.lock();
        if !matches!(standing.state, ModuleState::Ready | ModuleState::Degraded) {
            return;
        }
        standing.state = match health.state {
            HealthState::Healthy => ModuleState::Ready,
            HealthState::Degraded | HealthState::Unhealthy => ModuleState::Degraded,
        };
        standing.reason = health.detail;
    }
}
