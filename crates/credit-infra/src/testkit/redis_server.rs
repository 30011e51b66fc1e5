//! A real Redis server.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::process::{Folder, Process, find, free_port};
use super::tls::CertificateFiles;

const START: Duration = Duration::from_secs(30);
const ATTEMPTS: u32 = 5;

/// How it is started. The default asks for nothing.
#[derive(Debug, Clone, Default)]
pub struct RedisOptions {
    /// `requirepass`: letters and digits.
    pub password: Option<String>,
    /// Rules of the form `user NAME on >PASSWORD ~* +@all`, one user each.
    pub users: Vec<String>,
    /// Connections only with TLS, by the certificates of [`super::tls`].
    pub tls: bool,
    /// It is no Redis but a Sentinel, which watches this one under this name.
    pub sentinel_of: Option<(String, SocketAddr)>,
    /// Further arguments, such as `--maxmemory 1mb`.
    pub arguments: Vec<String>,
}

/// A running Redis that keeps nothing on disk. It ends when dropped.
pub struct RedisServer {
    options: RedisOptions,
    port: u16,
    process: Mutex<Option<Process>>,
    files: CertificateFiles,
    folder: Folder,
}

/// The URL of the Redis that all tests of this process share: `$CREDIT_TEST_REDIS_URL`, else one that is started. Use
/// keys with a prefix of your own, and leave it as it is.
pub fn shared_url() -> String {
    static SHARED: OnceLock<RedisServer> = OnceLock::new();
    match std::env::var_os("CREDIT_TEST_REDIS_URL") {
        Some(named) => named.to_string_lossy().into_owned(),
        None => SHARED.get_or_init(|| RedisServer::start(RedisOptions::default())).url(),
    }
}

impl RedisServer {
    /// Starts it and waits until it answers.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "it keeps them; a port that was taken meanwhile needs them twice"
    )]
    pub fn start(options: RedisOptions) -> Self {
        for attempt in 1..=ATTEMPTS {
            let folder = Folder::new("redis");
            let files = CertificateFiles::write(folder.path());
            let server = Self {
                options: options.clone(),
                port: free_port(),
                process: Mutex::new(None),
                files,
                folder,
            };
            match server.run() {
                Ok(()) => return server,
                // Somebody was faster at the port.
                Err(log) if log.contains("Address already in use") && attempt < ATTEMPTS => {}
                Err(log) => panic!("redis-server does not start:\n{log}"),
            }
        }
        unreachable!("the last attempt answers or panics")
    }

    fn run(&self) -> Result<(), String> {
        let how = "run scripts/tools.sh redis";
        let program = find("REDIS_SERVER_BIN", "redis-server", None, how);
        std::fs::write(self.folder.path().join("redis.conf"), self.configuration()).expect("a file");
        let sentinel = ["redis.conf", "--sentinel"];
        let arguments = if self.options.sentinel_of.is_some() { &sentinel[..] } else { &sentinel[..1] };
        let mut process = Process::start(&program, arguments, self.folder.path(), &self.folder);
        let limit = Instant::now() + START;
        while !self.answers() {
            if process.has_ended() || Instant::now() > limit {
                return Err(std::fs::read_to_string(self.folder.path().join("output")).unwrap_or_default());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        if process.has_ended() {
            return Err(std::fs::read_to_string(self.folder.path().join("output")).unwrap_or_default());
        }
        *self.process.lock() = Some(process);
        Ok(())
    }

    /// A file, so that the password is in no list of processes.
    fn configuration(&self) -> String {
        if let Some((name, master)) = &self.options.sentinel_of {
            let (ip, port) = (master.ip(), master.port());
            let mut lines = self.ports();
            lines.push(format!("sentinel monitor {name} {ip} {port} 1\n"));
            lines.extend(self.options.password.iter().map(|password| format!("requirepass {password}")));
            return lines.join("\n");
        }
        let mut lines = self.ports();
        lines.extend([
            "save \"\"".to_owned(),
            "appendonly no".to_owned(),
            "daemonize no".to_owned(),
            "databases 16".to_owned(),
        ]);
        lines.extend(self.options.password.iter().map(|password| format!("requirepass {password}")));
        lines.extend(self.options.users.iter().cloned());
        lines.extend(
            self.options.arguments.iter().map(|argument| argument.trim_start_matches("--").to_owned()),
        );
        lines.join("\n")
    }

    /// With TLS there is no plain port, and those it talks with by itself are spoken to with TLS as well.
    fn ports(&self) -> Vec<String> {
        let mut lines = vec!["bind 127.0.0.1".to_owned()];
        if !self.options.tls {
            lines.push(format!("port {}", self.port));
            return lines;
        }
        lines.extend([
            "port 0".to_owned(),
            format!("tls-port {}", self.port),
            format!("tls-cert-file {}", self.files.certificate.display()),
            format!("tls-key-file {}", self.files.key.display()),
            format!("tls-ca-cert-file {}", self.files.ca.display()),
            "tls-auth-clients no".to_owned(),
            "tls-replication yes".to_owned(),
        ]);
        lines
    }

    /// With TLS an open port is enough; else it says something, if only that a password is missing.
    fn answers(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(self.address()) else { return false };
        if self.options.tls {
            return true;
        }
        let mut first = [0];
        let wait = Some(Duration::from_secs(1));
        stream.set_read_timeout(wait).is_ok()
            && stream.write_all(b"PING\r\n").is_ok()
            && stream.read_exact(&mut first).is_ok()
    }

    /// Where it listens: for a proxy before it.
    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// How clients reach it, with the password of the default user and TLS where they are asked for. The CA is in
    /// [`Self::certificates`].
    pub fn url(&self) -> String {
        self.url_at(self.address())
    }

    /// The same through another address, such as a proxy's.
    pub fn url_at(&self, address: SocketAddr) -> String {
        let scheme = if self.options.tls { "rediss" } else { "redis" };
        let password = self.options.password.as_ref().map(|password| format!(":{password}@"));
        format!("{scheme}://{}{address}/", password.unwrap_or_default())
    }

    /// The certificates, as files.
    pub fn certificates(&self) -> &CertificateFiles {
        &self.files
    }

    /// What it answers to a command in words, line by line. Not with TLS.
    pub fn tell(&self, command: &str) -> Vec<String> {
        let mut stream = TcpStream::connect(self.address()).expect("Redis listens");
        stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes()).expect("Redis reads");
        BufReader::new(stream).lines().map_while(Result::ok).collect()
    }

    /// `kill -9`. What it kept is gone.
    pub fn kill(&self) {
        *self.process.lock() = None;
    }

    /// SIGSTOP: it keeps its connections and answers nothing.
    pub fn pause(&self) {
        self.signal("STOP");
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        self.process.lock().as_ref().expect("the server runs").signal(name);
    }

    /// Starts it again at the same address, empty.
    ///
    /// # Panics
    /// If it does not start.
    pub fn restart(&self) {
        self.kill();
        if let Err(log) = self.run() {
            panic!("redis-server does not start again:\n{log}");
        }
    }
}
