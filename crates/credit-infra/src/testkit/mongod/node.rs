use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::process::{Folder, Process, find, free_port};
use super::Options;

const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(60);
const ATTEMPTS: u32 = 5;

/// One `mongod`: its folder and port stay the same over its deaths.
pub(super) struct Node {
    folder: Arc<Folder>,
    home: PathBuf,
    port: u16,
    arguments: Vec<String>,
    process: Option<Process>,
}

impl Node {
    /// Starts it; `more` are its arguments beside those that every node has.
    pub(super) fn start(options: &Options, more: &[String], folder: &Arc<Folder>) -> Self {
        for attempt in 1..=ATTEMPTS {
            let port = free_port();
            let home = folder.path().join(format!("node-{port}"));
            let mut arguments = arguments(&home, port, options.cache_mib);
            arguments.extend_from_slice(more);
            arguments.extend_from_slice(&options.arguments);
            let mut node = Self { folder: folder.clone(), home, port, arguments, process: None };
            match node.run() {
                Ok(()) => return node,
                // Somebody was faster at the port.
                Err(log) if log.contains("Address already in use") && attempt < ATTEMPTS => {}
                Err(log) => panic!("mongod does not start:\n{log}"),
            }
        }
        unreachable!("the last attempt answers or panics")
    }

    fn run(&mut self) -> Result<(), String> {
        let program = find("MONGOD_BIN", "mongod", Some("mongod/mongod"), "run scripts/tools.sh mongod");
        let mut process = Process::start(&program, &self.arguments, &self.home, &self.folder);
        let limit = Instant::now() + START;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if process.has_ended() || Instant::now() > limit {
                return Err(self.log());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        // Whoever answered at the port may be another, and ours on its way out.
        if process.has_ended() {
            return Err(self.log());
        }
        self.process = Some(process);
        Ok(())
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    fn process(&self) -> &Process {
        self.process.as_ref().expect("the node runs")
    }

    pub(super) fn runs(&self) -> bool {
        self.process.is_some()
    }

    pub(super) fn kill(&mut self) {
        self.process = None;
    }

    pub(super) fn signal(&self, name: &str) {
        self.process().signal(name);
    }

    /// Ends it as an operator does, and waits until it has.
    pub(super) fn stop(&mut self) {
        self.signal("TERM");
        let limit = Instant::now() + STOP;
        while !self.process.as_mut().is_none_or(Process::has_ended) {
            assert!(Instant::now() < limit, "mongod does not stop:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        self.process = None;
    }

    /// Where its files are: those that it keeps, and what it said.
    pub(super) fn home(&self) -> &Path {
        &self.home
    }

    pub(super) fn restart(&mut self) {
        self.process = None;
        if let Err(log) = self.run() {
            panic!("mongod does not start again:\n{log}");
        }
    }

    /// The end of what it said.
    fn log(&self) -> String {
        let read = |name: &str| std::fs::read_to_string(self.home.join(name)).unwrap_or_default();
        let said = format!("{}{}", read("mongod.log"), read("output"));
        let lines: Vec<_> = said.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

fn arguments(home: &Path, port: u16, cache_mib: u32) -> Vec<String> {
    let data = home.join("data");
    std::fs::create_dir_all(&data).unwrap_or_else(|error| panic!("{}: {error}", data.display()));
    let (data, log) = (data.display().to_string(), home.join("mongod.log").display().to_string());
    let (port, cache) = (port.to_string(), (f64::from(cache_mib) / 1024.0).to_string());
    let own = [
        "--dbpath",
        &data,
        "--logpath",
        &log,
        "--logappend",
        "--port",
        &port,
        "--wiredTigerCacheSizeGB",
        &cache,
    ];
    let common = [
        "--bind_ip",
        "127.0.0.1",
        "--nounixsocket",
        "--quiet",
        "--setParameter",
        "enableTestCommands=1",
        "--setParameter",
        "diagnosticDataCollectionEnabled=false",
    ];
    own.into_iter().chain(common).map(ToOwned::to_owned).collect()
}
