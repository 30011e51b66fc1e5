//! Where what is due waits for a worker.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::here::Here;
use super::runner::JobRunner;
use super::shared::Shared;
use crate::redis::RedisLink;

/// Where what is due waits for a worker: `jobs.storage`.
#[derive(Debug, Clone)]
pub enum JobStorage {
    /// In this process.
    Memory,
    /// In Redis, where the workers of all processes take it from. A single server or Sentinel: the queue touches keys that
    /// a Cluster keeps on several servers.
    Redis(Arc<RedisLink>),
}

/// Jobs at a time, in each queue: one that takes long must not keep the others waiting.
pub(super) const AT_A_TIME: usize = 4;
/// What was queued in Redis and is due and free all this time is run here: the queue was emptied, or somebody else took
/// from it.
const PATIENCE: Duration = Duration::from_secs(10);

/// That a job is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) name: &'static str,
    /// Says of which state of the job's document: it is queued once for each.
    pub(super) ticket: String,
}

/// What waits in it is only that a job is due, and everything that must outlive it is in the job's document. So nothing
/// is lost with it, and a job that is queued twice runs once: the second finds that it is not due.
pub(super) struct Queue {
    here: Here,
    shared: Option<Shared>,
    /// What was queued in Redis, and since when.
    waiting: HashMap<&'static str, (String, Instant)>,
}

impl Queue {
    /// An empty queue and the tasks that work it off, until they are told to stop: then they wait for what runs, at most
    /// for the grace.
    pub(super) fn start(
        storage: &JobStorage,
        runner: &Arc<JobRunner>,
        stopping: &watch::Receiver<bool>,
        grace: Duration,
    ) -> (Self, Vec<JoinHandle<()>>) {
        let (here, worker) = Here::start(runner.clone(), stopping.clone(), grace);
        let mut workers = vec![worker];
        let shared = match storage {
            JobStorage::Memory => None,
            JobStorage::Redis(link) => {
                let (shared, worker) = Shared::start(link.clone(), runner.clone(), stopping.clone());
                workers.push(worker);
                Some(shared)
            }
        };
        (Self { here, shared, waiting: HashMap::new() }, workers)
    }

    /// Queues all that is due, each unless it waits already.
    pub(super) async fn push(&mut self, due: Vec<Due>) {
        self.waiting
            .retain(|name, (ticket, _)| due.iter().any(|due| due.name == *name && due.ticket == *ticket));
        for due in due {
            if !self.waits_in_redis(&due).await {
                self.here.push(due.name).await;
            }
        }
    }

    async fn waits_in_redis(&mut self, due: &Due) -> bool {
        let Some(shared) = &mut self.shared else { return false };
        if let Some((_, since)) = self.waiting.get(due.name) {
            return since.elapsed() < PATIENCE && shared.is_well();
        }
        let queued = shared.push(due).await;
        if queued {
            self.waiting.insert(due.name, (due.ticket.clone(), Instant::now()));
        }
        queued
    }
}
