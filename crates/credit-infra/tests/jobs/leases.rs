//! One at a time, whichever process.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use credit_core::memory::MemoryDocuments;
use credit_core::testkit::CountingIds;
use credit_core::{JobOutcome, Jobs};

use super::world::{Diary, LEASE, Plan, Process, until};

struct World {
    store: Arc<MemoryDocuments>,
    ids: Arc<CountingIds>,
    job: Arc<Diary>,
}

impl World {
    fn new(plan: Plan) -> Self {
        let job = Diary::new("tidy", plan);
        Self { store: Arc::default(), ids: Arc::new(CountingIds::new()), job }
    }

    fn process(&self) -> Process {
        Process::on(&self.store, &self.ids, std::slice::from_ref(&self.job))
    }
}

#[tokio::test]
async fn of_many_processes_one_runs_a_job() {
    let world = World::new(Plan::Steps);
    let processes: Vec<Process> = (0..5).map(|_| world.process()).collect();
    for process in &processes {
        process.runner.start(false);
    }
    for round in 1..=3 {
        until("it has run", async || {
            world.job.runs() == round && processes[0].status("tidy").await.running_since.is_none()
        })
        .await;
        for process in &processes {
            process.clock.advance_seconds(3600);
        }
    }
    assert_eq!(world.job.most_at_once.load(Ordering::SeqCst), 1);
    for process in &processes {
        process.runner.stop().await;
    }
    let each: Vec<u32> = (0..10).collect();
    assert!(world.job.steps.lock().chunks(10).take(3).all(|round| *round == each[..round.len()]));
}

#[tokio::test]
async fn a_long_run_keeps_its_lease() {
    let world = World::new(Plan::Endless);
    let (one, two) = (world.process(), world.process());
    one.runner.start(false);
    until("it runs", async || world.job.runs() == 1).await;
    two.runner.start(false);
    tokio::time::sleep(LEASE * 3).await;
    assert_eq!(world.job.runs(), 1, "nobody takes a lease that is renewed");
    one.runner.stop().await;
    two.runner.stop().await;
}

#[tokio::test]
async fn a_process_that_lost_the_store_stops_before_another_takes_over_and_its_steps_are_not_done_twice() {
    let world = World::new(Plan::Steps);
    let (one, two) = (world.process(), world.process());
    one.runner.start(false);
    until("it is under way", async || world.job.steps.lock().len() >= 2).await;
    two.runner.start(false);
    let began = Instant::now();
    one.cut_off();
    until("the other one has done it", async || two.outcome("tidy").await == Some(JobOutcome::Succeeded))
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

#[tokio::test]
async fn a_clock_that_is_wrong_by_an_hour_takes_nobody_s_lease() {
    let world = World::new(Plan::Endless);
    let (one, fast, slow) = (world.process(), world.process(), world.process());
    one.runner.start(false);
    until("it runs", async || world.job.runs() == 1).await;
    fast.clock.advance_seconds(3600);
    slow.clock.advance_seconds(-3600);
    fast.runner.start(false);
    slow.runner.start(false);
    tokio::time::sleep(LEASE * 2).await;
    assert_eq!(world.job.runs(), 1);
    for process in [one, fast, slow] {
        process.runner.stop().await;
    }
}

#[tokio::test]
async fn a_run_whose_process_went_away_is_told_as_stopped() {
    let world = World::new(Plan::Endless);
    let store = world.store.clone();
    // A process of its own runtime, gone without a word.
    let job = world.job.clone();
    let ids = world.ids.clone();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let gone = Process::on(&store, &ids, std::slice::from_ref(&job));
            gone.runner.start(false);
            until("it runs", async || job.runs() == 1).await;
        });
    })
    .join()
    .expect("it ends");
    *world.job.plan.lock() = Plan::Quick;
    let heir = world.process();
    assert!(heir.status("tidy").await.running_since.is_some());
    heir.runner.start(false);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(world.job.runs(), 1, "not before the lease is over");
    until("it has run", async || heir.outcome("tidy").await == Some(JobOutcome::Succeeded)).await;
    assert_eq!(world.job.runs(), 2);
    heir.runner.stop().await;
}

#[tokio::test]
async fn who_is_alone_on_its_store_waits_for_nobody() {
    let world = World::new(Plan::Endless);
    let store = world.store.clone();
    let (job, ids) = (world.job.clone(), world.ids.clone());
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let gone = Process::on(&store, &ids, std::slice::from_ref(&job));
            gone.runner.start(true);
            until("it runs", async || job.runs() == 1).await;
        });
    })
    .join()
    .expect("it ends");
    *world.job.plan.lock() = Plan::Quick;
    let heir = world.process();
    let began = Instant::now();
    heir.runner.start(true);
    until("it has run", async || heir.outcome("tidy").await == Some(JobOutcome::Succeeded)).await;
    assert!(began.elapsed() < LEASE, "{:?}", began.elapsed());
    heir.runner.stop().await;
}

#[tokio::test]
async fn a_run_that_was_asked_for_and_died_half_way_is_made_again_when_its_lease_is_over() {
    let world = World::new(Plan::Quick);
    let store = world.store.clone();
    let (job, ids) = (world.job.clone(), world.ids.clone());
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let gone = Process::on(&store, &ids, std::slice::from_ref(&job));
            gone.runner.start(false);
            until("it has run", async || gone.outcome("tidy").await == Some(JobOutcome::Succeeded)).await;
            *job.plan.lock() = Plan::Endless;
            gone.runner.run_now("tidy").await.expect("it answers");
            until("it runs as it was asked to", async || job.runs() == 2).await;
        });
    })
    .join()
    .expect("it ends");
    *world.job.plan.lock() = Plan::Quick;
    // Its own hour is far away.
    let heir = world.process();
    heir.runner.start(false);
    until("it is made again", async || {
        world.job.runs() == 3 && heir.outcome("tidy").await == Some(JobOutcome::Succeeded)
    })
    .await;
    heir.runner.stop().await;
}
