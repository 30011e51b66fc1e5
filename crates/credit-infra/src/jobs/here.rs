//! The queue in this process.

use std::sync::Arc;
use std::time::Duration;

use apalis::prelude::*;
use apalis_core::backend::dequeue::VecDequeBackend;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::runner::JobRunner;
use super::storage::AT_A_TIME;

/// Names of jobs that are due.
pub(super) struct Here(VecDequeBackend<&'static str>);

impl Here {
    /// An empty queue and the task that works it off.
    pub(super) fn start(
        runner: Arc<JobRunner>,
        mut stopping: watch::Receiver<bool>,
        grace: Duration,
    ) -> (Self, JoinHandle<()>) {
        let backend = VecDequeBackend::<&'static str>::new();
        let queue = Self(backend.clone());
        let monitor = Monitor::new()
            .register(move |_restarts| {
                WorkerBuilder::new("jobs")
                    .backend(backend.clone())
                    .data(runner.clone())
                    .concurrency(AT_A_TIME)
                    .parallelize(tokio::spawn)
                    .build(run)
            })
            .should_restart(|_, _| true)
            .shutdown_timeout(grace);
        let worker = tokio::spawn(async move {
            let told = async move {
                // The other end goes with the runner, and then there is nothing to do either.
                let _gone = stopping.wait_for(|stopping| *stopping).await;
                Ok(())
            };
            if let Err(error) = monitor.run_with_signal(told).await {
                tracing::error!(%error, "the worker of the background jobs ended");
            }
        });
        (queue, worker)
    }

    /// Queues a job, unless it waits already.
    pub(super) async fn push(&mut self, name: &'static str) {
        let task = TaskBuilder::new(name).idempotency_key(name).build();
        if let Err(error) = self.0.push_task(task).await {
            tracing::error!(job = name, %error, "a job could not be queued");
        }
    }
}

async fn run(name: &'static str, runner: Data<Arc<JobRunner>>) {
    runner.run(name).await;
}
