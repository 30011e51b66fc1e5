//! Every key is rotated while people work, and the program is killed in the middle of re-encryption: nobody is refused,
//! nothing becomes unreadable, and in the end nothing is under a key that is gone.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use credit_core::Clock;
use credit_infra::clock::SystemClock;
use credit_tests::client::{Answer, Client};
use credit_tests::people::{PASSWORD, log_in, newcomer, refresh, unknown};
use credit_tests::server::{Server, binary};
use parking_lot::RwLock;
use serde_json::{Value, json};

/// `CREDIT_TEST_ROTATIONS` asks for more or less.
const ROUNDS: u64 = 10;
/// So many that a re-encryption takes long enough to be killed half way.
const USERS: usize = 600;
const WORKERS: usize = 2;
const PATIENCE: Duration = Duration::from_secs(20);

fn program(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary().expect("the program"));
    command.args(arguments).current_dir(folder).env("CREDIT_DATA_DIR", folder);
    command.output().expect("it runs")
}

#[track_caller]
fn done(folder: &Path, arguments: &[&str]) -> Value {
    let output = program(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}

/// Somebody who is looked up again and again.
struct Known {
    id: String,
    email: String,
}

/// How the work goes on while the program is killed now and then.
#[derive(Default)]
struct Work {
    stop: AtomicBool,
    answered: AtomicU64,
    kills: AtomicU64,
    /// Held by who kills, from before the kill until it is ready again.
    killing: RwLock<()>,
}

impl Work {
    /// A call that must be answered well, unless the program was killed meanwhile: then it is made again.
    #[track_caller]
    fn call(&self, what: &str, call: impl Fn() -> Result<Answer, String>) -> Option<Answer> {
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return None;
            }
            drop(self.killing.read());
            let kills = self.kills.load(Ordering::SeqCst);
            let answer = call();
            if matches!(&answer, Ok(answer) if answer.status < 300) {
                self.answered.fetch_add(1, Ordering::Relaxed);
                return answer.ok();
            }
            let was_killed = self.killing.try_read().is_none() || kills != self.kills.load(Ordering::SeqCst);
            assert!(was_killed, "{what}: {answer:?}");
        }
    }

    /// Looks people up by id and by address, and logs somebody in.
    fn look_up(&self, app: &Client, nobody: &Client, known: &[Known], login: &str, offset: usize) {
        for one in known.iter().cycle().skip(offset) {
            let read = || app.call("GET", &format!("/v1/users/{}", one.id), &[], None);
            let Some(user) = self.call("read", read) else { return };
            assert_eq!(user.text("email"), one.email);
            let find = || app.call("GET", &format!("/v1/users?q={}", one.email), &[], None);
            let Some(found) = self.call("find", find) else { return };
            assert_eq!(found.json()["data"][0]["id"], one.id.as_str(), "{}", found.body);
            let body = json!({"login": login, "password": PASSWORD});
            let enter = || nobody.call("POST", "/v1/auth/login", &[], Some(&body));
            let Some(tokens) = self.call("log in", enter) else { return };
            let client = nobody.with_token(&tokens.text("access_token"));
            // The keys may be retired between the two, on a machine as busy as this one: then one logs in again.
            let me = || match client.call("GET", "/v1/auth/me", &[], None) {
                Ok(answer) if answer.status == 401 => enter(),
                other => other,
            };
            if self.call("use the token", me).is_none() {
                return;
            }
        }
    }
}

fn make_users(app: &Client) -> Vec<Known> {
    (0..USERS)
        .map(|number| {
            let email = format!("rotated-{number}@example.com");
            let body =
                json!({"username": format!("rotated-{number}"), "email": email, "profile": {"n": "x"}});
            Known { id: app.post("/v1/users", &body).expect(201).text("id"), email }
        })
        .collect()
}

fn token_keys(nobody: &Client) -> usize {
    let answer = nobody.call("GET", "/.well-known/jwks.json", &[], None);
    answer.map_or(0, |answer| answer.json()["keys"].as_array().map_or(0, Vec::len))
}

#[track_caller]
fn wait(what: &str, server: &Server, is_so: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "not in time: {what}\n{}", server.log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn job(admin: &Client) -> Value {
    let jobs = admin.get("/v1/jobs").json();
    let all = jobs["data"].as_array().cloned().unwrap_or_default();
    all.into_iter().find(|job| job["name"] == "key_reencryption").unwrap_or_default()
}

/// Makes the re-encryption due and waits until one more run has ended well.
fn one_more_run(server: &Server, admin: &Client) {
    let before = job(admin)["last_run"]["started_at"].clone();
    let due = admin.call("POST", "/v1/jobs/key_reencryption/run", &[], None).expect("an answer");
    assert!(due.status < 300, "{}", due.body);
    wait("the re-encryption ends", server, || {
        let run = job(admin)["last_run"].clone();
        run["started_at"] != before && run["outcome"] == "succeeded"
    });
}

/// Waits until a re-encryption that has begun since is under way. False if it was quicker than one looks.
fn is_under_way(admin: &Client, since: &str) -> bool {
    let until = Instant::now() + PATIENCE;
    loop {
        let job = job(admin);
        if job["running"] == true {
            return true;
        }
        if job["last_run"]["started_at"].as_str() > Some(since) || Instant::now() > until {
            return false;
        }
    }
}

/// The ids of the keys in front of sealed texts in files: a Fernet token begins with its version, 0x80.
fn keys_in_files(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for file in std::fs::read_dir(folder).expect("a folder") {
        let bytes = std::fs::read(file.expect("a file").path()).expect("readable");
        for (place, window) in bytes.windows(6).enumerate() {
            if window == b".gAAAA" && place >= 8 {
                found.insert(String::from_utf8_lossy(&bytes[place - 8..place]).into_owned());
            }
        }
    }
    found
}

#[test]
fn rotating_every_key_under_load_and_killing_it_half_way_refuses_nobody_and_leaves_nothing_behind() {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
    let port = port.to_string();
    let settings = [
        ("CREDIT_SERVER__PORT", port.as_str()),
        ("CREDIT_SECRETS__REFRESH", "1s"),
        ("CREDIT_AUTH__PASSWORD__MEMORY", "64"),
        ("CREDIT_AUTH__PASSWORD__ITERATIONS", "1"),
    ];
    let mut server = Server::start(&settings).expect("a server");
    let (app, nobody) = (server.app(), server.nobody());
    let known = make_users(&app);
    let person = newcomer(&server);
    let mut refresh_token = person.refresh.clone();
    let work = Work::default();
    let asked =
        std::env::var_os("CREDIT_TEST_ROTATIONS").and_then(|rounds| rounds.into_string().ok()?.parse().ok());
    let rounds = asked.unwrap_or(ROUNDS);
    let mut hits = 0;

    std::thread::scope(|scope| {
        for worker in 0..WORKERS {
            let (work, app, nobody, known, login) = (&work, &app, &nobody, &known, &person.email);
            scope.spawn(move || work.look_up(app, nobody, known, login, worker * 97));
        }
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for round in 0..rounds {
                let admin = server.admin();
                // What the last change of keys has set off is not what this one does.
                wait("the last run ends", &server, || job(&admin)["running"] == false);
                let old_token = log_in(&nobody, &person.username, PASSWORD).expect(200).text("access_token");
                let rotated = SystemClock::new().now().to_string();
                done(server.folder(), &["keys", "rotate"]);
                wait("the new keys are taken up", &server, || token_keys(&nobody) == 2);
                // It begins by itself, and is killed at another moment each time.
                let was_hit = is_under_way(&admin, &rotated);
                std::thread::sleep(Duration::from_millis(round % 5 * 10));
                hits += u64::from(was_hit && job(&admin)["running"] == true);
                let restarted = SystemClock::new().now().to_string();
                {
                    let _killing = work.killing.write();
                    server.kill_and_restart().expect("it starts again");
                    work.kills.fetch_add(1, Ordering::SeqCst);
                }
                assert_eq!(nobody.with_token(&old_token).get("/v1/auth/me").status, 200);
                // Nobody tells it: what was killed half way is done again by itself.
                let admin = server.admin();
                wait("the re-encryption is made again", &server, || {
                    let run = job(&admin)["last_run"].clone();
                    run["outcome"] == "succeeded" && run["started_at"].as_str() > Some(restarted.as_str())
                });
                refresh_token = refresh(&nobody, &refresh_token).expect(200).text("refresh_token");
                done(server.folder(), &["keys", "retire", "--force"]);
                wait("the old keys are gone", &server, || token_keys(&nobody) == 1);
                unknown(&nobody.with_token(&old_token).get("/v1/auth/me"));
            }
            // What only an index key that is gone could find is tidied away with the next look.
            one_more_run(&server, &server.admin());
        }));
        work.stop.store(true, Ordering::Relaxed);
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    });

    assert!(hits * 2 >= rounds, "only {hits} of {rounds} kills hit a re-encryption that was under way");
    assert!(work.answered.load(Ordering::Relaxed) > 50, "the load was too small to tell");
    for one in &known {
        assert_eq!(app.get(&format!("/v1/users/{}", one.id)).expect(200).text("email"), one.email);
    }
    assert_eq!(server.terminate().expect("it ends"), Some(0));
    let status = done(server.folder(), &["keys", "status"]);
    // Each start of profile dev has made an API key; those that nobody has used since are as they were.
    assert_eq!(status["stale"]["users"], 0, "{status:#}");
    let newest: BTreeSet<String> = status["keys"]["encryption.keys"]
        .as_array()
        .expect("ids")
        .iter()
        .filter_map(|id| id.as_str().map(str::to_owned))
        .collect();
    assert_eq!(newest.len(), 1, "{status:#}");
    assert_eq!(done(server.folder(), &["keys", "reencrypt"])["rewritten"], 0);
    // Rows as they are, without pages that were let go of: those the live file overwrites when it needs them.
    let copy = server.folder().join("copy");
    done(server.folder(), &["backup", &copy.display().to_string()]);
    assert_eq!(keys_in_files(&copy), newest);
}

#[test]
fn a_key_that_is_gone_before_its_time_is_told_and_nothing_is_lost() {
    let mut server = Server::start(&[]).expect("a server");
    let person = newcomer(&server);
    assert_eq!(server.terminate().expect("it ends"), Some(0));
    let secrets = server.folder().join("dev-secrets.json");
    let before = std::fs::read(&secrets).expect("there");
    done(server.folder(), &["keys", "rotate", "--set", "encryption"]);
    let needed = program(server.folder(), &["keys", "retire", "--set", "encryption"]);
    assert_eq!(needed.status.code(), Some(1));
    let why = String::from_utf8_lossy(&needed.stderr).into_owned();
    assert!(why.contains("no key was taken away") && why.contains("keys reencrypt"), "{why}");
    done(server.folder(), &["keys", "retire", "--set", "encryption", "--force"]);
    let refused = program(server.folder(), &["keys", "reencrypt"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("not among encryption.keys"));
    // With the key back, everything is.
    std::fs::write(&secrets, before).expect("written");
    assert_eq!(done(server.folder(), &["keys", "reencrypt"])["unreadable"], 0);
    server.start_again().expect("it starts");
    assert_eq!(log_in(&server.nobody(), &person.email, PASSWORD).status, 200);
}

#[test]
fn a_key_is_not_taken_away_while_nobody_can_see_whether_it_is_needed() {
    let mut server = Server::start(&[]).expect("a server");
    done(server.folder(), &["keys", "rotate", "--set", "encryption"]);
    let secrets = std::fs::read(server.folder().join("dev-secrets.json")).expect("there");
    let busy = program(server.folder(), &["keys", "retire", "--set", "encryption"]);
    assert!(!busy.status.success());
    assert!(String::from_utf8_lossy(&busy.stderr).contains("no key was taken away"));
    assert_eq!(std::fs::read(server.folder().join("dev-secrets.json")).expect("there"), secrets);
    assert_eq!(server.terminate().expect("it ends"), Some(0));
    assert_eq!(done(server.folder(), &["keys", "reencrypt"])["unreadable"], 0);
    done(server.folder(), &["keys", "retire", "--set", "encryption"]);
    assert_ne!(std::fs::read(server.folder().join("dev-secrets.json")).expect("there"), secrets);
}
