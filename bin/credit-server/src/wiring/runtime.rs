//! Threads of their own, for what must not wait for whoever answers calls, nor they for it.

use std::num::NonZero;
use std::thread::available_parallelism;

use anyhow::{Context, Result};
use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle, Runtime};

/// From so many processors on the lanes have a second thread, which those of several books can use.
const MANY: usize = 8;

/// The runtimes beside those that answer calls.
pub(super) struct Runtimes {
    /// Of the lanes: a forced shutdown of the web or a client that hangs up never drops an append half way. A driver that
    /// speaks over a network lives here too, for the same reason, and so do the peers.
    pub(super) ledger: OwnRuntime,
    /// Of the views, which are much work at a time: no lane waits meanwhile.
    pub(super) views: OwnRuntime,
    /// Of the background jobs.
    pub(super) jobs: OwnRuntime,
}

impl Runtimes {
    /// For so many threads that answer calls, or as many as there are processors.
    pub(super) fn start(workers: Option<usize>) -> Result<Self> {
        let processors = workers.or_else(|| available_parallelism().ok().map(NonZero::get)).unwrap_or(1);
        Ok(Self {
            ledger: OwnRuntime::start("ledger", lane_threads(processors))?,
            views: OwnRuntime::start("views", 1)?,
            jobs: OwnRuntime::start("jobs", 1)?,
        })
    }

    /// What still runs is left where it next waits.
    pub(super) fn stop(&self) {
        for runtime in [&self.jobs, &self.views, &self.ledger] {
            runtime.stop();
        }
    }
}

/// Threads of one runtime take each other's work and wake each other for it, which costs more than it gives where there is
/// one busy book: on two processors one thread made some 1.06 times as many spends as two (`docs/benchmarks.md`).
fn lane_threads(processors: usize) -> usize {
    if processors < MANY { 1 } else { 2 }
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
