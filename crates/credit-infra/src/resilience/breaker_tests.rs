use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// A breaker and a time that goes on only when told.
struct World {
    breaker: Arc<Breaker>,
    now: Instant,
}

impl World {
    fn new() -> Self {
        let now = Instant::now();
        let settings = BreakerSettings { minimum_calls: 4, ..BreakerSettings::default() };
        Self { breaker: Breaker::seeded("test", settings, 7, now), now }
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
    }

    fn enter(&self) -> Result<Pass, Rejected> {
        self.breaker.enter(self.now)
    }

    fn call(&mut self, verdict: Verdict, took: Duration) {
        let pass = self.enter().expect("it is let through");
        self.now += took;
        pass.finish(verdict, self.now);
    }

    fn fail(&mut self, times: u32) {
        for _ in 0..times {
            self.call(Verdict::Failed, Duration::ZERO);
        }
    }

    fn succeed(&mut self, times: u32) {
        for _ in 0..times {
            self.call(Verdict::Answered, Duration::ZERO);
        }
    }

    fn state(&self) -> BreakerState {
        self.breaker.state_at(self.now)
    }
}

#[test]
fn it_opens_on_the_share_of_failures_but_not_on_few_calls() {
    let mut world = World::new();
    world.fail(3);
    assert_eq!(world.state(), BreakerState::Closed, "three calls are too few to tell");
    world.fail(1);
    assert_eq!(world.state(), BreakerState::Open);
    assert_eq!(world.enter().err(), Some(Rejected("test")));

    let mut world = World::new();
    world.succeed(6);
    world.fail(5);
    assert_eq!(world.state(), BreakerState::Closed, "five of eleven are not half");
    world.fail(1);
    assert_eq!(world.state(), BreakerState::Open);
}

#[test]
fn failures_that_lie_far_apart_do_not_open_it() {
    let mut world = World::new();
    for _ in 0..50 {
        world.fail(1);
        world.wait(4 * SECOND);
    }
    assert_eq!(world.state(), BreakerState::Closed);
}

#[test]
fn slow_calls_open_it_although_they_answer() {
    let mut world = World::new();
    for _ in 0..4 {
        assert_eq!(world.state(), BreakerState::Closed);
        world.call(Verdict::Answered, 2 * SECOND);
    }
    assert_eq!(world.state(), BreakerState::Open);
}

#[test]
fn it_lets_few_probes_through_and_closes_when_they_do_well() {
    let mut world = World::new();
    world.fail(4);
    world.wait(2 * SECOND);
    assert_eq!(world.state(), BreakerState::HalfOpen);
    let (first, second) = (world.enter().expect("a probe"), world.enter().expect("a probe"));
    assert!(world.enter().is_err(), "two at a time");
    first.finish(Verdict::Answered, world.now);
    assert!(world.enter().is_err(), "one has done well and one is on its way");
    second.finish(Verdict::Answered, world.now);
    assert_eq!(world.state(), BreakerState::Closed);
    world.fail(3);
    assert_eq!(world.state(), BreakerState::Closed, "the old failures are forgotten");
}

#[test]
fn a_probe_that_fails_opens_it_for_longer_up_to_a_bound() {
    let mut world = World::new();
    world.fail(4);
    let mut waits = Vec::new();
    for _ in 0..6 {
        let opened = world.now;
        while world.state() == BreakerState::Open {
            world.wait(Duration::from_millis(10));
        }
        waits.push(world.now - opened);
        world.call(Verdict::Failed, Duration::ZERO);
    }
    for (wait, expected) in waits.iter().zip([1_u32, 2, 4, 4, 4, 4]) {
        let (low, high) = (SECOND * expected * 3 / 4, SECOND * expected * 5 / 4 + Duration::from_millis(10));
        assert!((low..=high).contains(wait), "{wait:?} is not around {expected} s");
    }
    assert!(waits[2] != waits[3] || waits[3] != waits[4], "there is jitter: {waits:?}");
}

#[test]
fn a_slow_probe_is_no_good_sign() {
    let mut world = World::new();
    world.fail(4);
    world.wait(2 * SECOND);
    world.call(Verdict::Answered, 2 * SECOND);
    assert_eq!(world.state(), BreakerState::Open);
}

#[test]
fn a_probe_that_was_given_up_gives_its_place_back() {
    let mut world = World::new();
    world.fail(4);
    world.wait(2 * SECOND);
    let (first, second) = (world.enter().expect("a probe"), world.enter().expect("a probe"));
    drop(first);
    drop(second);
    world.succeed(2);
    assert_eq!(world.state(), BreakerState::Closed);
}

#[test]
fn what_began_before_it_opened_does_not_decide_what_comes_after() {
    let mut world = World::new();
    let late = world.enter().expect("closed");
    let later = world.enter().expect("closed");
    world.fail(4);
    late.finish(Verdict::Answered, world.now);
    world.wait(2 * SECOND);
    let probe = world.enter().expect("a probe");
    later.finish(Verdict::Failed, world.now);
    assert_eq!(world.state(), BreakerState::HalfOpen);
    probe.finish(Verdict::Answered, world.now);
    world.succeed(1);
    assert_eq!(world.state(), BreakerState::Closed);
}
