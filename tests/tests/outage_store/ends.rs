//! How a program ends whose disk does not do what it should, and that the next one finds everything that was answered.

use std::cell::Cell;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::load::{Expected, World};
use super::program::Program;
use super::tracer::Tracer;

const SYNCS: &str = "fdatasync,fsync";
const STARTED_WITHIN: Duration = Duration::from_secs(20);
const SHUTDOWN_TIMEOUT: &str = "6s";
/// Calls in flight have the timeout, and what is closed behind them has it once more.
const ENDED_WITHIN: Duration = Duration::from_secs(15);

fn start() -> Program {
    let program = Program::start(&[("CREDIT_SERVER__SHUTDOWN_TIMEOUT", SHUTDOWN_TIMEOUT)]);
    program.wait_for("/health/ready", 200, STARTED_WITHIN);
    program
}

/// SIGTERM: it ends in time, and says that it did not end well.
fn is_told_to_stop(program: Program) -> TempDir {
    is_told_to_stop_while_traced(program, None)
}

fn is_told_to_stop_while_traced(mut program: Program, tracer: Option<Tracer>) -> TempDir {
    let began = Instant::now();
    program.terminate();
    program.wait_until_it_runs_no_more(ENDED_WITHIN);
    if let Some(tracer) = tracer {
        tracer.let_go_of_the_dead();
    }
    let status = program.wait(Duration::from_secs(1));
    let log = program.log();
    println!("it ended after {:?}", began.elapsed());
    assert_eq!(status.code(), Some(4), "{log}");
    assert!(log.contains("it did not stop cleanly"), "{log}");
    program.kill()
}

/// The store fails for good: it says so, stays so when the disk is well again, and loses nothing over the restart.
fn until_the_restart(what: &str, calls: &str, error: &str, reason: &str, end: fn(Program) -> TempDir) {
    let program = start();
    let world = World::new(&program);
    let left = world.failure(
        what,
        || Tracer::attach(&program, calls, &format!("error={error}")),
        &|world| {
            world.is_turned_away(&Expected::soon());
            world.says_that_the_store_failed();
            let log = world.program.log();
            assert!(log.contains("the store failed") && log.contains(reason), "{log}");
        },
        // Longer than healing may take where there is healing.
        &|world| {
            world.is_turned_away(&Expected { noticed_after: Duration::from_secs(11), ..Expected::soon() });
            world.says_that_the_store_failed();
            world.metrics_show_that_the_store_failed();
        },
    );
    let program = Program::start_in(end(program), &[]);
    program.wait_for("/health/ready", 200, STARTED_WITHIN);
    let mut world = World::after(&program, left);
    world.agree_on_what_is_left(what);
    world.is_healthy();
}

#[test]
fn a_sync_that_fails_is_the_end_until_the_restart_which_finds_every_answer() {
    until_the_restart("syncs fail", SYNCS, "EIO", "Input/output error", is_told_to_stop);
}

#[test]
fn a_write_that_fails_is_the_end_until_the_restart_which_finds_every_answer() {
    until_the_restart("writes fail", "pwrite64", "EIO", "Input/output error", is_told_to_stop);
}

/// Not as a write that finds none: what the sync should have kept may be gone, although a trial of the disk goes well.
#[test]
fn a_sync_that_finds_no_space_is_the_end_as_well() {
    until_the_restart("syncs find no space", SYNCS, "ENOSPC", "No space left on device", Program::kill);
}

#[test]
fn syncs_that_do_not_return_keep_no_program_that_is_told_to_stop_and_the_restart_finds_every_answer() {
    let what = "syncs do not return, and it is told to stop";
    let program = start();
    let world = World::new(&program);
    let tracer = Cell::new(None);
    let left = world.failure(
        what,
        || tracer.set(Some(Tracer::attach(&program, SYNCS, "delay_enter=120000000"))),
        &|world| {
            let (status, body, _) = world.look("held-");
            assert_eq!(status, 503, "{body}");
            world.is_ready_with_breakers_closed();
        },
        &|_| {},
    );
    let under_way = left.under_way(&program);
    std::thread::sleep(Duration::from_millis(500));
    let folder = is_told_to_stop_while_traced(program, tracer.take());
    let key = under_way.join().expect("no success");

    let program = Program::start_in(folder, &[]);
    program.wait_for("/health/ready", 200, STARTED_WITHIN);
    let mut world = World::after(&program, left);
    world.has_an_outcome(&key);
    world.agree_on_what_is_left(what);
    world.is_healthy();
}

/// Nobody has called, and there is nothing to drain: it is the closing of the store that hangs.
#[test]
fn nor_do_they_where_there_is_nothing_but_the_store_to_close() {
    let program = start();
    let mut world = World::new(&program);
    assert_eq!(world.look("before-").0, 201);
    let left = world.left();
    // The views of it have been written.
    std::thread::sleep(Duration::from_secs(3));
    let tracer = Tracer::attach(&program, SYNCS, "delay_enter=120000000");
    let folder = is_told_to_stop_while_traced(program, Some(tracer));
    let program = Program::start_in(folder, &[]);
    program.wait_for("/health/ready", 200, STARTED_WITHIN);
    world = World::after(&program, left);
    world.agree_on_what_is_left("the closing of the store hangs");
    world.is_healthy();
}
