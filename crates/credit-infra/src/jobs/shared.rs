//! The queue in Redis, which all processes share.
//!
//! `apalis-redis` keeps a worker until its first error and what is done for ever. So here a worker lives from one error
//! to the next, under a name of its own, and what is done is swept.

use std::sync::Arc;
use std::time::{Duration, Instant};

use apalis::prelude::*;
use apalis_core::backend::Vacuum;
use apalis_core::backend::ext::BackendExt;
use apalis_redis::{Config, RedisStorage};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use redis::{RedisResult, cmd};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::runner::JobRunner;
use super::storage::{AT_A_TIME, Due};
use crate::redis::{LentConnection, RedisLink};

/// How often a worker looks what waits: without that it would look at its heartbeats only.
const LOOK_EVERY: Duration = Duration::from_millis(500);
const HEARTBEAT: Duration = Duration::from_secs(5);
/// After so many heartbeats that it missed, what a worker had taken is another one's.
const MISSED: usize = 3;
/// For how long something is not queued twice. Each state of a job's document is queued once anyway.
const QUEUED_ONCE_FOR: Duration = Duration::from_secs(60);
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// How long Redis remembers a worker that went away without a word.
const REMEMBERED_SECONDS: u32 = 86_400;
/// Between the end of a worker and the next.
const PAUSE: Duration = Duration::from_millis(500);

type Storage = RedisStorage<String, LentConnection>;

/// Names of jobs that are due.
pub(super) struct Shared {
    storage: Storage,
    link: Arc<RedisLink>,
}

impl Shared {
    /// The queue and the task that takes from it, until it is told to stop; then it waits for what runs.
    pub(super) fn start(
        link: Arc<RedisLink>,
        runner: Arc<JobRunner>,
        stopping: watch::Receiver<bool>,
    ) -> (Self, JoinHandle<()>) {
        let config = Config::default()
            .queue(link.key(format_args!("jobs")))
            .batch_size(1)
            .heartbeat_interval(HEARTBEAT)
            .missed_heartbeats(MISSED)
            .emit_events(false)
            .lock_tasks(false)
            .idempotency_ttl(Some(QUEUED_ONCE_FOR));
        let storage = Storage::new(LentConnection::new(link.clone(), "jobs")).with_config(config);
        let worker = tokio::spawn(work(storage.clone(), link.clone(), runner, stopping));
        (Self { storage, link }, worker)
    }

    /// Whether Redis is asked at the moment.
    pub(super) fn is_well(&self) -> bool {
        self.link.failure().is_none()
    }

    /// Queues a job, unless it was queued already; false if it is not known to wait.
    pub(super) async fn push(&mut self, due: &Due) -> bool {
        if !self.is_well() {
            return false;
        }
        let task = TaskBuilder::new(due.name.to_owned()).idempotency_key(due.ticket.as_str()).build();
        let queued = self.storage.push_task(task).await;
        if let Err(error) = &queued {
            tracing::debug!(job = due.name, %error, "a job could not be queued in Redis; it is queued here");
        }
        queued.is_ok()
    }
}

/// One worker after the other.
async fn work(
    storage: Storage,
    link: Arc<RedisLink>,
    runner: Arc<JobRunner>,
    mut stopping: watch::Receiver<bool>,
) {
    let mut told = false;
    while !*stopping.borrow() {
        if link.failure().is_none() {
            let began = Instant::now();
            let name = format!("{:032x}", runner.draw());
            let worker = one_worker(&name, storage.clone(), runner.clone(), stopping.clone());
            tokio::select! {
                ended = worker => if let Err(error) = ended {
                    tracing::debug!(%error, "a worker of the background jobs ended; the next one begins");
                    told = began.elapsed() < SWEEP_EVERY && (told || complain(&link));
                },
                () = keep_clean(storage.clone(), &name) => {}
            }
            forget(storage.clone(), &name).await;
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            _ = stopping.wait_for(|stopping| *stopping) => {}
        }
    }
}

/// Says that Redis answers and the queue in it does not work, if that is so. Not what it said: that may be anybody's text.
fn complain(link: &RedisLink) -> bool {
    let is_so = link.failure().is_none();
    if is_so {
        tracing::warn!(
            "the queue of background jobs in Redis does not work, and they wait in this process: if Redis was not just \
             emptied, look whether its user may do what jobs.storage needs (docs/configuration.md)"
        );
    }
    is_so
}

fn one_worker(
    name: &str,
    storage: Storage,
    runner: Arc<JobRunner>,
    mut stopping: watch::Receiver<bool>,
) -> BoxFuture<'static, Result<(), WorkerError>> {
    let worker = WorkerBuilder::new(name)
        .backend(storage.poll_with_interval(LOOK_EVERY))
        .data(runner)
        .concurrency(AT_A_TIME)
        .parallelize(tokio::spawn)
        .build(run);
    let told = async move {
        let _gone = stopping.wait_for(|stopping| *stopping).await;
        Ok::<(), WorkerError>(())
    };
    worker.run_until(told).boxed()
}

/// Takes away what is done, for ever; and what Redis knows of a worker is to go by itself if nobody takes it away.
async fn keep_clean(mut storage: Storage, worker: &str) {
    loop {
        if let Err(error) = sweep(&mut storage, worker).await {
            tracing::debug!(%error, "what is done could not be taken out of Redis; it is tried again");
        }
        tokio::time::sleep(SWEEP_EVERY).await;
    }
}

async fn sweep(storage: &mut Storage, worker: &str) -> Result<(), BoxDynError> {
    storage.vacuum().await?;
    let config = storage.get_config().clone();
    let done = [config.done_jobs_set(), config.dead_jobs_set()];
    let _taken: u32 = cmd("DEL").arg(&done).query_async(storage.get_connection()).await?;
    let mut expire = cmd("EXPIRE");
    expire.arg(card(&config, worker)).arg(REMEMBERED_SECONDS);
    let _set: u32 = expire.query_async(storage.get_connection()).await?;
    Ok(())
}

async fn forget(mut storage: Storage, worker: &str) {
    let card = card(storage.get_config(), worker);
    let forgotten: RedisResult<u32> = cmd("DEL").arg(card).query_async(storage.get_connection()).await;
    if let Err(error) = forgotten {
        tracing::debug!(%error, "a worker is still known to Redis, for a day at most");
    }
}

/// Where Redis keeps what a worker is. `apalis-redis` tells it only of a worker that runs.
fn card(config: &Config, worker: &str) -> String {
    format!("{}:workers:metadata:{worker}", config.queue.as_ref())
}

async fn run(name: String, runner: Data<Arc<JobRunner>>) {
    runner.run(&name).await;
}
