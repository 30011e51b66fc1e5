//! What is due waits in Redis: the workers of all processes take it from there, and whatever becomes of Redis, it is run
//! and one runs it at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use credit_core::memory::MemoryDocuments;
use credit_core::testkit::CountingIds;
use credit_core::{JobOutcome, Jobs};
use credit_infra::jobs::JobStorage;
use credit_infra::redis::{RedisAddress, RedisLink, RedisSettings};
use credit_infra::testkit::redis_server::{RedisOptions, RedisServer};

use super::world::{Diary, Plan, Process, until_within};

/// What is waited for in vain in Redis is run after ten seconds.
const PATIENCE: Duration = Duration::from_secs(40);
const LEASE: Duration = Duration::from_secs(3);

struct World {
    redis: Arc<RedisServer>,
    store: Arc<MemoryDocuments>,
    ids: Arc<CountingIds>,
    jobs: Vec<Arc<Diary>>,
    prefix: String,
}

impl World {
    fn new(plans: &[(&'static str, Plan)]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Self {
            redis: Arc::new(RedisServer::start(RedisOptions::default())),
            store: Arc::new(MemoryDocuments::new()),
            ids: Arc::new(CountingIds::new()),
            jobs: plans.iter().map(|(name, plan)| Diary::new(name, *plan)).collect(),
            prefix: format!("test:{}:", NEXT.fetch_add(1, Ordering::SeqCst)),
        }
    }

    /// With a connection of its own.
    fn process(&self) -> Process {
        self.process_at(&self.redis.url())
    }

    fn process_at(&self, url: &str) -> Process {
        let settings = RedisSettings {
            address: RedisAddress::try_new(&url.to_owned().into()).expect("an address"),
            tls_ca: None,
            connect_timeout: Duration::from_secs(1),
            command_timeout: Duration::from_millis(500),
            prefix: self.prefix.clone(),
        };
        let link = RedisLink::try_new(settings).expect("settings that fit");
        link.start();
        let storage = JobStorage::Redis(link);
        let process = Process::queueing(self.store.clone(), &self.ids, &self.jobs, LEASE, storage);
        process.runner.start(false);
        process
    }

    async fn all_have_run(&self, times: usize, process: &Process) {
        until_within(PATIENCE, "every job has run", async || {
            let mut done = true;
            for status in process.runner.list().await.expect("the store answers") {
                done &= status.running_since.is_none()
                    && status.last_run.is_some_and(|run| run.outcome == JobOutcome::Succeeded);
            }
            done && self.jobs.iter().all(|job| job.runs() >= times)
        })
        .await;
    }

    fn never_two_at_once(&self) {
        for job in &self.jobs {
            assert_eq!(job.most_at_once.load(Ordering::SeqCst), 1);
        }
    }

    fn in_redis(&self) -> Vec<String> {
        self.redis.tell(&format!("KEYS {}*", self.prefix))
    }
}

fn advance(processes: &[Process]) {
    for process in processes {
        process.clock.advance_seconds(3600);
    }
}

async fn stop(processes: &[Process]) {
    for process in processes {
        process.runner.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_processes_on_one_queue_one_runs_a_job_and_nothing_stays_behind() {
    let world = World::new(&[("count", Plan::Quick), ("tidy", Plan::Steps)]);
    let processes: Vec<Process> = (0..4).map(|_| world.process()).collect();
    for round in 1..=3 {
        world.all_have_run(round, &processes[0]).await;
        advance(&processes);
    }
    world.all_have_run(4, &processes[0]).await;
    for job in &world.jobs {
        assert_eq!(job.runs(), 4, "each time once");
    }
    world.never_two_at_once();
    let pushes = world.redis.tell(&format!("KEYS {}jobs:idempotency:*", world.prefix));
    let mut queued = pushes.iter().filter(|line| line.contains("jobs:idempotency:")).count();
    assert!(queued >= 6, "they waited in Redis: {pushes:?}");
    // Each state of a job was queued once, by whoever saw it first.
    queued /= world.jobs.len();
    assert!(queued <= 5, "{pushes:?}");
    stop(&processes).await;
    // Who comes next sweeps what is done; and of those who stopped nothing is known any more.
    let next = world.process();
    let done = [":data", ":done", ":dead", ":inflight:", ":meta:"];
    until_within(PATIENCE, "what is done is swept", async || {
        let keys = world.in_redis();
        !keys.iter().any(|key| done.iter().any(|done| key.contains(done)))
    })
    .await;
    next.runner.stop().await;
    let workers = world.in_redis().iter().filter(|key| key.contains(":metadata:")).count();
    assert_eq!(workers, 0, "{:?}", world.in_redis());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_is_emptied_again_and_again_loses_no_job_and_runs_none_twice_at_once() {
    let world = World::new(&[("count", Plan::Quick), ("tidy", Plan::Steps)]);
    let processes: Vec<Process> = (0..2).map(|_| world.process()).collect();
    world.all_have_run(1, &processes[0]).await;
    for round in 2..=3 {
        advance(&processes);
        let redis = world.redis.clone();
        let emptied = tokio::spawn(async move {
            loop {
                assert!(redis.tell("FLUSHALL").iter().any(|line| line == "+OK"));
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        world.all_have_run(round, &processes[0]).await;
        assert!(!emptied.is_finished(), "it was emptied all the time");
        emptied.abort();
    }
    world.never_two_at_once();
    for job in &world.jobs {
        assert_eq!(job.runs(), 3, "each time once");
    }
    stop(&processes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_redis_is_away_jobs_wait_in_the_process_and_in_redis_again_when_it_is_back() {
    let world = World::new(&[("count", Plan::Quick), ("tidy", Plan::Steps)]);
    world.redis.kill();
    let processes: Vec<Process> = (0..2).map(|_| world.process()).collect();
    world.all_have_run(1, &processes[0]).await;

    world.redis.restart();
    let is_queued = async || world.in_redis().iter().any(|key| key.contains("jobs:idempotency:"));
    let mut round = 1;
    until_within(PATIENCE, "they wait in Redis", async || {
        round += 1;
        advance(&processes);
        world.all_have_run(round, &processes[0]).await;
        is_queued().await
    })
    .await;

    // Hanging: it is noticed within a command's time, and then they wait here.
    world.redis.pause();
    for _ in 0..2 {
        round += 1;
        advance(&processes);
        world.all_have_run(round, &processes[0]).await;
    }
    world.redis.resume();

    // In the middle of a run: that goes on, and its steps are done once.
    advance(&processes);
    let steps = world.jobs[1].steps.lock().len();
    until_within(PATIENCE, "a run is under way", async || world.jobs[1].steps.lock().len() > steps).await;
    world.redis.kill();
    round += 1;
    world.all_have_run(round, &processes[0]).await;
    world.never_two_at_once();
    let done = world.jobs[1].steps.lock().clone();
    let each: Vec<u32> = (0..10).collect();
    assert!(done.chunks(10).all(|run| *run == each[..]), "{done:?}");
    stop(&processes).await;
}

/// A user that may do all that limits and caches need, and nothing of what a queue needs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_redis_forbids_the_queue_jobs_wait_in_the_process() {
    let rules = "user credit on >secretword ~* +@connection +set +time +eval +evalsha +script|load";
    let options = RedisOptions { users: vec![rules.to_owned()], ..RedisOptions::default() };
    let world =
        World { redis: Arc::new(RedisServer::start(options)), ..World::new(&[("count", Plan::Quick)]) };
    let url = world.redis.url().replace("redis://", "redis://credit:secretword@");
    let processes = [world.process_at(&url)];
    for round in 1..=2 {
        world.all_have_run(round, &processes[0]).await;
        advance(&processes);
    }
    stop(&processes).await;
    assert!(!world.in_redis().iter().any(|key| key.contains(":jobs:")), "{:?}", world.in_redis());
}
