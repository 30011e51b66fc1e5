//! The ledger's own threads.

use anyhow::{Context, Result};
use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle, Runtime};

/// The ledger's own runtime: a forced shutdown of the web or a client that hangs up never drops an append half way. A
/// driver that speaks over a network lives here too, for the same reason.
pub(super) struct LedgerRuntime {
    runtime: Mutex<Option<Runtime>>,
    handle: Handle,
}

impl LedgerRuntime {
    /// Two threads: a lane decides while a projector writes.
    pub(super) fn start() -> Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .max_blocking_threads(4)
            .thread_name("ledger")
            .enable_all()
            .build()
            .context("the ledger's threads cannot be started")?;
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

impl Drop for LedgerRuntime {
    /// A runtime that is simply dropped would wait for its threads, which tasks are not allowed to.
    fn drop(&mut self) {
        self.stop();
    }
}
