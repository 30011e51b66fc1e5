//! When jobs run, and what is told of it.

use std::sync::Arc;
use std::time::Duration;

use credit_core::memory::MemoryDocuments;
use credit_core::testkit::{CountingIds, TestClock};
use credit_core::{JobOutcome, Jobs};

use super::world::{Diary, HOUR, Plan, Process, until};

fn one(plan: Plan) -> (Arc<Diary>, Process) {
    let job = Diary::new("tidy", plan);
    let process = Process::on(&Arc::default(), &Arc::new(CountingIds::new()), std::slice::from_ref(&job));
    (job, process)
}

async fn a_while() {
    tokio::time::sleep(Duration::from_millis(80)).await;
}

#[tokio::test]
async fn a_job_runs_when_it_is_due_and_tells_what_became_of_it() {
    let (job, process) = one(Plan::Quick);
    let before = process.status("tidy").await;
    assert_eq!((before.last_run, before.next_run_at), (None, TestClock::START), "it is due");
    process.runner.start(false);
    until("it has run", async || process.status("tidy").await.last_run.is_some()).await;
    let after = process.status("tidy").await;
    let run = after.last_run.expect("just seen");
    assert_eq!((run.outcome, run.detail.as_str()), (JobOutcome::Succeeded, "quick"));
    assert_eq!(after.next_run_at, TestClock::START.plus_seconds(3600));
    assert_eq!((after.every, after.running_since), (HOUR, None));
    a_while().await;
    assert_eq!(job.runs(), 1, "it is not due again");

    process.clock.advance_seconds(3600);
    until("it runs again", async || job.runs() == 2).await;
    process.runner.stop().await;
}

#[tokio::test]
async fn runs_that_were_missed_are_caught_up_by_one() {
    let (job, process) = one(Plan::Quick);
    process.runner.start(false);
    until("it has run", async || process.status("tidy").await.last_run.is_some()).await;
    process.clock.advance_seconds(10 * 3600 + 5);
    until("it runs again", async || job.runs() == 2).await;
    a_while().await;
    assert_eq!(job.runs(), 2);
    let next = process.status("tidy").await.next_run_at;
    assert_eq!(next, TestClock::START.plus_seconds(11 * 3600 + 5));
    process.runner.stop().await;
}

#[tokio::test]
async fn a_job_runs_now_when_it_is_told_to_and_once_for_all_who_tell_it() {
    let (job, process) = one(Plan::Quick);
    assert_eq!(process.runner.run_now("dance").await.expect("it answers"), None);
    process.runner.start(false);
    until("it has run", async || process.status("tidy").await.last_run.is_some()).await;
    for _ in 0..3 {
        let told = process.runner.run_now("tidy").await.expect("it answers").expect("there is one");
        assert!(told.next_run_at <= TestClock::START);
    }
    until("it runs again", async || job.runs() >= 2).await;
    a_while().await;
    let runs = job.runs();
    assert!((2..=4).contains(&runs), "{runs}");
    process.runner.stop().await;
}

#[tokio::test]
async fn a_job_that_is_told_to_run_while_it_runs_runs_again_afterwards() {
    let (job, process) = one(Plan::Steps);
    process.runner.start(false);
    until("it runs", async || process.status("tidy").await.running_since.is_some()).await;
    process.runner.run_now("tidy").await.expect("it answers");
    until("it runs again", async || job.runs() == 2).await;
    until("it has ended", async || process.status("tidy").await.running_since.is_none()).await;
    assert_eq!(job.most_at_once.load(std::sync::atomic::Ordering::SeqCst), 1);
    process.runner.stop().await;
}

#[tokio::test]
async fn a_job_that_fails_or_panics_is_told_and_tried_again_sooner() {
    let (job, process) = one(Plan::Fails);
    process.runner.start(false);
    until("it has failed", async || process.outcome("tidy").await == Some(JobOutcome::Failed)).await;
    let status = process.status("tidy").await;
    assert_eq!(status.last_run.expect("just seen").detail, "no luck");
    assert_eq!(status.next_run_at, TestClock::START.plus_seconds(30));

    *job.plan.lock() = Plan::Panics;
    process.clock.advance_seconds(30);
    until("it has panicked", async || {
        process.status("tidy").await.last_run.is_some_and(|run| run.detail == "it panicked")
    })
    .await;
    *job.plan.lock() = Plan::Quick;
    process.clock.advance_seconds(60);
    until("it is well", async || process.outcome("tidy").await == Some(JobOutcome::Succeeded)).await;
    process.runner.stop().await;
}

#[tokio::test]
async fn a_job_that_fails_again_and_again_is_tried_more_and_more_seldom() {
    let (job, process) = one(Plan::Fails);
    process.runner.start(false);
    let mut now = TestClock::START;
    for (failures, pause) in [(1, 30), (2, 60), (3, 120), (4, 240)] {
        until("it has failed", async || process.status("tidy").await.next_run_at == now.plus_seconds(pause))
            .await;
        assert_eq!(job.runs(), failures);
        now = now.plus_seconds(pause);
        process.clock.advance_seconds(pause);
    }
    for _ in 0..6 {
        until("it has failed", async || process.status("tidy").await.next_run_at > now).await;
        let next = process.status("tidy").await.next_run_at;
        assert!(next <= now.plus_seconds(3600), "never longer than its own pause");
        process.clock.advance_seconds((next.millis() - now.millis()) / 1000);
        now = next;
    }
    *job.plan.lock() = Plan::Quick;
    until("it is well", async || process.outcome("tidy").await == Some(JobOutcome::Succeeded)).await;
    process.runner.stop().await;
}

#[tokio::test]
async fn a_wish_that_cannot_be_forgotten_leaves_the_lease_with_nobody() {
    let (job, process) = one(Plan::Quick);
    process.runner.start(false);
    until("it has run", async || process.status("tidy").await.last_run.is_some()).await;
    process.keep_wishes();
    process.runner.run_now("tidy").await.expect("it answers");
    until("it runs again", async || job.runs() >= 2).await;
    // Nobody waits for a lease to end: it runs on and on until the wish is gone.
    until("it runs once more", async || job.runs() >= 4).await;
    process.forget_wishes();
    until("the wish is gone", async || process.status("tidy").await.next_run_at > TestClock::START).await;
    process.runner.stop().await;
}

#[tokio::test]
async fn a_runner_that_stops_stops_its_jobs_and_the_next_one_goes_on_where_they_were() {
    let store = Arc::new(MemoryDocuments::new());
    let ids = Arc::new(CountingIds::new());
    let job = Diary::new("tidy", Plan::Steps);
    let first = Process::on(&store, &ids, std::slice::from_ref(&job));
    first.runner.start(false);
    until("some steps are done", async || job.steps.lock().len() >= 3).await;
    first.runner.stop().await;
    assert_eq!(first.outcome("tidy").await, Some(JobOutcome::Stopped));
    assert!(job.steps.lock().len() < 10, "it stopped half way");

    let second = Process::on(&store, &ids, std::slice::from_ref(&job));
    second.runner.start(false);
    until("it is done", async || second.outcome("tidy").await == Some(JobOutcome::Succeeded)).await;
    assert_eq!(*job.steps.lock(), (0..10).collect::<Vec<_>>(), "each step once");
    second.runner.stop().await;
}

#[tokio::test]
async fn a_job_that_takes_long_does_not_keep_another_waiting() {
    let (long, short) = (Diary::new("long", Plan::Endless), Diary::new("short", Plan::Quick));
    let process = Process::on(&Arc::default(), &Arc::new(CountingIds::new()), &[long.clone(), short.clone()]);
    process.runner.start(false);
    until("the short one has run", async || short.runs() == 1 && long.runs() == 1).await;
    process.runner.stop().await;
    assert_eq!(process.outcome("long").await, Some(JobOutcome::Stopped));
}
