//! The real program from its first start to its last: credentials, signals, one store for one process, and the commands
//! that work on it while it is stopped.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_credit-server");
const PATIENCE: Duration = Duration::from_secs(30);
/// How many answer calls; with one the lanes live there, and it stops in another order.
const THREADS: [&str; 2] = ["1", "2"];

/// A directory in which the service runs, with its environment.
struct Place {
    home: tempfile::TempDir,
    environment: Vec<(String, String)>,
}

/// The service while it runs; killed when it goes out of scope.
struct Running {
    process: Child,
    credentials: Value,
}

impl Place {
    fn new() -> Self {
        let environment = [("CREDIT_SERVER__PORT", "0"), ("CREDIT_METRICS__PORT", "0")];
        Self { home: tempfile::tempdir().expect("a directory"), environment: Vec::new() }.with(&environment)
    }

    fn with(mut self, environment: &[(&str, &str)]) -> Self {
        self.environment.extend(environment.iter().map(|(name, text)| ((*name).into(), (*text).into())));
        self
    }

    fn data(&self, file: &str) -> PathBuf {
        self.home.path().join(".credit").join(file)
    }

    fn program(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .args(arguments)
            .current_dir(self.home.path())
            .env_clear()
            .envs(self.environment.iter().cloned());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.program(arguments).output().expect("the program starts")
    }

    /// Starts it and waits until it is ready; ports are new ones at every start.
    fn start(&self) -> Running {
        let before = std::fs::read(self.data("dev-credentials.json")).unwrap_or_default();
        let log = std::fs::File::create(self.home.path().join("log")).expect("a file");
        let process =
            self.program(&[]).stdout(Stdio::null()).stderr(log).spawn().expect("the program starts");
        let mut running = Running { process, credentials: Value::Null };
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            assert!(running.process.try_wait().expect("waited").is_none(), "it ended: {}", self.log());
            let now = std::fs::read(self.data("dev-credentials.json")).unwrap_or_default();
            if now != before
                && let Ok(credentials) = serde_json::from_slice(&now)
            {
                running.credentials = credentials;
                if running.get("/health/ready").0 == 200 {
                    return running;
                }
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("it is not ready in time: {}", self.log());
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }
}

impl Running {
    fn base_url(&self) -> &str {
        self.credentials["base_url"].as_str().expect("a URL")
    }

    fn api_key(&self) -> &str {
        self.credentials["api_key"].as_str().expect("a key")
    }

    fn get(&self, path: &str) -> (u16, Value) {
        let request = agent().get(format!("{}{path}", self.base_url())).header("x-api-key", self.api_key());
        request.call().map_or((0, Value::Null), answer)
    }

    fn post(&self, path: &str, key: &str, body: &Value) -> (u16, Value) {
        let request = agent()
            .post(format!("{}{path}", self.base_url()))
            .header("x-api-key", self.api_key())
            .header("idempotency-key", key);
        request.send_json(body).map_or((0, Value::Null), answer)
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.process.id().to_string()]).status().expect("kill");
        assert!(sent.success());
    }

    /// Asks it to stop and waits for its exit code.
    fn stop(mut self) -> Option<i32> {
        self.signal("-TERM");
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(status) = self.process.try_wait().expect("waited") {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("it does not stop");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build().into()
}

fn answer(mut answer: ureq::http::Response<ureq::Body>) -> (u16, Value) {
    (answer.status().as_u16(), answer.body_mut().read_json().unwrap_or_default())
}

fn mode(path: &Path) -> u32 {
    path.metadata().expect("it is there").permissions().mode() & 0o777
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn login(service: &Running, admin: &Value) -> u16 {
    let body = json!({"login": admin["username"], "password": admin["password"]});
    let request = agent().post(format!("{}/v1/auth/login", service.base_url()));
    request.send_json(body).expect("an answer").status().as_u16()
}

#[test]
fn a_first_start_makes_an_admin_and_a_key_that_work_and_the_next_keeps_them() {
    let place = Place::new();
    let first = place.start();
    for file in ["dev-credentials.json", "dev-secrets.json"] {
        assert_eq!(mode(&place.data(file)), 0o600, "{file}");
    }
    assert_eq!(login(&first, &first.credentials["admin"]), 200);
    assert_eq!(first.get("/v1/wallets").0, 200);
    let (_, keys) = first.get("/.well-known/jwks.json");
    let before = first.credentials.clone();
    assert_eq!(first.stop(), Some(0));

    let again = place.start();
    assert_eq!(again.credentials["admin"], before["admin"]);
    assert_eq!(again.credentials["api_key"], before["api_key"]);
    assert_eq!(login(&again, &before["admin"]), 200);
    assert_eq!(again.get("/.well-known/jwks.json").1, keys);
    let (status, apps) = again.get("/v1/wallets");
    assert_eq!(
        (status, apps["data"].as_array().map(Vec::len)),
        (200, Some(1)),
        "one admin, one wallet: {apps}"
    );
}

#[test]
fn what_was_answered_is_there_after_a_kill() {
    let place = Place::new();
    let service = place.start();
    let user = json!({"username": "ada", "email": "ada@shop.example"});
    let (status, user) = service.post("/v1/users", "none", &user);
    assert_eq!(status, 201, "{user}");
    let id = user["id"].as_str().expect("an id");
    let (_, wallets) = service.get(&format!("/v1/wallets?user_id={id}"));
    let wallet = wallets["data"][0]["id"].as_str().expect("an id").to_owned();
    let grant = json!({"type": "grant", "wallet_id": wallet, "amount": 100});
    let (status, granted) = service.post("/v1/transactions", "grant-1", &grant);
    assert_eq!(status, 201, "{granted}");
    drop(service);

    let service = place.start();
    assert_eq!(service.get(&format!("/v1/wallets/{wallet}")).1["balance"], 100);
    assert_eq!(service.post("/v1/transactions", "grant-1", &grant), (201, granted));
    assert_eq!(service.get(&format!("/v1/wallets/{wallet}")).1["balance"], 100);
}

#[test]
fn one_store_belongs_to_one_process_and_the_refusal_names_it() {
    let place = Place::new();
    let service = place.start();
    let owner = service.process.id().to_string();
    for arguments in [
        &["serve"][..],
        &["store", "dump"],
        &["ledger", "verify"],
        &["ledger", "rebuild"],
        &["backup", "copy"],
        &["admin", "create", "--username", "root", "--email", "root@shop.example"],
        &["api-key", "create", "--name", "till"],
    ] {
        let refused = place.run(arguments);
        assert_eq!(refused.status.code(), Some(4), "{arguments:?}: {}", text(&refused.stderr));
        assert!(text(&refused.stderr).contains(&owner), "{arguments:?}: {}", text(&refused.stderr));
    }
    assert_eq!(service.get("/health/ready").0, 200);
}

#[test]
fn a_stopped_store_can_be_looked_into_checked_mended_and_copied() {
    let place = Place::new();
    let service = place.start();
    let user = json!({"username": "ada", "email": "ada@shop.example"});
    assert_eq!(service.post("/v1/users", "none", &user).0, 201);
    assert_eq!(service.stop(), Some(0));

    let tables = text(&place.run(&["store", "dump"]).stdout);
    assert!(tables.lines().any(|table| table == "documents/d.users"), "{tables}");
    let users = text(&place.run(&["store", "dump", "documents/d.users"]).stdout);
    assert!(
        users.lines().all(|row| serde_json::from_str::<Value>(row).is_ok()) && users.lines().count() == 2
    );
    assert!(!users.contains("ada@shop.example"), "personal fields are sealed at rest");

    let rebuilt = place.run(&["ledger", "rebuild"]);
    assert_eq!(rebuilt.status.code(), Some(0), "{}", text(&rebuilt.stderr));
    let copied = place.run(&["backup", "copy"]);
    assert_eq!(copied.status.code(), Some(0), "{}", text(&copied.stderr));
    assert_eq!(place.run(&["backup", "copy"]).status.code(), Some(1), "a copy is never written over");
    let copy = place.home.path().join("copy").display().to_string();
    for data_dir in [".credit", &copy] {
        let verified = place
            .program(&["ledger", "verify"])
            .env("CREDIT_DATA_DIR", data_dir)
            .output()
            .expect("it starts");
        let report: Value = serde_json::from_slice(&verified.stdout).expect("JSON");
        assert_eq!((verified.status.code(), &report["ok"]), (Some(0), &json!(true)), "{report}");
        assert_eq!(report["checked"]["wallets"], 2);
    }
}

#[test]
fn admins_and_keys_made_on_the_command_line_get_in() {
    let place = Place::new();
    assert_eq!(place.start().stop(), Some(0));
    std::fs::write(place.home.path().join("password"), "a long and quiet sentence\n").expect("written");
    let create = ["admin", "create", "--username", "root", "--email", "root@shop.example"];
    let made = place.run(&[&create[..], &["--password-file", "password"]].concat());
    assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
    assert!(!text(&made.stdout).contains("quiet"), "a password that was given is not told");
    assert_eq!(place.run(&create).status.code(), Some(1), "the name is taken");
    let key = place.run(&["api-key", "create", "--name", "till", "--scope", "wallets:read"]);
    let key: Value = serde_json::from_slice(&key.stdout).expect("JSON");
    assert_eq!(key["scopes"], json!(["wallets:read"]));

    let service = place.start();
    assert_eq!(login(&service, &json!({"username": "root", "password": "a long and quiet sentence"})), 200);
    let secret = key["secret"].as_str().expect("a secret");
    let ask = |path: &str| {
        let request = agent().get(format!("{}{path}", service.base_url())).header("x-api-key", secret);
        request.call().expect("an answer").status().as_u16()
    };
    assert_eq!((ask("/v1/wallets"), ask("/v1/users")), (200, 403));
}

/// A call of which all but the last byte has been sent.
fn half_a_user(service: &Running) -> TcpStream {
    let body = r#"{"username":"ada","email":"ada@shop.example"}"#;
    let address = service.base_url().trim_start_matches("http://");
    let mut wire = TcpStream::connect(address).expect("connected");
    let head = format!(
        "POST /v1/users HTTP/1.1\r\nhost: {address}\r\nx-api-key: {}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{}",
        service.api_key(),
        body.len(),
        &body[..body.len() - 1]
    );
    wire.write_all(head.as_bytes()).expect("sent");
    wire.set_read_timeout(Some(PATIENCE)).expect("set");
    // Until the worker has it.
    std::thread::sleep(Duration::from_millis(300));
    wire
}

#[test]
fn a_signal_lets_calls_in_flight_finish_and_takes_no_new_ones() {
    THREADS.into_iter().for_each(stop_beside_a_call);
}

fn stop_beside_a_call(threads: &str) {
    let place = Place::new().with(&[("CREDIT_SERVER__WORKERS", threads)]);
    let mut service = place.start();
    let mut wire = half_a_user(&service);
    service.signal("-TERM");
    std::thread::sleep(Duration::from_millis(300));
    assert!(service.process.try_wait().expect("waited").is_none(), "it waits for the call");
    assert_eq!(service.get("/health/ready").0, 0, "no new connection is taken");
    wire.write_all(b"}").expect("sent");
    let mut status = [0; 12];
    wire.read_exact(&mut status).expect("answered");
    assert_eq!(&status, b"HTTP/1.1 201");
    assert_eq!(service.process.wait().expect("waited").code(), Some(0));
    let users = text(&place.run(&["store", "dump", "documents/d.users"]).stdout);
    assert_eq!(users.lines().count(), 2, "what was answered is kept");
}

#[test]
fn a_second_signal_hurries() {
    THREADS.into_iter().for_each(hurry_past_a_call);
}

fn hurry_past_a_call(threads: &str) {
    let place = Place::new().with(&[("CREDIT_SERVER__WORKERS", threads)]);
    let mut service = place.start();
    let _wire = half_a_user(&service);
    service.signal("-TERM");
    std::thread::sleep(Duration::from_millis(300));
    assert!(service.process.try_wait().expect("waited").is_none(), "it waits for the call");
    let hurried = Instant::now();
    service.signal("-INT");
    assert_eq!(service.process.wait().expect("waited").code(), Some(0));
    assert!(hurried.elapsed() < Duration::from_secs(10), "it took {:?}", hurried.elapsed());
    assert_eq!(place.run(&["ledger", "verify"]).status.code(), Some(0));
}

#[test]
fn lanes_have_a_thread_of_their_own_unless_one_thread_answers_calls() {
    for (threads, has_own) in [("1", false), ("2", true)] {
        let place = Place::new().with(&[("CREDIT_SERVER__WORKERS", threads)]);
        let service = place.start();
        let tasks = std::fs::read_dir(format!("/proc/{}/task", service.process.id())).expect("it runs");
        let names: Vec<_> =
            tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok()).collect();
        assert!(names.iter().any(|name| name == "views\n"), "{names:?}");
        assert_eq!(names.iter().any(|name| name == "ledger\n"), has_own, "{threads}: {names:?}");
        assert_eq!(service.stop(), Some(0));
    }
}

#[test]
fn healthcheck_finds_the_service_by_its_configuration() {
    let place = Place::new();
    let service = place.start();
    for arguments in [&["healthcheck"][..], &["healthcheck", "--ready"]] {
        let output = place.run(arguments);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    }
    assert_eq!(service.stop(), Some(0));
    assert_eq!(place.run(&["healthcheck"]).status.code(), Some(1));
}

#[test]
fn metrics_are_on_their_own_port_and_logs_are_json_off_a_terminal() {
    let place = Place::new();
    let service = place.start();
    assert_eq!(service.get("/metrics").0, 404);
    let log = place.log();
    let events: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let serving = events.iter().find(|event| event["message"] == "serving").expect("it says so");
    let scraped = agent().get(serving["metrics"].as_str().expect("a URL")).call().expect("an answer");
    let scraped = scraped.into_body().read_to_string().expect("text");
    assert!(scraped.contains("# HELP credit_http_requests_total"), "{scraped}");
    let key = service.api_key();
    assert!(
        !log.contains(key) && !log.contains(service.credentials["admin"]["password"].as_str().expect("text"))
    );
}

#[test]
fn profile_prod_starts_with_its_own_secrets_and_makes_the_first_admin_alone() {
    let keys = ["AUTH__TOKEN_KEYS", "ENCRYPTION__KEYS", "ENCRYPTION__INDEX_KEYS", "ENCRYPTION__CURSOR_KEY"];
    let mut place = Place::new().with(&[("CREDIT_PROFILE", "prod"), ("CREDIT_SERVER__PORT", "0")]);
    assert_eq!(place.run(&[]).status.code(), Some(3));
    for (seed, name) in (1_u8..).zip(keys) {
        let key = format!("0{seed}1f77a24bd05c93e6f1b80d4a2c7739105ee6bf48d21a9c03f57e6b84d290ac");
        place = place.with(&[(&format!("CREDIT_{name}"), &key)]);
    }
    let place = place.with(&[
        ("CREDIT_BOOTSTRAP__ADMIN_USERNAME", "root"),
        ("CREDIT_BOOTSTRAP__ADMIN_EMAIL", "root@shop.example"),
        ("CREDIT_BOOTSTRAP__ADMIN_PASSWORD", "a long and quiet sentence"),
    ]);
    let log = std::fs::File::create(place.home.path().join("log")).expect("a file");
    let process = place.program(&[]).stdout(Stdio::piped()).stderr(log).spawn().expect("the program starts");
    let mut service = Running { process, credentials: json!({}) };
    let until = Instant::now() + PATIENCE;
    while service.credentials["base_url"].is_null() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(10));
        let events = place.log();
        let mut events = events.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        if let Some(serving) = events.find(|event| event["message"] == "serving") {
            service.credentials["base_url"] = serving["api"].clone();
        }
    }
    assert_eq!(login(&service, &json!({"username": "root", "password": "a long and quiet sentence"})), 200);
    assert!(!place.data("dev-credentials.json").exists() && !place.data("dev-secrets.json").exists());
    assert_eq!(service.stop(), Some(0));
}

#[test]
fn pages_of_an_allowed_origin_may_call_and_no_others() {
    let place = Place::new().with(&[("CREDIT_CORS__ALLOWED_ORIGINS", "https://shop.example")]);
    let service = place.start();
    let allowed = |origin: &str| {
        let request = agent().get(format!("{}/version", service.base_url())).header("origin", origin);
        let answer = request.call().expect("an answer");
        answer.headers().get("access-control-allow-origin").is_some()
    };
    assert!(allowed("https://shop.example"));
    assert!(!allowed("https://evil.example"));
}
