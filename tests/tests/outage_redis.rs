//! The real program while Redis is away, silent, slow, emptied or talking nonsense: what it answers, what it says of
//! itself, and that it heals by itself. Nothing but speed and sharing is lost with Redis.
#![expect(unused_must_use, reason = "an expected status is often all that a step has to show")]

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use credit_infra::testkit::mongod;
use credit_infra::testkit::proxy::{Mode, Proxy};
use credit_infra::testkit::redis_server::{RedisOptions, RedisServer};
use credit_tests::client::Client;
use credit_tests::contract::refused;
use credit_tests::people::{PASSWORD, Person, log_in, newcomer, post_empty, refresh};
use credit_tests::server::{Server, on_mongodb};
use credit_tests::story::{Owner, audit, purchase, register, transact, unique, wallet};
use serde_json::{Value, json};

const BACK_WITHIN: Duration = Duration::from_secs(10);
/// What a user may read in these tests; it gains a call in three minutes.
const READS: usize = 20;
const LOGIN_FAILURES: usize = 3;

fn start(redis_url: &str, more: &[(&str, &str)]) -> Server {
    let failures = LOGIN_FAILURES.to_string();
    let reads = format!("{READS}/1h");
    let mut settings = vec![
        ("CREDIT_CACHE__BACKEND", "redis"),
        ("CREDIT_CACHE__REDIS__URL", redis_url),
        ("CREDIT_RATE_LIMIT__ENABLED", "true"),
        ("CREDIT_RATE_LIMIT__USER__READ", &reads),
        ("CREDIT_AUTH__LOGIN_FAILURES_PER_ACCOUNT", &failures),
    ];
    settings.extend_from_slice(more);
    Server::start(&settings).expect("a server")
}

/// What the house says of the cache: its state and its breaker.
fn cache_of(admin: &Client) -> (String, String) {
    let health = admin.get("/health").expect(200).json();
    let all = health["dependencies"].as_array().expect("dependencies").clone();
    let cache = all.iter().find(|one| one["name"] == "cache").expect("the cache is a dependency");
    assert_eq!(cache["required"], false, "{cache}");
    let text = |name: &str| cache[name].as_str().unwrap_or_default().to_owned();
    // Without it the house is less well, and takes requests.
    let overall = if text("status") == "healthy" { "healthy" } else { "degraded" };
    assert_eq!(health["status"], overall, "{health}");
    (text("status"), text("breaker"))
}

fn metric(server: &Server, name: &str) -> f64 {
    let text = Client::nobody(&server.metrics_base().expect("an address")).get("/metrics").expect(200).body;
    let line =
        text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name}:\n{text}"));
    line.trim().parse().expect("a number")
}

/// Waits until the house says so, in `/health` and in its metrics.
#[track_caller]
fn wait_for(server: &Server, admin: &Client, status: &str, breaker: &str) {
    let begun = Instant::now();
    while cache_of(admin) != (status.to_owned(), breaker.to_owned()) {
        assert!(begun.elapsed() < BACK_WITHIN, "the cache is {:?}, not {status}", cache_of(admin));
        std::thread::sleep(Duration::from_millis(50));
    }
    let open = breaker == "open";
    assert!(
        (metric(server, "credit_breaker_state{dependency=\"cache\"}") - if open { 2.0 } else { 0.0 }).abs()
            < 0.1
    );
    assert!((metric(server, "credit_rate_limit_alone") - f64::from(u8::from(open))).abs() < 0.1);
}

/// What has to be true whatever Redis does.
struct House {
    server: Server,
    admin: Client,
    app: Client,
    owner: Owner,
    logged_out: Person,
    spent_refresh: String,
    locked_out: Person,
}

impl House {
    fn new(server: Server) -> Self {
        let (admin, app) = (server.admin(), server.app());
        let owner = register(&app);
        purchase(&app, &owner.wallet, 1_000_000);
        let logged_out = newcomer(&server);
        post_empty(&logged_out.client, "/v1/auth/logout").expect(204);
        let renewed = newcomer(&server);
        refresh(&server.nobody(), &renewed.refresh).expect(200);
        let locked_out = newcomer(&server);
        fail_to_log_in(&server, &locked_out);
        Self { server, admin, app, owner, logged_out, spent_refresh: renewed.refresh, locked_out }
    }

    fn wait_for(&self, status: &str, breaker: &str) {
        wait_for(&self.server, &self.admin, status, breaker);
    }

    /// Everything but sharing goes on.
    fn holds(&self) {
        let nobody = self.server.nobody();
        assert_eq!(nobody.get("/health/live").status, 200);
        assert_eq!(nobody.get("/health/ready").status, 200);
        transact(&self.app, &json!({"type": "spend", "wallet_id": self.owner.wallet, "amount": 1}))
            .expect(201);
        refused(&self.logged_out.client.get("/v1/auth/me"), 401, "unauthenticated");
        let again = refresh(&nobody, &self.spent_refresh);
        assert_eq!(again.status, 401, "{}", again.body);
        refused(&log_in(&nobody, &self.locked_out.username, PASSWORD), 429, "rate_limited");
        let stranger = newcomer(&self.server);
        fail_to_log_in(&self.server, &stranger);
        limits_hold(&newcomer(&self.server));
    }

    /// How long spends of a few people at once take, the middle and the 99th of a hundred, in milliseconds.
    fn spends(&self, each: usize) -> (f64, f64) {
        let spend = || {
            let begun = Instant::now();
            transact(&self.app, &json!({"type": "spend", "wallet_id": self.owner.wallet, "amount": 1}))
                .expect(201);
            begun.elapsed().as_secs_f64() * 1e3
        };
        let mut times: Vec<f64> = std::thread::scope(|scope| {
            let spenders: Vec<_> =
                (0..4).map(|_| scope.spawn(|| (0..each).map(|_| spend()).collect::<Vec<_>>())).collect();
            spenders.into_iter().flat_map(|spender| spender.join().expect("every spend succeeds")).collect()
        });
        times.sort_by(f64::total_cmp);
        (times[times.len() / 2], times[times.len() * 99 / 100])
    }
}

/// After as many failures as are allowed the right password waits too.
fn fail_to_log_in(server: &Server, person: &Person) {
    let nobody = server.nobody();
    for _ in 0..LOGIN_FAILURES {
        refused(&log_in(&nobody, &person.username, "wrong horse battery"), 401, "invalid_credentials");
    }
    refused(&log_in(&nobody, &person.username, PASSWORD), 429, "rate_limited");
}

/// Somebody new may read as often as it may, and then no more.
fn limits_hold(person: &Person) {
    let answers: Vec<_> = (0..READS + 5).map(|_| person.client.get("/v1/auth/me")).collect();
    let admitted = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(admitted, READS);
    let last = answers.last().expect("an answer");
    refused(last, 429, "rate_limited");
    assert!(last.header("retry-after").is_some_and(|seconds| seconds.parse::<u64>().is_ok_and(|s| s > 0)));
    let policy = last.header("ratelimit-policy").expect("a policy");
    assert!(policy.starts_with(&format!("\"user-read\";q={READS};w=3600, \"address-read\";q=")), "{policy}");
    assert!(
        last.header("ratelimit").is_some_and(|left| left.starts_with("\"user-read\";r=0;t=")),
        "{last:?}"
    );
}

fn tell(server: SocketAddr, command: &str) -> String {
    let mut stream = TcpStream::connect(server).expect("Redis listens");
    stream.write_all(format!("{command}\r\n").as_bytes()).expect("Redis reads");
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).expect("Redis answers");
    line.trim_end().to_owned()
}

/// What can be wrong with a Redis that is there.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    /// SIGSTOP.
    Stopped,
    /// `CLIENT PAUSE`.
    Paused,
    /// By two seconds.
    Slow,
    /// Bytes that mean nothing.
    Nonsense,
}

impl Trouble {
    fn begin(self, redis: &RedisServer, proxy: &Proxy) {
        match self {
            Self::Stopped => redis.pause(),
            Self::Paused => assert_eq!(tell(redis.address(), "CLIENT PAUSE 12000 ALL"), "+OK"),
            Self::Slow => proxy.set(Mode::Delay(Duration::from_secs(2))),
            Self::Nonsense => proxy.set(Mode::Garbage),
        }
    }

    fn end(self, redis: &RedisServer, proxy: &Proxy) {
        match self {
            Self::Stopped => redis.resume(),
            // Nothing is heard while it lasts, not even that it should end.
            Self::Paused => assert_eq!(tell(redis.address(), "PING"), "+PONG"),
            Self::Slow | Self::Nonsense => proxy.set(Mode::Pass),
        }
    }
}

#[test]
fn absent_at_the_start_it_is_not_waited_for_and_taken_up_when_it_comes() {
    let redis = RedisServer::start(RedisOptions::default());
    redis.kill();
    let house = House::new(start(&redis.url(), &[]));
    house.wait_for("unhealthy", "open");
    house.holds();
    redis.restart();
    house.wait_for("healthy", "closed");
    house.holds();
}

#[test]
fn killed_and_restored_it_costs_a_moment() {
    let redis = RedisServer::start(RedisOptions::default());
    let house = House::new(start(&redis.url(), &[]));
    house.wait_for("healthy", "closed");
    house.holds();
    house.spends(50);
    // The machine of a test is busy with other things now and then, but not each time on the same side.
    let mut ratios = Vec::new();
    for _ in 0..3 {
        let with = house.spends(150);
        redis.kill();
        let without = house.spends(150);
        house.wait_for("unhealthy", "open");
        house.holds();
        redis.restart();
        house.wait_for("healthy", "closed");
        println!("spends with Redis (median, p99 ms) {with:?}, from its death on {without:?}");
        ratios.push((without.0 / with.0, without.1 / with.1));
    }
    house.holds();
    let least = |of: fn(&(f64, f64)) -> f64| ratios.iter().map(of).fold(f64::INFINITY, f64::min);
    assert!(least(|ratio| ratio.0) < 2.0 && least(|ratio| ratio.1) < 2.0, "{ratios:?}");
    audit(&house.admin);
}

#[test]
fn silent_slow_or_talking_nonsense_it_is_left_alone_until_it_is_well() {
    let redis = RedisServer::start(RedisOptions::default());
    let proxy = Proxy::to(redis.address());
    let house = House::new(start(&redis.url_at(proxy.address()), &[]));
    for trouble in [Trouble::Stopped, Trouble::Paused, Trouble::Slow, Trouble::Nonsense] {
        println!("{trouble:?}");
        house.wait_for("healthy", "closed");
        trouble.begin(&redis, &proxy);
        house.wait_for("unhealthy", "open");
        house.holds();
        trouble.end(&redis, &proxy);
        house.wait_for("healthy", "closed");
    }
    house.holds();
}

#[test]
fn emptied_under_load_no_effect_is_doubled_and_no_session_comes_back() {
    let redis = RedisServer::start(RedisOptions::default());
    emptied_under_load(&redis, &House::new(start(&redis.url(), &[])));
}

/// Beside a store over a network sessions are in Redis as well.
#[test]
fn emptied_under_load_beside_mongodb_it_gives_no_session_back_either() {
    let redis = RedisServer::start(RedisOptions::default());
    let (uri, database) = (mongod::shared().uri(), mongod::fresh_database());
    let house = House::new(start(&redis.url(), &on_mongodb(&uri, &database, &[])));
    let person = newcomer(&house.server);
    person.client.get("/v1/auth/me").expect(200);
    assert_ne!(tell(redis.address(), "DBSIZE"), ":0", "sessions are kept in it");
    emptied_under_load(&redis, &house);
    person.client.get("/v1/auth/me").expect(200);
}

fn emptied_under_load(redis: &RedisServer, house: &House) {
    house.wait_for("healthy", "closed");
    let before = wallet(&house.app, &house.owner.wallet)["balance"].as_i64().expect("a balance");
    let (over, prefix) = (AtomicBool::new(false), unique("flush-"));
    let spend_twice = |key: &str| -> Value {
        let body = json!({"type": "spend", "wallet_id": house.owner.wallet, "amount": 1});
        let first = house.app.post_once("/v1/transactions", key, &body).expect(201);
        let again = house.app.post_once("/v1/transactions", key, &body).expect(201);
        assert_eq!(first.body, again.body);
        first.json()["id"].clone()
    };
    let keys: usize = std::thread::scope(|scope| {
        let spenders: Vec<_> = (0..3)
            .map(|spender| {
                let (over, prefix, spend_twice) = (&over, &prefix, &spend_twice);
                scope.spawn(move || {
                    let mut keys = 0;
                    while !over.load(Ordering::SeqCst) {
                        spend_twice(&format!("{prefix}{spender}-{keys}"));
                        keys += 1;
                    }
                    keys
                })
            })
            .collect();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(2) {
            assert_eq!(tell(redis.address(), "FLUSHALL"), "+OK");
            refused(&house.logged_out.client.get("/v1/auth/me"), 401, "unauthenticated");
            std::thread::sleep(Duration::from_millis(20));
        }
        over.store(true, Ordering::SeqCst);
        spenders.into_iter().map(|spender| spender.join().expect("the spender did not panic")).sum()
    });
    let after = wallet(&house.app, &house.owner.wallet)["balance"].as_i64().expect("a balance");
    assert_eq!(before - after, i64::try_from(keys).expect("few"));
    assert!(keys > 0);
    house.holds();
    audit(&house.admin);
}

#[test]
fn redis_over_tls_is_believed_by_its_ca_and_by_no_other() {
    let redis = RedisServer::start(RedisOptions {
        tls: true,
        password: Some("hunter2hunter2".to_owned()),
        ..RedisOptions::default()
    });
    let certificates = redis.certificates();
    for (ca, status, breaker) in
        [(&certificates.ca, "healthy", "closed"), (&certificates.stranger_ca, "unhealthy", "open")]
    {
        let ca = ca.display().to_string();
        let server = start(&redis.url(), &[("CREDIT_CACHE__REDIS__TLS_CA", &ca)]);
        let admin = server.admin();
        wait_for(&server, &admin, status, breaker);
        assert_eq!(server.nobody().get("/health/ready").status, 200);
        limits_hold(&newcomer(&server));
        assert!(!server.log().contains("hunter2"), "{}", server.log());
    }
}
