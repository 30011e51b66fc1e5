//! Every key there is: its kind, its default and what it is for. Unknown keys, faults, masking and `config show` all
//! follow from this one table.

/// One key.
#[derive(Debug)]
pub(crate) struct Key {
    /// Its place, levels joined by dots.
    pub(crate) path: &'static str,
    /// What it takes.
    pub(crate) kind: Kind,
    /// What it is if nobody says, written as in the environment; `None`: not set.
    pub(crate) default: Option<&'static str>,
    /// What it is for, as `docs/configuration.md` says it.
    pub(crate) meaning: &'static str,
}

/// What a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Any text that is not empty.
    Text,
    /// `true` or `false`.
    Flag,
    /// A whole number within bounds.
    Whole { low: u64, high: u64 },
    /// A duration within bounds, both in seconds.
    Length { low: u64, high: u64 },
    /// How many calls within how long, or `off`.
    Rate,
    /// One of these.
    Choice(&'static [&'static str]),
    /// Any of these.
    Choices(&'static [&'static str]),
    /// Addresses and CIDR blocks.
    Networks,
    /// Web origins, for example `https://shop.example`.
    Origins,
    /// What is logged: a level, or levels by target.
    LogFilter,
    /// A secret text; never shown. Can be given as a file too.
    SecretText,
    /// 32 secret bytes in base64 or hexadecimal; never shown. Can be given as a file too.
    SecretKey,
    /// Several of those, the newest first.
    SecretKeys,
}

impl Kind {
    /// Whether values of this kind are never shown, and can be given as `…_file`.
    pub(crate) fn is_secret(self) -> bool {
        matches!(self, Self::SecretText | Self::SecretKey | Self::SecretKeys)
    }

    /// What is allowed, in short, for the reference.
    pub(crate) fn told(self) -> String {
        let names =
            |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        match self {
            Self::Text | Self::SecretText => "text".into(),
            Self::Flag => "`true`, `false`".into(),
            Self::Whole { low, high } => format!("{low} to {high}"),
            Self::Length { low, high } => {
                format!("{} to {}", super::duration::write(low), super::duration::write(high))
            }
            Self::Rate => "limit".into(),
            Self::Choice(choice) => names(choice),
            Self::Choices(choice) => format!("list of {}", names(choice)),
            Self::Networks => "list of addresses and CIDR blocks".into(),
            Self::Origins => "list of origins".into(),
            Self::LogFilter => "filter".into(),
            Self::SecretKey => "32 bytes".into(),
            Self::SecretKeys => "32 bytes, one or more".into(),
        }
    }

    /// What is allowed, as the end of a sentence.
    pub(crate) fn allowed(self) -> String {
        match self {
            Self::Text => "a text".into(),
            Self::Flag => "true or false".into(),
            Self::Whole { low, high } => format!("a whole number from {low} to {high}"),
            Self::Length { low, high } => format!(
                "a duration from {} to {}, written 30s, 10m, 2h or 7d (a bare number: seconds)",
                super::duration::write(low),
                super::duration::write(high)
            ),
            Self::Rate => "calls within a time, written 600/1m (at most 1000000 for each second, within a day), or off".into(),
            Self::Choice(names) => format!("one of {}", names.join(", ")),
            Self::Choices(names) => format!("a list of {}", names.join(", ")),
            Self::Networks => "a list of addresses or CIDR blocks, for example 10.0.0.0/8".into(),
            Self::Origins => "a list of origins, for example https://shop.example".into(),
            Self::LogFilter => "error, warn, info, debug or trace, or by target as in info,credit_wallet=debug".into(),
            Self::SecretText => "a text, or a file that holds it".into(),
            Self::SecretKey => "32 random bytes in base64 (openssl rand -base64 32), or a file that holds them".into(),
            Self::SecretKeys => {
                "one or more times 32 random bytes in base64 (openssl rand -base64 32), newest first, or a file that \
                 holds them"
                    .into()
            }
        }
    }
}

const DAY: u64 = 24 * 60 * 60;

/// The modules that `modules.enabled` can name. `connection_api` is always there.
pub(crate) const MODULES: &[&str] = &["user_management", "wallet_module", "transactions_module"];

/// Writes the table down: path, kind, default, meaning.
macro_rules! keys {
    ($($path:literal: $kind:expr, $default:expr, $meaning:literal;)*) => {
        &[$(Key { path: $path, kind: $kind, default: $default, meaning: $meaning }),*]
    };
}

/// The table, in the order in which it is shown.
pub(crate) const KEYS: &[Key] = keys! {
    "profile": Kind::Choice(&["dev", "prod"]), Some("dev"),
        "what it is run for; see above.";
    "data_dir": Kind::Text, Some(".credit"),
        "where the embedded store and the files of `dev` are; with MongoDB nothing is written there after the start, \
         and in `prod` nothing at all.";
    "server.host": Kind::Text, Some("127.0.0.1"),
        "address of the API.";
    "server.port": Kind::Whole { low: 0, high: 65_535 }, Some("8080"),
        "its port; 0 takes any free one.";
    "server.workers": Kind::Whole { low: 0, high: 1024 }, Some("0"),
        "threads that serve; 0 is one for each core. Lanes live on it if it is the only one, else they have a thread \
         beside (two from eight on); views have one.";
    "server.trusted_proxies": Kind::Networks, Some(""),
        "addresses and CIDR blocks whose `X-Forwarded-For` is believed, from the right up to the first address that \
         is not one of theirs; `Forwarded` is not read.";
    "server.h2c": Kind::Flag, Some("false"),
        "HTTP/2 without TLS beside HTTP/1, for a proxy that speaks it.";
    "server.keep_alive": Kind::Length { low: 1, high: 3600 }, Some("75s"),
        "how long an idle connection is kept.";
    "server.request_timeout": Kind::Length { low: 1, high: 300 }, Some("10s"),
        "how long a caller may take for the head of a request.";
    "server.body_timeout": Kind::Length { low: 1, high: 600 }, Some("30s"),
        "how long a caller may take for the body of a request, from its first byte to its last; then `408 \
         request_timeout`.";
    "server.drain_delay": Kind::Length { low: 0, high: 300 }, Some("0s"),
        "for how long it answers as ever after a signal to stop, but says that it is not ready, so that load \
         balancers notice.";
    "server.shutdown_timeout": Kind::Length { low: 0, high: 600 }, Some("30s"),
        "how long calls in flight may take after a signal to stop.";
    "server.backlog": Kind::Whole { low: 16, high: 65_535 }, Some("2048"),
        "connections that wait to be accepted.";
    "server.max_connections": Kind::Whole { low: 16, high: 1_000_000 }, Some("25000"),
        "connections that one worker serves at a time.";
    "server.tls.cert": Kind::Text, None,
        "HTTPS: the chain in PEM, the server's own certificate first. With it the plain port is dead.";
    "server.tls.key": Kind::Text, None,
        "its private key in PEM.";
    "server.tls.reload": Kind::Length { low: 1, high: DAY }, Some("10s"),
        "how often both files are looked at; a new certificate is shown to new connections, and one that is not good \
         is never taken.";
    "metrics.host": Kind::Text, Some("127.0.0.1"),
        "address of the metrics.";
    "metrics.port": Kind::Whole { low: 0, high: 65_535 }, Some("9090"),
        "their port; 0 takes any free one.";
    "store.backend": Kind::Choice(&["embedded", "mongodb"]), Some("embedded"),
        "where everything is kept: `embedded` in `data_dir`, for one process; `mongodb` for any number \
         ([scaling.md](scaling.md)).";
    "store.mongodb.uri": Kind::SecretText, None,
        "the connection string of a replica set or a sharded cluster, with its user, TLS and other options; required \
         for `mongodb`, and for `store copy` to and from it. It begins with `mongodb://` or `mongodb+srv://`.";
    "store.mongodb.database": Kind::Text, Some("credit"),
        "the database there: 1 to 63 letters, digits, `-` and `_`.";
    "store.mongodb.store_id": Kind::Text, None,
        "which store it has to be, as `credit-server store status` shows it. A database that holds another one is \
         refused then, and an empty one is not made into a new store: set it once the first start is done. 32 \
         hexadecimal digits.";
    "peers.listen": Kind::Text, None,
        "address and port at which the other processes on the same MongoDB reach this one, such as `0.0.0.0:7071`. Then one \
         process usually writes each book, and the others hand it their commands in place of competing for slots \
         ([scaling.md](scaling.md#processes-that-hand-each-other-commands)). Not set: each process writes for itself.";
    "peers.advertise": Kind::Text, None,
        "host and port at which the others find it, if that is not what it listens on.";
    "peers.directory": Kind::Text, None,
        "where processes of one user on one machine reach each other without TCP and TLS, which costs less: the same directory for \
         all of them, that nobody else may enter (`chmod 700`). Whoever is not found there is reached by TCP.";
    "peers.secret": Kind::SecretKey, None,
        "the same for all processes of a deployment and for nobody else: who knows it can post to every book.";
    "backup.directory": Kind::Text, None,
        "where the running service puts backups of the embedded store ([backup.md](backup.md)), each in a directory of its \
         own: on another disk than `data_dir`. None are made if it is not set.";
    "backup.every": Kind::Length { low: 10, high: 366 * DAY }, Some("24h"),
        "how long from one to the next; an admin has one made at once by `POST /v1/jobs/store_backup/run`.";
    "backup.keep": Kind::Whole { low: 1, high: 10_000 }, Some("14"),
        "how many are kept, the newest; older ones of this store are removed after the next.";
    "cache.backend": Kind::Choice(&["memory", "redis"]), Some("memory"),
        "where limits are counted and what was read lately is kept; `redis` shares them among replicas.";
    "cache.redis.url": Kind::SecretText, None,
        "where Redis (6.2 or newer) is; see [below](#redis).";
    "cache.redis.tls_ca": Kind::Text, None,
        "a file with the certificates (PEM) to trust instead of the system's; for an address that begins with `rediss`.";
    "cache.redis.connect_timeout_ms": Kind::Whole { low: 10, high: 60_000 }, Some("1000"),
        "how long making or checking a connection may take, in milliseconds.";
    "cache.redis.command_timeout_ms": Kind::Whole { low: 10, high: 10_000 }, Some("250"),
        "how long one command may take, in milliseconds; after that Redis is left alone for a while.";
    "cache.redis.prefix": Kind::Text, Some("credit:"),
        "before every key there.";
    "secrets.backend": Kind::Choice(&["none", "vault"]), Some("none"),
        "where secrets come from above files and environment.";
    "secrets.refresh": Kind::Length { low: 1, high: DAY }, Some("30s"),
        "how often secrets are read again where they come from (Vault, `…_file`, files of the configuration, \
         `dev-secrets.json`).";
    "secrets.vault.address": Kind::Text, None,
        "`https://vault.example:8200`.";
    "secrets.vault.auth": Kind::Choice(&["token", "approle", "kubernetes"]), Some("token"),
        "how to log in.";
    "secrets.vault.auth_mount": Kind::Text, None,
        "where that login is mounted; its own name if not set.";
    "secrets.vault.token": Kind::SecretText, None,
        "for the login by token; best as `token_file`.";
    "secrets.vault.role_id": Kind::Text, None,
        "who, for the login by AppRole.";
    "secrets.vault.secret_id": Kind::SecretText, None,
        "the proof of it; best as `secret_id_file`.";
    "secrets.vault.role": Kind::Text, None,
        "as what, for the login by Kubernetes.";
    "secrets.vault.jwt_file": Kind::Text, Some("/var/run/secrets/kubernetes.io/serviceaccount/token"),
        "the account's token, read at every login.";
    "secrets.vault.mount": Kind::Text, Some("secret"),
        "where the key-value engine is.";
    "secrets.vault.path": Kind::Text, Some("credit"),
        "the secret in it.";
    "secrets.vault.kv": Kind::Whole { low: 1, high: 2 }, Some("2"),
        "the version of the engine.";
    "secrets.vault.namespace": Kind::Text, None,
        "where there are namespaces.";
    "secrets.vault.ca": Kind::Text, None,
        "authorities in PEM, believed beside those of the system.";
    "secrets.vault.timeout": Kind::Length { low: 1, high: 60 }, Some("5s"),
        "how long one call may take.";
    "secrets.vault.max_age": Kind::Length { low: 1, high: 366 * DAY }, Some("24h"),
        "how long keys that were read are worked with while Vault cannot be asked; then it is not ready.";
    "auth.registration": Kind::Choice(&["open", "closed"]), Some("open"),
        "`closed`: only keys with `users:write`, and admins.";
    "auth.issuer": Kind::Text, Some("credit-server"),
        "`iss` of access tokens.";
    "auth.access_ttl": Kind::Length { low: 1, high: 366 * DAY }, Some("10m"),
        "life of an access token.";
    "auth.refresh_ttl": Kind::Length { low: 1, high: 3660 * DAY }, Some("30d"),
        "life of a refresh token.";
    "auth.api_key_grace": Kind::Length { low: 0, high: 366 * DAY }, Some("24h"),
        "how long the old secret of a rotated API key stays good.";
    "auth.login_failures_per_account": Kind::Whole { low: 1, high: 1_000_000 }, Some("10"),
        "failed logins of one account within the window, then `429`.";
    "auth.login_failures_per_address": Kind::Whole { low: 1, high: 1_000_000 }, Some("100"),
        "failed logins from one address.";
    "auth.login_failures_window": Kind::Length { low: 1, high: 31 * DAY }, Some("15m"),
        "the window.";
    "auth.token_keys": Kind::SecretKeys, None,
        "sign access tokens (Ed25519), newest first; required in `prod`.";
    "auth.password.memory": Kind::Whole { low: 8, high: 4_194_304 }, Some("19456"),
        "what hashing a password costs (Argon2id), memory in KiB. Weaker hashes are made anew at the next login.";
    "auth.password.iterations": Kind::Whole { low: 1, high: 1000 }, Some("2"),
        "passes over it.";
    "auth.password.parallelism": Kind::Whole { low: 1, high: 64 }, Some("1"),
        "lanes of it.";
    "encryption.keys": Kind::SecretKeys, None,
        "seal personal fields, newest first; required in `prod`.";
    "encryption.index_keys": Kind::SecretKeys, None,
        "find what is sealed, API keys and refresh tokens, newest first; required in `prod`.";
    "encryption.cursor_key": Kind::SecretKey, None,
        "seals cursors; required in `prod`.";
    "rate_limit.enabled": Kind::Flag, Some("true"),
        "whether calls are limited at all. The login limits of `auth` are separate from it.";
    "rate_limit.replicas": Kind::Whole { low: 1, high: 10_000 }, Some("1"),
        "how many processes share the calls. Without Redis, and while it is away, each has its part of every limit.";
    "rate_limit.ban_after": Kind::Whole { low: 0, high: 1_000_000 }, Some("1000"),
        "an address or a user that is refused so often within a minute is banned; 0 is never. API keys are not \
         banned.";
    "rate_limit.ban_for": Kind::Length { low: 1, high: 31 * DAY }, Some("5m"),
        "for how long.";
    "rate_limit.address.read": Kind::Rate, Some("240000/1m"),
        "calls without an API key from one address that change nothing.";
    "rate_limit.address.write": Kind::Rate, Some("120000/1m"),
        "such that change something.";
    "rate_limit.address.auth": Kind::Rate, Some("3000/1m"),
        "logins, registrations and changes of passwords.";
    "rate_limit.user.read": Kind::Rate, Some("120000/1m"),
        "calls of one user.";
    "rate_limit.user.write": Kind::Rate, Some("60000/1m"),
        "the same.";
    "rate_limit.user.auth": Kind::Rate, Some("120/1m"),
        "the same.";
    "rate_limit.api_key.read": Kind::Rate, Some("6000000/1m"),
        "calls with one API key.";
    "rate_limit.api_key.write": Kind::Rate, Some("6000000/1m"),
        "the same.";
    "rate_limit.api_key.auth": Kind::Rate, Some("12000/1m"),
        "the same.";
    "webhooks.allow_private_addresses": Kind::Flag, Some("false"),
        "no effect in this version.";
    "cors.allowed_origins": Kind::Origins, Some(""),
        "whose pages may call from a browser; none if empty.";
    "log.level": Kind::LogFilter, Some("info"),
        "a level, or levels by target: `info,credit_wallet=debug`. The line that each call has is of the target `access`: \
         `info,access=warn` leaves it out. An admin changes the level of a running process by `PUT /v1/log-level`.";
    "log.format": Kind::Choice(&["auto", "human", "json"]), Some("auto"),
        "`auto`: for people on a terminal, JSON elsewhere.";
    "telemetry.otlp.endpoint": Kind::Text, None,
        "where traces go: the base address of a collector that takes OTLP over HTTP, `http://collector:4318`; \
         `/v1/traces` is put behind it. Without one nothing is traced.";
    "telemetry.otlp.headers": Kind::SecretText, None,
        "what is sent along, `name=value` with commas between them, for a collector that wants to know who sends.";
    "telemetry.otlp.timeout": Kind::Length { low: 1, high: 60 }, Some("5s"),
        "how long sending a batch may take; what is late is lost.";
    "telemetry.otlp.sample_percent": Kind::Whole { low: 0, high: 100 }, Some("100"),
        "of how many in a hundred traces that begin here something is kept. A caller that sends `traceparent` has \
         decided for its trace.";
    "telemetry.service_name": Kind::Text, Some("credit-server"),
        "as what this service stands in traces.";
    "profiling.enabled": Kind::Flag, Some("false"),
        "whether admins may take CPU and heap profiles at `/v1/debug/pprof`.";
    "modules.enabled": Kind::Choices(MODULES), Some("user_management,wallet_module,transactions_module"),
        "modules to run; `connection_api` always runs.";
    "jobs.storage": Kind::Choice(&["memory", "redis"]), Some("memory"),
        "where a background job that is due waits for a worker: in the process that saw it, or in the Redis of `cache.redis`
         (no Cluster) for the workers of all. While Redis is away they wait in memory.";
    "ledger.sweep_interval": Kind::Length { low: 1, high: 45 }, Some("10s"),
        "how often due expiries are posted.";
    "ledger.refund_successor_ttl": Kind::Length { low: 1, high: 3660 * DAY }, Some("30d"),
        "how long the lot lives that a refund opens for an ended one.";
    "bootstrap.admin_username": Kind::Text, None,
        "the first admin, made where none exists; all three or none.";
    "bootstrap.admin_email": Kind::Text, None,
        "its e-mail.";
    "bootstrap.admin_password": Kind::SecretText, None,
        "its password.";
};

/// What a given path means.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Found {
    /// This key.
    Key(&'static Key),
    /// The file that holds this secret key.
    FileOf(&'static Key),
}

/// The key of a path; a secret one also by its `…_file`.
pub(crate) fn find(path: &str) -> Option<Found> {
    if let Some(key) = KEYS.iter().find(|key| key.path == path) {
        return Some(Found::Key(key));
    }
    let stem = path.strip_suffix("_file")?;
    KEYS.iter().find(|key| key.kind.is_secret() && key.path == stem).map(Found::FileOf)
}

/// Whether other keys live under this path.
pub(crate) fn is_section(path: &str) -> bool {
    KEYS.iter().any(|key| key.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
}

/// The known path that looks most like this one, if any does.
pub(crate) fn nearest(path: &str) -> Option<String> {
    let files = KEYS.iter().filter(|key| key.kind.is_secret()).map(|key| format!("{}_file", key.path));
    // Levels that were joined by one underscore are the commonest slip in the environment.
    let flat = |text: &str| text.replace(['.', '-'], "_");
    KEYS.iter()
        .map(|key| key.path.to_owned())
        .chain(files)
        .map(|known| (strsim::jaro_winkler(&flat(&known), &flat(path)), known))
        .filter(|(likeness, _)| *likeness >= 0.8)
        .max_by(|(left, _), (right, _)| left.total_cmp(right))
        .map(|(_, known)| known)
}
