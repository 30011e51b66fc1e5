//! How often one call goes to Redis, with MongoDB and Redis together: once at most for the limits, not at all while the
//! calls that were granted ahead last, and for a session only when it has not been looked at lately.
#![expect(unused_must_use, reason = "an expected status is often all that a step has to show")]

use std::time::{Duration, Instant};

use credit_infra::testkit::mongod::{fresh_database, shared};
use credit_infra::testkit::redis_server::{RedisOptions, RedisServer};
use credit_tests::client::Client;
use credit_tests::people::{newcomer, post_empty};
use credit_tests::server::{Server, on_mongodb};
use credit_tests::story::{purchase, register, transact};
use serde_json::json;

/// So long what Redis granted ahead is good.
const LEASE: Duration = Duration::from_secs(1);
/// So long a session is believed from before the store was asked.
const BELIEVED: Duration = Duration::from_millis(750);
/// So well a process knows the time of Redis.
const EDGE: Duration = Duration::from_millis(100);
/// As many as somebody makes without a pause.
const CALLS: usize = 250;

/// What has been sent to Redis, as the process counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Trips {
    limits: u64,
    cache: u64,
}

impl Trips {
    fn of(metrics: &Client) -> Self {
        let text = metrics.get("/metrics").expect(200).body;
        let count = |purpose: &str| {
            let name = format!("credit_redis_round_trips_total{{purpose=\"{purpose}\"}} ");
            let line = text.lines().find_map(|line| line.strip_prefix(&name)?.trim().parse().ok());
            line.unwrap_or_else(|| panic!("{name} is not told:\n{text}"))
        };
        Self { limits: count("limits"), cache: count("cache") }
    }

    fn since(self, before: Self) -> Self {
        Self { limits: self.limits - before.limits, cache: self.cache - before.cache }
    }

    fn all(self) -> u64 {
        self.limits + self.cache
    }
}

/// One call, when, and what it sent to Redis.
struct Call {
    began: Instant,
    ended: Instant,
    sent: Trips,
}

/// Makes calls one after another, with a pause before each, and looks what each has sent.
fn calls(server: &Server, count: usize, pause: Duration, call: impl Fn()) -> Vec<Call> {
    let metrics = Client::nobody(&server.metrics_base().expect("an address"));
    let mut made = Vec::with_capacity(count);
    let mut before = Trips::of(&metrics);
    for _ in 0..count {
        std::thread::sleep(pause);
        let began = Instant::now();
        call();
        let (ended, now) = (Instant::now(), Trips::of(&metrics));
        made.push(Call { began, ended, sent: now.since(before) });
        before = now;
    }
    made
}

fn sum(calls: &[Call]) -> Trips {
    let add = |of: fn(&Trips) -> u64| calls.iter().map(|call| of(&call.sent)).sum();
    Trips { limits: add(|sent| sent.limits), cache: add(|sent| sent.cache) }
}

fn tell(what: &str, calls: &[Call]) {
    let (sent, count) = (sum(calls), u32::try_from(calls.len()).expect("few"));
    let each = f64::from(u32::try_from(sent.all()).expect("few")) / f64::from(count);
    println!(
        "{what}: {count} calls, {} for limits, {} for the cache: {each:.2} a call",
        sent.limits, sent.cache
    );
}

/// Calls that were granted ahead, as far as it can be told from outside: so many at least, and at most.
#[derive(Debug, Clone, Copy)]
struct Granted {
    size: (u64, u64),
    left: (u64, u64),
}

impl Granted {
    /// After a question: twice as many as before if those were used up, half as many if some were lost, else as many.
    fn again(self, is_good: bool, is_over: bool) -> Self {
        let (least, most) = self.size;
        let halved = (least / 2).max(1);
        let size = match (is_good, is_over) {
            (true, _) => (least * 2, most * 2),
            (_, true) if self.left.1 == 0 => (least, most),
            (_, true) => (halved, most),
            // The second was about to end: nobody knows.
            _ => (halved, most * 2),
        };
        Self { size, left: (size.0 - 1, size.1 - 1) }
    }
}

/// Once at most; and not at all while something is left of what was granted ahead.
fn limits_go_by_leases(what: &str, calls: &[Call]) {
    let mut known: Option<(&Call, Granted)> = None;
    for (number, call) in calls.iter().enumerate() {
        let sent = call.sent.limits;
        assert!(sent <= 1, "{what}: call {number} went to Redis {sent} times for the limits");
        let Some((asked, granted)) = &mut known else {
            assert_eq!(sent, 1, "{what}: nobody was granted anything before call {number}");
            known = Some((call, Granted { size: (1, 1), left: (0, 0) }));
            continue;
        };
        // Granted while the last one that asked was under way.
        let is_good = call.ended < asked.began + LEASE;
        let is_over = call.began >= asked.ended + LEASE;
        if is_good && granted.left.0 > 0 {
            assert_eq!(sent, 0, "{what}: call {number} asked although something was left: {granted:?}");
        }
        if is_over || granted.left.1 == 0 {
            assert_eq!(sent, 1, "{what}: call {number} did not ask, and nothing was left: {granted:?}");
        }
        if sent == 1 {
            known = Some((call, granted.again(is_good, is_over)));
        } else {
            granted.left = (granted.left.0.saturating_sub(1), granted.left.1 - 1);
        }
    }
}

/// Nothing while the session is believed that the process itself looked up, else a question and what the store says.
fn sessions_are_believed(what: &str, calls: &[Call]) {
    let mut looked_up = None::<&Call>;
    for (number, call) in calls.iter().enumerate() {
        let sent = call.sent.cache;
        if looked_up.is_some_and(|looked_up| call.ended < looked_up.began + BELIEVED) {
            assert_eq!(sent, 0, "{what}: call {number} asked for a session that is known");
        }
        if looked_up.is_none_or(|looked_up| call.began >= looked_up.ended + BELIEVED + EDGE) {
            assert_eq!(sent, 2, "{what}: call {number} looked up nothing");
        }
        // At the edge Redis may know it for a moment longer than this process.
        assert!(sent <= 2, "{what}: call {number} went to Redis {sent} times for a session");
        if sent == 2 {
            looked_up = Some(call);
        }
    }
}

/// What the process counts is what Redis was really asked. Beside it the process asks how Redis is, once in a second.
fn are_what_redis_counts(scripts: u64, sent: Trips, time: Duration) {
    let beside = scripts.checked_sub(sent.limits).expect("more is counted than was asked");
    assert!(beside <= time.as_secs() + 2, "{beside} scripts that nobody counts in {time:?}");
}

/// How often one who calls without a pause asks at most: 1 + 2 + 4 + … 128 calls granted ahead are 255, and in each second
/// that passes meanwhile what is left can be lost once, and be asked for again in two steps.
fn questions_within(time: Duration) -> u64 {
    8 + 3 * (time.as_secs() + 1)
}

/// An API key of the application of this user, which may spend.
fn new_key(server: &Server, user: &str) -> String {
    let admin = server.admin();
    let app = admin.get(&format!("/v1/users/{user}")).expect(200).text("app_id");
    let wanted = json!({"app_id": app, "name": "spends", "scopes": ["wallets:read", "transactions:write"]});
    admin.post("/v1/api-keys", &wanted).expect(201).text("secret")
}

/// How many scripts Redis has been asked to run: its own count.
fn scripts(redis: &RedisServer) -> u64 {
    let lines = redis.tell("INFO commandstats");
    let line = lines.iter().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls="));
    line.and_then(|line| line.split(',').next()?.parse().ok()).unwrap_or(0)
}

fn start(redis: &RedisServer) -> Server {
    let url = redis.url();
    let mongodb = shared().uri();
    let settings = [("CREDIT_CACHE__BACKEND", "redis"), ("CREDIT_CACHE__REDIS__URL", url.as_str())];
    let server = Server::start(&on_mongodb(&mongodb, &fresh_database(), &settings)).expect("a server");
    // Redis is taken up in the background.
    let began = Instant::now();
    while server.admin().get("/health").json()["status"] != "healthy" {
        assert!(began.elapsed() < Duration::from_secs(10), "{}", server.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    server
}

#[test]
fn a_spend_of_an_application_goes_to_redis_once_at_most_and_seldom_when_there_are_many() {
    let redis = RedisServer::start(RedisOptions::default());
    let server = start(&redis);
    let owner = register(&server.app());
    purchase(&server.app(), &owner.wallet, 1_000_000);
    // Nobody has called with this one yet: nothing was granted ahead.
    let app = server.nobody().with_key(&new_key(&server, &owner.user));
    let spend = json!({"type": "spend", "wallet_id": owner.wallet, "amount": 1});
    let (began, before) = (Instant::now(), scripts(&redis));
    let many = calls(&server, CALLS, Duration::ZERO, || _ = transact(&app, &spend).expect(201));
    tell("an application spends as fast as it can", &many);
    are_what_redis_counts(scripts(&redis) - before, sum(&many), began.elapsed());
    assert_eq!(sum(&many).cache, 0, "an API key is not looked up in Redis");
    limits_go_by_leases("fast", &many);
    assert!(
        sum(&many).limits <= questions_within(began.elapsed()),
        "{:?} in {:?}",
        sum(&many),
        began.elapsed()
    );

    let few = calls(&server, 4, LEASE + Duration::from_millis(50), || _ = transact(&app, &spend).expect(201));
    tell("an application spends once in a second", &few);
    assert!(few.iter().all(|call| call.sent == Trips { limits: 1, cache: 0 }));
}

#[test]
fn a_read_of_a_user_goes_to_redis_once_at_most_for_its_limits_and_twice_for_a_session_not_seen_lately() {
    let redis = RedisServer::start(RedisOptions::default());
    let server = start(&redis);
    let person = newcomer(&server);
    let read = || _ = person.client.get("/v1/wallets").expect(200);
    let (began, before) = (Instant::now(), scripts(&redis));
    let many = calls(&server, CALLS, Duration::ZERO, read);
    tell("a user reads as fast as it can", &many);
    let took = began.elapsed();
    are_what_redis_counts(scripts(&redis) - before, sum(&many), took);
    // Such a call is charged to the user and to the address: one question for both, if either has nothing left.
    assert!(many.iter().all(|call| call.sent.limits <= 1), "a call went to Redis twice for its limits");
    assert!(sum(&many).limits <= 2 * questions_within(took), "{:?} in {took:?}", sum(&many));
    sessions_are_believed("fast", &many);
    let looks = u64::try_from(took.as_millis() / BELIEVED.as_millis()).expect("few") + 1;
    assert!(sum(&many).cache <= 3 * looks, "{} for sessions in {took:?}", sum(&many).cache);
    assert!(
        sum(&many).all() * 2 < u64::try_from(CALLS).expect("few"),
        "{:?}: every second call goes to Redis",
        sum(&many)
    );

    // Who calls once in a second pays for everything each time.
    let few = calls(&server, 4, LEASE + Duration::from_millis(50), read);
    tell("a user reads once in a second", &few);
    assert!(few.iter().all(|call| call.sent == Trips { limits: 1, cache: 2 }));
}

/// What another process has put into Redis is kept here as well once it was asked for, as long as it is good there.
#[test]
fn a_session_that_another_process_has_looked_up_costs_one_question_in_all() {
    let redis = RedisServer::start(RedisOptions::default());
    let one = start(&redis);
    let other = one.start_another().expect("another server");
    let person = newcomer(&one);
    let elsewhere = other.nobody().with_token(&person.access);
    // The other one has Redis and knows who asks.
    elsewhere.get("/v1/wallets").expect(200);
    let mut counted = 0;
    for _ in 0..5 {
        std::thread::sleep(LEASE);
        let looked_up = Instant::now();
        person.client.get("/v1/wallets").expect(200);
        let shared = calls(&other, 10, Duration::ZERO, || _ = elsewhere.get("/v1/wallets").expect(200));
        // Beyond that time each process looks it up for itself.
        let in_time: Vec<_> =
            shared.into_iter().filter(|call| call.ended + EDGE < looked_up + BELIEVED).collect();
        tell("a user reads where another process has looked up its session", &in_time);
        let asked: Vec<_> = in_time.iter().map(|call| call.sent.cache).collect();
        assert!(
            asked.iter().enumerate().all(|(number, asked)| *asked == u64::from(number == 0)),
            "{asked:?}"
        );
        assert!(in_time.iter().all(|call| call.sent.limits <= 1));
        counted += in_time.len();
    }
    assert!(counted >= 5, "{counted}");
    post_empty(&person.client, "/v1/auth/logout").expect(204);
}
