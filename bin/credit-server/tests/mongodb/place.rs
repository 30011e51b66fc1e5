//! A directory and a database in which the service runs.

use std::fs::File;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use credit_infra::testkit::mongod::{fresh_database, shared};
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_credit-server");
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A directory and an environment. The store is a database of its own on the MongoDB that all tests share.
pub(crate) struct Place {
    home: tempfile::TempDir,
    environment: Vec<(String, String)>,
}

impl Place {
    pub(crate) fn on_mongodb() -> Self {
        Self::at(shared().uri())
    }

    pub(crate) fn at(uri: impl Into<String>) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let (uri, database) = (uri.into(), fresh_database());
        Self { home, environment: Vec::new() }.with(&[
            ("CREDIT_STORE__BACKEND", "mongodb"),
            ("CREDIT_STORE__MONGODB__URI", &uri),
            ("CREDIT_STORE__MONGODB__DATABASE", &database),
            ("CREDIT_METRICS__PORT", "0"),
            ("CREDIT_RATE_LIMIT__ENABLED", "false"),
        ])
    }

    /// Which database its store is.
    pub(crate) fn database(&self) -> &str {
        let named = |(name, _): &&(String, String)| name == "CREDIT_STORE__MONGODB__DATABASE";
        self.environment.iter().rev().find(named).map(|(_, database)| database.as_str()).expect("it has one")
    }

    /// Later ones win.
    pub(crate) fn with(mut self, environment: &[(&str, &str)]) -> Self {
        self.environment.extend(environment.iter().map(|(name, text)| ((*name).into(), (*text).into())));
        self
    }

    pub(crate) fn data(&self, file: &str) -> PathBuf {
        self.home.path().join(".credit").join(file)
    }

    pub(crate) fn program(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .args(arguments)
            .current_dir(self.home.path())
            .env_clear()
            .envs(self.environment.iter().cloned());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.program(arguments).output().expect("the program starts")
    }

    /// Runs a command that must do it, and answers what it printed.
    pub(crate) fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// Runs a command that must refuse, and answers why.
    pub(crate) fn refused(&self, arguments: &[&str], code: i32) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stderr)
    }

    /// Starts it and does not wait.
    pub(crate) fn launch(&self) -> Running {
        let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("known").port();
        let log = self.home.path().join(format!("log-{free}"));
        let file = File::create(&log).expect("a file");
        let process = self
            .program(&[])
            .env("CREDIT_SERVER__PORT", free.to_string())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .expect("the program starts");
        let credentials = self.data("dev-credentials.json");
        Running { process, base: format!("http://127.0.0.1:{free}"), log, credentials }
    }

    /// Starts it and waits until it is ready.
    pub(crate) fn start(&self) -> Running {
        let mut running = self.launch();
        running.wait_until_ready();
        running
    }
}

/// The service while it runs; killed when it goes out of scope.
pub(crate) struct Running {
    process: Child,
    base: String,
    log: PathBuf,
    credentials: PathBuf,
}

impl Running {
    pub(crate) fn wait_until_ready(&mut self) {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            assert!(self.process.try_wait().expect("waited").is_none(), "it ended: {}", self.log());
            if self.get("/health/ready").0 == 200 {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("it is not ready in time: {}", self.log());
    }

    pub(crate) fn wait_for_its_end(&mut self) -> Option<i32> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(status) = self.process.try_wait().expect("waited") {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("it does not end: {}", self.log());
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(crate) fn credentials(&self) -> Value {
        let kept = std::fs::read_to_string(&self.credentials).unwrap_or_default();
        serde_json::from_str(&kept).unwrap_or_default()
    }

    fn api_key(&self) -> String {
        self.credentials()["api_key"].as_str().unwrap_or("none").to_owned()
    }

    pub(crate) fn get(&self, path: &str) -> (u16, Value) {
        let request = agent().get(format!("{}{path}", self.base)).header("x-api-key", self.api_key());
        request.call().map_or((0, Value::Null), answer)
    }

    pub(crate) fn post(&self, path: &str, key: &str, body: &Value) -> (u16, Value) {
        let request = agent()
            .post(format!("{}{path}", self.base))
            .header("x-api-key", self.api_key())
            .header("idempotency-key", key);
        request.send_json(body).map_or((0, Value::Null), answer)
    }

    /// The answer to a `GET` by the admin of the credentials.
    pub(crate) fn get_as_admin(&self, path: &str) -> (u16, Value) {
        let admin = &self.credentials()["admin"];
        self.get_as(
            admin["username"].as_str().expect("a name"),
            admin["password"].as_str().expect("one"),
            path,
        )
    }

    pub(crate) fn get_as(&self, username: &str, password: &str, path: &str) -> (u16, Value) {
        let login = json!({"login": username, "password": password});
        let login = agent().post(format!("{}/v1/auth/login", self.base)).send_json(&login);
        let (status, login) = login.map_or((0, Value::Null), answer);
        assert_eq!(status, 200, "{login}: {}", self.log());
        let token = login["access_token"].as_str().expect("a token");
        let request = agent().get(format!("{}{path}", self.base));
        request.header("authorization", format!("Bearer {token}")).call().map_or((0, Value::Null), answer)
    }

    /// A user with a wallet that has so many credits; answers the wallet.
    pub(crate) fn wallet_of(&self, name: &str, credits: u64) -> String {
        let user = json!({"username": name, "email": format!("{name}@shop.example")});
        let (status, user) = self.post("/v1/users", "none", &user);
        assert_eq!(status, 201, "{user}: {}", self.log());
        let wallets = self.get(&format!("/v1/wallets?user_id={}", user["id"].as_str().expect("an id"))).1;
        let wallet = wallets["data"][0]["id"].as_str().expect("an id").to_owned();
        let grant = json!({"type": "grant", "wallet_id": wallet, "amount": credits});
        let (status, granted) = self.post("/v1/transactions", &format!("grant-{name}"), &grant);
        assert_eq!(status, 201, "{granted}: {}", self.log());
        wallet
    }

    pub(crate) fn spend(&self, wallet: &str, key: &str, amount: u64) -> (u16, Value) {
        let spend = json!({"type": "spend", "wallet_id": wallet, "amount": amount});
        self.post("/v1/transactions", key, &spend)
    }

    pub(crate) fn balance(&self, wallet: &str) -> Value {
        self.get(&format!("/v1/wallets/{wallet}")).1["balance"].clone()
    }

    /// Asks it to stop and waits for its exit code.
    pub(crate) fn stop(mut self) -> Option<i32> {
        let sent =
            Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status().expect("kill");
        assert!(sent.success());
        self.wait_for_its_end()
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

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
