//! One at a time, whichever process, where the processes share nothing but a database.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use credit_core::testkit::CountingIds;
use credit_core::{JobOutcome, Timestamp};
use credit_infra::jobs::COLLECTIONS;
use credit_infra::mongodb::{MongoOptions, MongoStore};
use credit_infra::testkit::mongod;

use super::world::{Diary, Plan, Process, until_within};

/// A lease that a store over a network keeps easily.
const LEASE: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(60);

struct World {
    options: MongoOptions,
    ids: Arc<CountingIds>,
    job: Arc<Diary>,
}

impl World {
    fn new(plan: Plan) -> Self {
        let options = MongoOptions {
            now: Timestamp::from_millis(0),
            ..MongoOptions::new(mongod::shared().uri().into(), mongod::fresh_database(), COLLECTIONS.to_vec())
        };
        Self { options, ids: Arc::new(CountingIds::new()), job: Diary::new("tidy", plan) }
    }

    /// With connections of its own.
    async fn process(&self) -> (Process, MongoStore) {
        let store = MongoStore::connect(self.options.clone()).await.expect("a store");
        let process = Process::leasing(store.documents(), &self.ids, std::slice::from_ref(&self.job), LEASE);
        (process, store)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_processes_on_one_database_one_runs_a_job() {
    let world = World::new(Plan::Steps);
    let mut processes = Vec::new();
    for _ in 0..4 {
        processes.push(world.process().await);
    }
    for (process, _) in &processes {
        process.runner.start(false);
    }
    for round in 1..=3 {
        until_within(PATIENCE, "it has run", async || {
            world.job.runs() == round && processes[0].0.status("tidy").await.running_since.is_none()
        })
        .await;
        for (process, _) in &processes {
            process.clock.advance_seconds(3600);
        }
    }
    assert_eq!(world.job.most_at_once.load(Ordering::SeqCst), 1);
    for (process, _) in &processes {
        process.runner.stop().await;
    }
    let each: Vec<u32> = (0..10).collect();
    assert!(world.job.steps.lock().chunks(10).take(3).all(|round| *round == each[..round.len()]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_is_taken_over_from_a_process_that_lost_the_database_and_no_step_is_done_twice() {
    let world = World::new(Plan::Steps);
    let ((one, _one_store), (two, _two_store)) = (world.process().await, world.process().await);
    one.runner.start(false);
    until_within(PATIENCE, "it is under way", async || world.job.steps.lock().len() >= 2).await;
    two.runner.start(false);
    let began = Instant::now();
    one.cut_off();
    until_within(PATIENCE, "the other one has done it", async || {
        two.outcome("tidy").await == Some(JobOutcome::Succeeded)
    })
    .await;
    assert!(began.elapsed() >= LEASE / 2, "not before the lease was over: {:?}", began.elapsed());
    assert_eq!(world.job.most_at_once.load(Ordering::SeqCst), 1, "never two at once");
    let steps = world.job.steps.lock().clone();
    let mut different = steps.clone();
    different.dedup();
    assert_eq!(different, (0..10).collect::<Vec<_>>(), "{steps:?}");
    assert!(steps.len() <= 11, "at most the step whose cursor could not be kept is done again: {steps:?}");
    one.runner.stop().await;
    two.runner.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_whose_process_died_is_taken_over_when_its_lease_is_over() {
    let world = World::new(Plan::Endless);
    let (options, job, ids) = (world.options.clone(), world.job.clone(), world.ids.clone());
    // A process of its own runtime, gone without a word.
    let died = std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let store = MongoStore::connect(options).await.expect("a store");
            let gone = Process::leasing(store.documents(), &ids, std::slice::from_ref(&job), LEASE);
            gone.runner.start(false);
            until_within(PATIENCE, "it runs", async || job.runs() == 1).await;
        });
        runtime.shutdown_background();
    });
    tokio::task::spawn_blocking(move || died.join()).await.expect("joined").expect("it ends");
    *world.job.plan.lock() = Plan::Quick;
    let (heir, _store) = world.process().await;
    assert!(heir.status("tidy").await.running_since.is_some());
    heir.runner.start(false);
    until_within(PATIENCE, "it has run", async || heir.outcome("tidy").await == Some(JobOutcome::Succeeded))
        .await;
    assert_eq!(world.job.runs(), 2);
    heir.runner.stop().await;
}
