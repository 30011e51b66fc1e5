use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::super::process::Folder;
use super::super::proxy::Proxy;
use super::super::tls::CertificateFiles;
use super::node::Node;
use super::{Login, Options, admin};

const SET: &str = "credit";
const ANSWER: Duration = Duration::from_secs(20);
const ELECTION: Duration = Duration::from_secs(60);

/// A running MongoDB: the nodes of a replica set, or one server by itself. All end when this is dropped.
pub struct Mongo {
    options: Options,
    nodes: Vec<Mutex<Node>>,
    ports: Vec<u16>,
    proxies: Vec<Proxy>,
    files: CertificateFiles,
    // Of the nodes, with the certificates and the key of the set.
    _folder: Arc<Folder>,
}

impl Mongo {
    /// Starts it, and waits until it has a primary and every other node follows it.
    pub fn start(options: Options) -> Self {
        let folder =
            Arc::new(if options.in_memory { Folder::in_memory("mongo") } else { Folder::new("mongo") });
        let files = CertificateFiles::write(folder.path());
        let arguments = arguments(&options, &files, folder.path());
        let nodes: Vec<_> = (0..options.nodes).map(|_| Node::start(&options, &arguments, &folder)).collect();
        let ports = nodes.iter().map(Node::port).collect::<Vec<_>>();
        let proxies = if options.proxied {
            ports.iter().map(|port| Proxy::to(([127, 0, 0, 1], *port).into())).collect()
        } else {
            Vec::new()
        };
        let nodes = nodes.into_iter().map(Mutex::new).collect();
        let mongo = Self { options, nodes, ports, proxies, files, _folder: folder };
        if !mongo.options.standalone {
            mongo.initiate();
        }
        mongo.make_first_user();
        mongo
    }

    fn initiate(&self) {
        let members: Vec<_> =
            (0..self.ports.len()).map(|number| json!({"_id": number, "host": self.host(number)})).collect();
        let config = json!({
            "_id": SET,
            "members": members,
            "writeConcernMajorityJournalDefault": self.options.majority_journals,
            "settings": {
                "electionTimeoutMillis": self.options.election_timeout_ms,
                "heartbeatIntervalMillis": self.options.election_timeout_ms / 4,
            },
        });
        let uri = self.uri_of(0, None);
        admin::run(&uri, "admin", ("replSetInitiate", &config), &json!({}), ANSWER)
            .unwrap_or_else(|error| panic!("the replica set does not begin: {error}"));
        self.wait_until_whole();
    }

    /// Waits until there is a primary and every other node follows it.
    ///
    /// # Panics
    /// If that is not so after a minute.
    pub fn wait_until_whole(&self) {
        self.primary();
        let limit = Instant::now() + ELECTION;
        let is_member = |node| self.is(node, "isWritablePrimary") || self.is(node, "secondary");
        while !(0..self.ports.len()).all(is_member) {
            assert!(Instant::now() < limit, "a node does not follow the primary");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn make_first_user(&self) {
        let Some(login) = &self.options.login else { return };
        // Who comes from loopback may make the first user.
        let uri = self.uri_of(if self.options.standalone { 0 } else { self.primary() }, None);
        let user = json!({"pwd": login.password, "roles": [{"role": "root", "db": "admin"}]});
        admin::run(&uri, "admin", ("createUser", &json!(login.user)), &user, ANSWER)
            .unwrap_or_else(|error| panic!("the first user cannot be made: {error}"));
    }

    /// How clients reach it: every node, the name of the set, TLS and the first user where they are asked for. Without a
    /// database.
    pub fn uri(&self) -> String {
        self.uri_as(self.options.login.as_ref())
    }

    /// The same as another user, or as nobody.
    pub fn uri_as(&self, login: Option<&Login>) -> String {
        let hosts: Vec<_> = (0..self.ports.len()).map(|number| self.host(number)).collect();
        let set = if self.options.standalone { "directConnection=true" } else { "replicaSet=credit" };
        format!("mongodb://{}{}/?{set}{}", prefix(login), hosts.join(","), self.suffix(login))
    }

    /// How one node is reached, and no other, past its proxy.
    pub fn direct_uri(&self, node: usize) -> String {
        self.uri_of(node, self.options.login.as_ref())
    }

    fn uri_of(&self, node: usize, login: Option<&Login>) -> String {
        let waits = "directConnection=true&serverSelectionTimeoutMS=2000&connectTimeoutMS=2000";
        format!("mongodb://{}127.0.0.1:{}/?{waits}{}", prefix(login), self.ports[node], self.suffix(login))
    }

    fn suffix(&self, login: Option<&Login>) -> String {
        let tls = self.options.tls.then(|| format!("&tls=true&tlsCAFile={}", self.files.ca.display()));
        let source = login.map(|_| "&authSource=admin");
        format!("{}{}", tls.unwrap_or_default(), source.unwrap_or_default())
    }

    /// As clients and the other nodes name the node.
    fn host(&self, node: usize) -> String {
        match self.proxies.get(node) {
            Some(proxy) => proxy.address().to_string(),
            None => format!("127.0.0.1:{}", self.ports[node]),
        }
    }

    /// The proxy before the node, with [`Options::proxied`].
    ///
    /// # Panics
    /// Without that option.
    pub fn proxy(&self, node: usize) -> &Proxy {
        &self.proxies[node]
    }

    /// The certificates, as files.
    pub fn certificates(&self) -> &CertificateFiles {
        &self.files
    }

    /// How many nodes there are.
    pub fn nodes(&self) -> usize {
        self.ports.len()
    }

    /// Runs a command on the node: `name: argument`, and further members. The error is what the driver says.
    pub fn command(
        &self,
        node: usize,
        database: &str,
        name: &str,
        argument: &Value,
        members: &Value,
    ) -> Result<Value, String> {
        admin::run(&self.direct_uri(node), database, (name, argument), members, ANSWER)
    }

    /// Every document of a database, by its collection: to look at what is kept.
    ///
    /// # Panics
    /// If the server does not tell.
    pub fn everything(&self, database: &str) -> Vec<(String, Value)> {
        let node = if self.options.standalone { 0 } else { self.primary() };
        let ask = |name: &str, argument: Value, members: Value| {
            self.command(node, database, name, &argument, &members).unwrap_or_else(|error| panic!("{error}"))
        };
        let listed =
            ask("listCollections", json!(1), json!({"nameOnly": true, "cursor": {"batchSize": 10_000}}));
        let names = listed["cursor"]["firstBatch"].as_array().expect("a list").iter();
        let all = names.filter_map(|row| row["name"].as_str()).flat_map(|name| {
            let found = ask("find", json!(name), json!({"batchSize": 100_000}));
            let rows = found["cursor"]["firstBatch"].as_array().expect("a list").clone();
            rows.into_iter().map(|row| (name.to_owned(), row)).collect::<Vec<_>>()
        });
        all.collect()
    }

    /// Sets `failCommand` on the node: `mode` is `{"times": 1}`, `"alwaysOn"` or `"off"`; `data` names the commands and
    /// what becomes of them.
    ///
    /// # Panics
    /// If the server refuses it.
    pub fn fail_command(&self, node: usize, mode: &Value, data: &Value) {
        let members = json!({"mode": mode, "data": data});
        let set = self.command(node, "admin", "configureFailPoint", &json!("failCommand"), &members);
        set.unwrap_or_else(|error| panic!("failCommand cannot be set: {error}"));
    }

    /// Makes a user with these roles on these databases, beside the first.
    ///
    /// # Panics
    /// If the server refuses it.
    pub fn create_user(&self, login: &Login, roles: &Value) {
        let members = json!({"pwd": login.password, "roles": roles});
        let node = if self.options.standalone { 0 } else { self.primary() };
        let made = self.command(node, "admin", "createUser", &json!(login.user), &members);
        made.unwrap_or_else(|error| panic!("the user cannot be made: {error}"));
    }

    /// The node that is primary; waits for an election. A node that is paused is not asked.
    ///
    /// # Panics
    /// If there is none after a minute.
    pub fn primary(&self) -> usize {
        let limit = Instant::now() + ELECTION;
        loop {
            if let Some(primary) = (0..self.ports.len()).find(|node| self.is(*node, "isWritablePrimary")) {
                return primary;
            }
            assert!(Instant::now() < limit, "there is no primary");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Does the node say so of itself? One that is down or does not answer at once says nothing.
    fn is(&self, node: usize, what: &str) -> bool {
        if !self.nodes[node].lock().runs() {
            return false;
        }
        let uri = self.uri_of(node, None);
        let answer = admin::run(&uri, "admin", ("hello", &json!(1)), &json!({}), Duration::from_secs(1));
        answer.is_ok_and(|answer| answer[what] == json!(true))
    }

    /// `kill -9`. Its files stay.
    pub fn kill(&self, node: usize) {
        self.nodes[node].lock().kill();
    }

    /// SIGTERM, and waits for its end: all that it was told stands in its files then. They stay.
    pub fn stop(&self, node: usize) {
        self.nodes[node].lock().stop();
    }

    /// The folder of the node: its files in `data`, and what it said beside them.
    pub fn folder(&self, node: usize) -> PathBuf {
        self.nodes[node].lock().home().to_owned()
    }

    /// SIGSTOP: it keeps its connections and answers nothing.
    pub fn pause(&self, node: usize) {
        self.nodes[node].lock().signal("STOP");
    }

    /// SIGCONT.
    pub fn resume(&self, node: usize) {
        self.nodes[node].lock().signal("CONT");
    }

    /// Starts the node again on its files, after a kill or in place of the running one. It is reachable then, and
    /// becomes a member of the set by itself.
    pub fn restart(&self, node: usize) {
        self.nodes[node].lock().restart();
    }

    /// `kill -9` of the primary; answers which it was.
    pub fn kill_primary(&self) -> usize {
        let primary = self.primary();
        self.kill(primary);
        primary
    }
}

fn prefix(login: Option<&Login>) -> String {
    login.map(|login| format!("{}:{}@", login.user, login.password)).unwrap_or_default()
}

fn arguments(options: &Options, files: &CertificateFiles, folder: &Path) -> Vec<String> {
    let mut arguments = Vec::new();
    let mut add = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
    if !options.standalone {
        add("--replSet", SET.to_owned());
        add("--oplogSize", "512".to_owned());
    }
    if options.tls {
        add("--tlsMode", "requireTLS".to_owned());
        add("--tlsCertificateKeyFile", files.certificate_and_key.display().to_string());
        add("--tlsCAFile", files.ca.display().to_string());
        arguments.push("--tlsAllowConnectionsWithoutCertificates".to_owned());
    }
    if options.login.is_some() && options.standalone {
        arguments.push("--auth".to_owned());
    } else if options.login.is_some() {
        let key = folder.join("set.key");
        write_private(&key, "Y3JlZGl0LXRlc3RzLWtleS1vZi1vbmUtc2V0");
        arguments.extend(["--keyFile".to_owned(), key.display().to_string()]);
    }
    arguments
}

/// `mongod` refuses a key that others can read.
fn write_private(file: &Path, text: &str) {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
}
