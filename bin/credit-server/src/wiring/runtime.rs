//! Threads of their own, for what must not wait for whoever answers calls, nor they for it.

use anyhow::{Context, Result};
use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle, Runtime};

/// Beside so many threads that answer calls the lanes have a second one, which those of several books can use.
const MANY: usize = 8;

/// The runtimes beside those that answer calls.
pub(super) struct Runtimes {
    /// Of the lanes, away from the calls: a client that hangs up never drops an append half way. A driver that speaks over a
    /// network lives here too, for the same reason, and so do the peers. If one thread answers calls all of these are on it,
    /// which ends after them.
    pub(super) ledger: Place,
    /// Of the views, which are much work at a time: no lane waits meanwhile.
    pub(super) views: OwnRuntime,
    /// Of the background jobs.
    pub(super) jobs: OwnRuntime,
}

impl Runtimes {
    /// For so many threads that answer calls; with the lanes there, if they live elsewhere.
    pub(super) fn start(web: usize, lanes: Option<Handle>) -> Result<Self> {
        let own = || OwnRuntime::start("ledger", lane_threads(web)).map(Place::Own);
        Ok(Self {
            ledger: lanes.map(Place::Elsewhere).map_or_else(own, Ok)?,
            views: OwnRuntime::start("views", 1)?,
            jobs: OwnRuntime::start("jobs", 1)?,
        })
    }

    /// What still runs is left where it next waits.
    pub(super) fn stop(&self) {
        self.jobs.stop();
        self.views.stop();
        if let Place::Own(runtime) = &self.ledger {
            runtime.stop();
        }
    }
}

/// Threads of one runtime take each other's work and wake each other for it, which costs more than it gives where there is
/// one busy book: on two processors one thread made some 1.06 times as many spends as two (`docs/benchmarks.md`).
fn lane_threads(web: usize) -> usize {
    if web < MANY { 1 } else { 2 }
}

/// Where something runs.
pub(super) enum Place {
    Own(OwnRuntime),
    /// On a thread that others have too and end.
    Elsewhere(Handle),
}

impl Place {
    pub(super) fn handle(&self) -> Handle {
        match self {
            Self::Own(runtime) => runtime.handle(),
            Self::Elsewhere(handle) => handle.clone(),
        }
    }
}

/// A runtime of its own.
pub(super) struct OwnRuntime {
    runtime: Mutex<Option<Runtime>>,
    handle: Handle,
}

impl OwnRuntime {
    /// So many threads of this name.
    fn start(name: &'static str, threads: usize) -> Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .max_blocking_threads(4)
            .thread_name(name)
            .enable_all()
            .build()
            .with_context(|| format!("the threads of the {name} cannot be started"))?;
        let handle = runtime.handle().clone();
        Ok(Self { runtime: Mutex::new(Some(runtime)), handle })
    }

    pub(super) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    fn stop(&self) {
        if let Some(runtime) = self.runtime.lock().take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for OwnRuntime {
    /// A runtime that is simply dropped would wait for its threads, which tasks are not allowed to.
    fn drop(&mut self) {
        self.stop();
    }
}
