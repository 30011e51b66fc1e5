//! The real program, started on free ports and a directory of its own.

use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::Value;
use tempfile::TempDir;

use crate::client::Client;

/// Where the program is: `$CREDIT_SERVER_BIN`, else beside the tests.
pub fn binary() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os("CREDIT_SERVER_BIN") {
        return Ok(path.into());
    }
    let own = std::env::current_exe()?;
    let built =
        own.ancestors().skip(1).map(|folder| folder.join("credit-server")).find(|path| path.is_file());
    built.context("the program is not built: run `make test`, or `cargo build -p credit-server` first")
}

/// The settings, and before them those that put the store into this database.
pub fn on_mongodb<'a>(
    uri: &'a str,
    database: &'a str,
    settings: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    let place = [
        ("CREDIT_STORE__BACKEND", "mongodb"),
        ("CREDIT_STORE__MONGODB__URI", uri),
        ("CREDIT_STORE__MONGODB__DATABASE", database),
    ];
    place.iter().chain(settings).copied().collect()
}

/// Settings of processes on one database that hand each other commands.
pub const HANDING: [(&str, &str); 2] = [
    ("CREDIT_PEERS__LISTEN", "127.0.0.1:0"),
    ("CREDIT_PEERS__SECRET", "cGVlcnMtb2YtdGhlLXRlc3RzLXBlZXJzLW9mLXRlc3Q="),
];

/// The setting of where those of one machine reach each other.
pub const NEAR: &str = "CREDIT_PEERS__DIRECTORY";

/// A place for that: a directory that nobody else may enter.
pub fn near() -> std::io::Result<TempDir> {
    tempfile::Builder::new().permissions(Permissions::from_mode(0o700)).tempdir()
}

/// A running server. It is killed when dropped, and its directory goes with it.
pub struct Server {
    child: Child,
    folder: TempDir,
    settings: Vec<(String, String)>,
    credentials: Value,
}

impl Server {
    /// Starts on a fresh directory in profile `dev`.
    pub fn start(settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        Self::start_in(TempDir::new()?, settings)
    }

    /// Starts on a directory that may have been used before.
    pub fn start_in(folder: TempDir, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let settings: Vec<_> =
            settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let child = launch(folder.path(), &settings)?;
        let mut server = Self { child, folder, settings, credentials: Value::Null };
        server.wait_until_ready()?;
        Ok(server)
    }

    /// Starts on a fresh directory and does not wait: it may not become ready for long.
    pub fn launch(settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let folder = TempDir::new()?;
        let settings: Vec<_> =
            settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let child = launch(folder.path(), &settings)?;
        Ok(Self { child, folder, settings, credentials: Value::Null })
    }

    /// Another process on the same store, with the same settings and secrets and a directory of its own.
    pub fn start_another(&self) -> anyhow::Result<Self> {
        let folder = TempDir::new()?;
        std::fs::copy(self.folder().join("dev-secrets.json"), folder.path().join("dev-secrets.json"))?;
        let settings: Vec<_> =
            self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        Self::start_in(folder, &settings)
    }

    /// Waits until it takes calls, half a minute at most.
    pub fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let limit = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!("the server ended with {status}:\n{}", self.log());
            }
            if let Some(credentials) = self.read_credentials() {
                let base = credentials["base_url"].as_str().unwrap_or_default().to_owned();
                let ready = self.client(&base).call("GET", "/health/ready", &[], None);
                if ready.is_ok_and(|answer| answer.status == 200) {
                    self.credentials = credentials;
                    return Ok(());
                }
            }
            if Instant::now() > limit {
                bail!("the server is not ready after 30 s:\n{}", self.log());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn read_credentials(&self) -> Option<Value> {
        let text = std::fs::read_to_string(self.folder.path().join("dev-credentials.json")).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// What it has printed so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("server.log")).unwrap_or_default()
    }

    /// Where it listens.
    pub fn base(&self) -> &str {
        self.credentials["base_url"].as_str().unwrap_or_default()
    }

    /// Where its metrics are, as it prints it at its start.
    pub fn metrics_base(&self) -> anyhow::Result<String> {
        let log = self.log();
        let found = log.match_indices("/metrics").filter_map(|(end, _)| {
            let start = log[..end].rfind("http://")?;
            // The path stands also in the lines of calls.
            let address = &log[start..end];
            (!address.contains(['"', ' ', '\n'])).then(|| address.to_owned())
        });
        found.last().context("the server printed no metrics address")
    }

    /// Its directory.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A setting that it was started with.
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.settings.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Calls as nobody.
    pub fn nobody(&self) -> Client {
        self.client(self.base())
    }

    /// Over TLS it believes the authority in `authority.pem`, which whoever configured TLS put into the directory.
    fn client(&self, base: &str) -> Client {
        match std::fs::read_to_string(self.folder.path().join("authority.pem")) {
            Ok(authority) => Client::nobody_trusting(base, &authority),
            Err(_) => Client::nobody(base),
        }
    }

    /// The key of the default application.
    pub fn api_key(&self) -> &str {
        self.credentials["api_key"].as_str().unwrap_or_default()
    }

    /// Calls as the default application.
    pub fn app(&self) -> Client {
        self.nobody().with_key(self.api_key())
    }

    /// Calls as the first admin.
    pub fn admin(&self) -> Client {
        let admin = &self.credentials["admin"];
        let login = serde_json::json!({"login": admin["username"], "password": admin["password"]});
        let token = self.nobody().post("/v1/auth/login", &login).expect(200).text("access_token");
        self.nobody().with_token(&token)
    }

    /// `kill -9`, then starts again on the same directory.
    pub fn kill_and_restart(&mut self) -> anyhow::Result<()> {
        self.kill()?;
        self.start_again()
    }

    /// `kill -9`. [`Self::start_again`] goes on with the same directory.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM; answers the exit code. [`Self::start_again`] goes on with the same directory.
    pub fn terminate(&mut self) -> anyhow::Result<Option<i32>> {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        anyhow::ensure!(sent.success(), "SIGTERM could not be sent");
        Ok(self.child.wait()?.code())
    }

    /// Gives it another setting from its next start on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.settings.retain(|(known, _)| known != name);
        self.settings.push((name.to_owned(), value.to_owned()));
    }

    /// The same, as if it had never been set.
    pub fn unset(&mut self, name: &str) {
        self.settings.retain(|(known, _)| known != name);
    }

    /// Starts again on the same directory.
    pub fn start_again(&mut self) -> anyhow::Result<()> {
        let old = self.folder.path().join("dev-credentials.json");
        if old.exists() {
            std::fs::remove_file(old)?;
        }
        self.child = launch(self.folder.path(), &self.settings)?;
        self.wait_until_ready()
    }

    /// Resident memory in KiB, as the kernel tells it.
    pub fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

fn launch(folder: &Path, settings: &[(String, String)]) -> anyhow::Result<Child> {
    let log = File::options().create(true).append(true).open(folder.join("server.log"))?;
    let binary = binary()?;
    let mut command = Command::new(&binary);
    command.arg("serve").current_dir(folder).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CREDIT_") {
            command.env_remove(name);
        }
    }
    command.env("CREDIT_DATA_DIR", folder);
    command.env("CREDIT_SERVER__PORT", "0").env("CREDIT_METRICS__PORT", "0");
    command.envs(settings.iter().map(|(name, value)| (name, value)));
    command.spawn().with_context(|| format!("{} does not start", binary.display()))
}
