/// What to start. [`Options::one`] and [`Options::three`] are what most tests want.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each switches something of its own")]
pub struct Options {
    /// How many nodes.
    pub nodes: usize,
    /// No replica set: one server by itself.
    pub standalone: bool,
    /// `writeConcernMajorityJournalDefault` of the set: does a majority mean "in the journals"?
    pub majority_journals: bool,
    /// How long the others wait before they elect another primary, in milliseconds.
    pub election_timeout_ms: u32,
    /// Connections only with TLS, by the certificates of [`super::super::tls`].
    pub tls: bool,
    /// Users are asked for; this is the first, who may do everything.
    pub login: Option<Login>,
    /// The nodes know each other, and clients know them, by a proxy before each.
    pub proxied: bool,
    /// The files are in memory, where the system has room for them: faster, and as good while the machine runs.
    pub in_memory: bool,
    /// Memory for what each node keeps at hand, in MiB; 256 is the least that it takes.
    pub cache_mib: u32,
    /// Further arguments of every `mongod`.
    pub arguments: Vec<String>,
}

/// A user of the server.
#[derive(Debug, Clone)]
pub struct Login {
    /// His name: letters and digits.
    pub user: String,
    /// His password: letters and digits.
    pub password: String,
}

impl Options {
    /// A replica set of one node.
    pub fn one() -> Self {
        Self {
            nodes: 1,
            standalone: false,
            majority_journals: true,
            election_timeout_ms: 2_000,
            tls: false,
            login: None,
            proxied: false,
            in_memory: false,
            cache_mib: 256,
            arguments: Vec::new(),
        }
    }

    /// A replica set of three nodes, for failover.
    pub fn three() -> Self {
        Self { nodes: 3, ..Self::one() }
    }

    /// A server without a replica set.
    pub fn standalone() -> Self {
        Self { standalone: true, ..Self::one() }
    }
}
