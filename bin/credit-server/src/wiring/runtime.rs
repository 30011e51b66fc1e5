//! Threads of their own, for what must not wait for whoever answers calls, nor they for it.

use anyhow::{Context, Result};
use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle, Runtime};

/// A runtime of its own. The ledger has one: a forced shutdown of the web or a client that hangs up never drops an append
/// half way; a driver that speaks over a network lives there too, for the same reason. The background jobs have another.
pub(super) struct OwnRuntime {
    runtime: Mutex<Option<Runtime>>,
    handle: Handle,
}

impl OwnRuntime {
    /// So many threads of this name.
    pub(super) fn start(name: &'static str, threads: usize) -> Result<Self> {
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

    /// What still runs is left where it next waits.
    pub(super) fn stop(&self) {
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
