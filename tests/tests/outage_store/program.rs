//! The program on ports that are known before it starts, so that it can be asked whatever state it is in.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use credit_tests::client::{Answer, Client};
use credit_tests::server::binary;
use serde_json::Value;
use tempfile::TempDir;

pub(crate) struct Program {
    child: Child,
    folder: TempDir,
    /// What it has printed. Not in a file: that would be cut short with the other files.
    printed: Arc<Mutex<String>>,
    base: String,
    metrics: String,
}

/// One that nobody has, and that the system gives to nobody who asks for any: those begin at 32768.
fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = std::process::id().wrapping_mul(64).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(20_000 + number % 12_000).expect("it is small");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

impl Program {
    /// Starts it and waits for nothing. A write that is larger than the process may make is an error for it and not its
    /// end, as on a disk that is full.
    pub(crate) fn start(settings: &[(&str, &str)]) -> Self {
        Self::start_in(TempDir::new().expect("a directory"), settings)
    }

    pub(crate) fn start_in(folder: TempDir, settings: &[(&str, &str)]) -> Self {
        Self::start_under(&[], folder, settings)
    }

    /// The same, started by another program: the arguments of that one come first.
    pub(crate) fn start_under(starter: &[&str], folder: TempDir, settings: &[(&str, &str)]) -> Self {
        let (port, metrics) = (free_port(), free_port());
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; exec \"$@\" serve 2>&1", "sh"]).args(starter);
        command.arg(binary().expect("the program"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CREDIT_") {
                command.env_remove(name);
            }
        }
        let mut child = command
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .env("CREDIT_DATA_DIR", folder.path().join("data"))
            .env("CREDIT_SERVER__PORT", port.to_string())
            .env("CREDIT_METRICS__PORT", metrics.to_string())
            .env("CREDIT_RATE_LIMIT__ENABLED", "false")
            .envs(settings.iter().copied())
            .spawn()
            .expect("sh is there");
        let printed = Arc::new(Mutex::new(String::new()));
        let (lines, kept) = (child.stdout.take().expect("it is piped"), printed.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(lines).lines().map_while(Result::ok) {
                let mut kept = kept.lock().expect("no panic");
                kept.push_str(&line);
                kept.push('\n');
            }
        });
        Self {
            child,
            folder,
            printed,
            base: format!("http://127.0.0.1:{port}"),
            metrics: format!("http://127.0.0.1:{metrics}"),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn data(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn log(&self) -> String {
        // The last lines may still be on their way.
        std::thread::sleep(Duration::from_millis(50));
        self.printed.lock().expect("no panic").clone()
    }

    pub(crate) fn nobody(&self) -> Client {
        Client::nobody(&self.base)
    }

    fn credentials(&self) -> Value {
        let text = std::fs::read_to_string(self.data().join("dev-credentials.json")).expect("credentials");
        serde_json::from_str(&text).expect("JSON")
    }

    pub(crate) fn app(&self) -> Client {
        self.nobody().with_key(self.credentials()["api_key"].as_str().expect("a key"))
    }

    /// Logs in as the first admin.
    pub(crate) fn login(&self) -> Answer {
        let admin = &self.credentials()["admin"];
        let body = serde_json::json!({"login": admin["username"], "password": admin["password"]});
        self.nobody().post("/v1/auth/login", &body)
    }

    pub(crate) fn admin(&self) -> Client {
        self.nobody().with_token(&self.login().expect(200).text("access_token"))
    }

    /// The status of a public page, and how long it took.
    pub(crate) fn page(&self, path: &str) -> (u16, Duration) {
        let began = Instant::now();
        let status = self.nobody().call("GET", path, &[], None).map_or(0, |answer| answer.status);
        (status, began.elapsed())
    }

    pub(crate) fn wait_for(&self, path: &str, status: u16, within: Duration) {
        let began = Instant::now();
        while self.page(path).0 != status {
            let why = self.nobody().call("GET", "/health/ready", &[], None).map(|answer| answer.body);
            assert!(began.elapsed() < within, "{path} is not {status}: {why:?}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// A public page, whatever its status.
    pub(crate) fn read(&self, path: &str) -> Answer {
        self.nobody().get(path)
    }

    /// The value of a metric, by its name with labels.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = Client::nobody(&self.metrics).get("/metrics").expect(200).body;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        line.unwrap_or(0.0)
    }

    /// Waits until it runs no more. While somebody traces its threads, that is before its end can be told.
    pub(crate) fn wait_until_it_runs_no_more(&self, within: Duration) {
        let began = Instant::now();
        let stat = format!("/proc/{}/stat", self.pid());
        // Its state stands behind its name, which is in parentheses.
        let is_over = || {
            let stat = std::fs::read_to_string(&stat).expect("nobody has asked for its end");
            stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z'))
        };
        while !is_over() {
            assert!(began.elapsed() < within, "it does not end\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for its end by itself.
    pub(crate) fn wait(&mut self, within: Duration) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it is ours") {
                return status;
            }
            assert!(began.elapsed() < within, "it does not end\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// SIGTERM.
    pub(crate) fn terminate(&self) {
        let sent = Command::new("kill").args(["-TERM", &self.pid().to_string()]).status();
        assert!(sent.expect("kill is there").success());
    }

    /// `kill -9`; gives the directory back.
    pub(crate) fn kill(mut self) -> TempDir {
        self.end();
        std::mem::replace(&mut self.folder, TempDir::new().expect("a directory"))
    }

    fn end(&mut self) {
        // It may have ended already.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }

    /// Lets no write go beyond so many bytes of a file; `unlimited` takes it back.
    pub(crate) fn limit_files(&self, limit: &str) {
        let limited = Command::new("prlimit")
            .args(["--pid", &self.pid().to_string(), &format!("--fsize={limit}:unlimited")])
            .status()
            .expect("prlimit of util-linux is there");
        assert!(limited.success());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.end();
    }
}

/// Whether a file is there.
pub(crate) fn exists(path: &Path) -> bool {
    path.exists()
}
