//! A disk of the embedded store that holds its syncs, or fails at them or at writes.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::load::World;
use super::program::Program;
use super::tracer::Tracer;

const SYNCS: &str = "fdatasync,fsync";
const STARTED_WITHIN: Duration = Duration::from_secs(20);
/// A call waits for its ledger, or for its write, for ten seconds.
const DEADLINE: Duration = Duration::from_secs(11);

fn start() -> Program {
    let program = Program::start(&[]);
    program.wait_for("/health/ready", 200, STARTED_WITHIN);
    program
}

#[test]
fn syncs_that_do_not_return_hold_nobody_beyond_the_deadline_and_all_is_well_when_they_do() {
    let program = start();
    let mut world = World::new(&program);
    let tracer = Cell::new(None);
    world.outage(
        "syncs do not return",
        || tracer.set(Some(Tracer::attach(&program, SYNCS, "delay_enter=60000000"))),
        || drop(tracer.take()),
        &|world| {
            let (status, body, took) = world.look("held-");
            assert_eq!(status, 503, "{body}");
            assert!(body.contains("\"unavailable\"") || body.contains("\"outcome_unknown\""), "{body}");
            assert!(took < DEADLINE, "{took:?}");
            let began = Instant::now();
            let login = world.program.login();
            assert_eq!(
                (login.status, login.text("code").as_str()),
                (503, "outcome_unknown"),
                "{}",
                login.body
            );
            assert!(began.elapsed() < DEADLINE, "{:?}", began.elapsed());
            // A disk that is busy is not a broken one: what is durable is read as ever, and no breaker turns.
            world.reads_within(Duration::from_secs(1));
            world.is_ready_with_breakers_closed();
        },
    );
    world.is_healthy();
    assert_eq!(program.login().status, 200);
}

#[test]
fn syncs_that_take_two_seconds_make_calls_slow_and_refuse_none() {
    let program = start();
    let mut world = World::new(&program);
    let tracer = Cell::new(None);
    world.outage(
        "a sync takes two seconds",
        || tracer.set(Some(Tracer::attach(&program, SYNCS, "delay_enter=2000000"))),
        || drop(tracer.take()),
        &|world| {
            for _ in 0..3 {
                let (status, body, took) = world.look("slow-");
                assert_eq!(status, 201, "{body}");
                assert!(took > Duration::from_secs(1), "{took:?}: nothing was slow");
                assert!(took < DEADLINE, "{took:?}");
                world.reads_within(Duration::from_secs(1));
            }
            world.is_ready_with_breakers_closed();
        },
    );
    world.is_healthy();
}
