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

const fn key(path: &'static str, kind: Kind, default: Option<&'static str>) -> Key {
    Key { path, kind, default }
}

/// The modules that `modules.enabled` can name. `connection_api` is always there.
pub(crate) const MODULES: &[&str] = &["user_management", "wallet_module", "transactions_module"];

/// The table, in the order in which it is shown.
pub(crate) const KEYS: &[Key] = &[
    // `prod` refuses generated and sample secrets; `dev` makes its own.
    key("profile", Kind::Choice(&["dev", "prod"]), Some("dev")),
    // Where the embedded store and the files of profile dev are kept.
    key("data_dir", Kind::Text, Some(".credit")),
    key("server.host", Kind::Text, Some("127.0.0.1")),
    // 0 takes any free port.
    key("server.port", Kind::Whole { low: 0, high: 65_535 }, Some("8080")),
    // 0: one for each core.
    key("server.workers", Kind::Whole { low: 0, high: 1024 }, Some("0")),
    // Whose X-Forwarded-For is believed.
    key("server.trusted_proxies", Kind::Networks, Some("")),
    // HTTP/2 without TLS, for a proxy that speaks it; only then, since who connects and says nothing is not cut off.
    key("server.h2c", Kind::Flag, Some("false")),
    // How long an idle connection is kept.
    key("server.keep_alive", Kind::Length { low: 1, high: 3600 }, Some("75s")),
    // How long a caller may take to send the head of a request.
    key("server.request_timeout", Kind::Length { low: 1, high: 300 }, Some("10s")),
    // How long a caller may take to send a body.
    key("server.body_timeout", Kind::Length { low: 1, high: 600 }, Some("30s")),
    // For how long it says that it is not ready and still answers, before it stops; for load balancers to notice.
    key("server.drain_delay", Kind::Length { low: 0, high: 300 }, Some("0s")),
    // How long calls in flight may take after a signal to stop.
    key("server.shutdown_timeout", Kind::Length { low: 0, high: 600 }, Some("30s")),
    // Connections that wait to be accepted.
    key("server.backlog", Kind::Whole { low: 16, high: 65_535 }, Some("2048")),
    // Connections that one worker serves at a time.
    key("server.max_connections", Kind::Whole { low: 16, high: 1_000_000 }, Some("25000")),
    // HTTPS: the chain and its private key, PEM files that are read again when they change. Both or none.
    key("server.tls.cert", Kind::Text, None),
    key("server.tls.key", Kind::Text, None),
    // How often those files are looked at.
    key("server.tls.reload", Kind::Length { low: 1, high: DAY }, Some("10s")),
    key("metrics.host", Kind::Text, Some("127.0.0.1")),
    key("metrics.port", Kind::Whole { low: 0, high: 65_535 }, Some("9090")),
    key("store.backend", Kind::Choice(&["embedded", "mongodb"]), Some("embedded")),
    // With its password, so the whole is a secret.
    key("store.mongodb.uri", Kind::SecretText, None),
    key("store.mongodb.database", Kind::Text, Some("credit")),
    // Which store it has to be, as `store status` shows it: another one, or none, is then refused.
    key("store.mongodb.store_id", Kind::Text, None),
    key("cache.backend", Kind::Choice(&["memory", "redis"]), Some("memory")),
    // With its password, so the whole is a secret.
    key("cache.redis.url", Kind::SecretText, None),
    // Certificates (PEM) to trust instead of the system's.
    key("cache.redis.tls_ca", Kind::Text, None),
    // How long making or checking a connection may take, and how long one command: then it is left alone for a while.
    key("cache.redis.connect_timeout_ms", Kind::Whole { low: 10, high: 60_000 }, Some("1000")),
    key("cache.redis.command_timeout_ms", Kind::Whole { low: 10, high: 10_000 }, Some("250")),
    // Before every key.
    key("cache.redis.prefix", Kind::Text, Some("credit:")),
    key("secrets.backend", Kind::Choice(&["none", "vault"]), Some("none")),
    // How often secrets are read again where they come from, so that rotated keys take effect without a restart.
    key("secrets.refresh", Kind::Length { low: 1, high: DAY }, Some("30s")),
    key("secrets.vault.address", Kind::Text, None),
    key("secrets.vault.auth", Kind::Choice(&["token", "approle", "kubernetes"]), Some("token")),
    // Where the login is mounted, if not under its own name.
    key("secrets.vault.auth_mount", Kind::Text, None),
    key("secrets.vault.token", Kind::SecretText, None),
    key("secrets.vault.role_id", Kind::Text, None),
    key("secrets.vault.secret_id", Kind::SecretText, None),
    key("secrets.vault.role", Kind::Text, None),
    // The account's token, where Kubernetes puts it.
    key("secrets.vault.jwt_file", Kind::Text, Some("/var/run/secrets/kubernetes.io/serviceaccount/token")),
    key("secrets.vault.mount", Kind::Text, Some("secret")),
    key("secrets.vault.path", Kind::Text, Some("credit")),
    // The version of the key-value engine.
    key("secrets.vault.kv", Kind::Whole { low: 1, high: 2 }, Some("2")),
    key("secrets.vault.namespace", Kind::Text, None),
    // Authorities in PEM, believed beside those of the system.
    key("secrets.vault.ca", Kind::Text, None),
    key("secrets.vault.timeout", Kind::Length { low: 1, high: 60 }, Some("5s")),
    // How long keys that were read are worked with while Vault cannot be asked.
    key("secrets.vault.max_age", Kind::Length { low: 1, high: 366 * DAY }, Some("24h")),
    key("auth.registration", Kind::Choice(&["open", "closed"]), Some("open")),
    key("auth.issuer", Kind::Text, Some("credit-server")),
    key("auth.access_ttl", Kind::Length { low: 1, high: 366 * DAY }, Some("10m")),
    key("auth.refresh_ttl", Kind::Length { low: 1, high: 3660 * DAY }, Some("30d")),
    key("auth.api_key_grace", Kind::Length { low: 0, high: 366 * DAY }, Some("24h")),
    key("auth.login_failures_per_account", Kind::Whole { low: 1, high: 1_000_000 }, Some("10")),
    key("auth.login_failures_per_address", Kind::Whole { low: 1, high: 1_000_000 }, Some("100")),
    key("auth.login_failures_window", Kind::Length { low: 1, high: 31 * DAY }, Some("15m")),
    // Sign access tokens (Ed25519).
    key("auth.token_keys", Kind::SecretKeys, None),
    // What hashing a password costs (Argon2id): memory in KiB, passes, lanes. Weaker hashes are made anew at login.
    key("auth.password.memory", Kind::Whole { low: 8, high: 4_194_304 }, Some("19456")),
    key("auth.password.iterations", Kind::Whole { low: 1, high: 1000 }, Some("2")),
    key("auth.password.parallelism", Kind::Whole { low: 1, high: 64 }, Some("1")),
    // Encrypt personal fields (Fernet).
    key("encryption.keys", Kind::SecretKeys, None),
    // Find what is encrypted, and keep API keys and refresh tokens: what was kept under a key that is gone is not found.
    key("encryption.index_keys", Kind::SecretKeys, None),
    // Seals cursors: with another one, pages that are being turned begin anew.
    key("encryption.cursor_key", Kind::SecretKey, None),
    // How often somebody may call; the login limits of `auth` are separate from it.
    key("rate_limit.enabled", Kind::Flag, Some("true")),
    // How many processes share the calls: each has its part of the limits while it counts by itself.
    key("rate_limit.replicas", Kind::Whole { low: 1, high: 10_000 }, Some("1")),
    // An address or a user that is refused so often within a minute is banned; 0: never.
    key("rate_limit.ban_after", Kind::Whole { low: 0, high: 1_000_000 }, Some("1000")),
    key("rate_limit.ban_for", Kind::Length { low: 1, high: 31 * DAY }, Some("5m")),
    // For callers without an API key, by their address: guests alone, users beside their own.
    key("rate_limit.address.read", Kind::Rate, Some("240000/1m")),
    key("rate_limit.address.write", Kind::Rate, Some("120000/1m")),
    key("rate_limit.address.auth", Kind::Rate, Some("3000/1m")),
    // For each user.
    key("rate_limit.user.read", Kind::Rate, Some("120000/1m")),
    key("rate_limit.user.write", Kind::Rate, Some("60000/1m")),
    key("rate_limit.user.auth", Kind::Rate, Some("120/1m")),
    // For each API key.
    key("rate_limit.api_key.read", Kind::Rate, Some("6000000/1m")),
    key("rate_limit.api_key.write", Kind::Rate, Some("6000000/1m")),
    key("rate_limit.api_key.auth", Kind::Rate, Some("12000/1m")),
    // Webhooks come in a later version.
    key("webhooks.allow_private_addresses", Kind::Flag, Some("false")),
    // Whose pages may call from a browser. None: no cross-origin call is let in.
    key("cors.allowed_origins", Kind::Origins, Some("")),
    // As in `info,credit_wallet=debug`.
    key("log.level", Kind::LogFilter, Some("info")),
    // `auto`: for people on a terminal, JSON elsewhere.
    key("log.format", Kind::Choice(&["auto", "human", "json"]), Some("auto")),
    key("modules.enabled", Kind::Choices(MODULES), Some("user_management,wallet_module,transactions_module")),
    // How often due expiries of lots and holds are posted; the contract promises 60 s.
    key("ledger.sweep_interval", Kind::Length { low: 1, high: 45 }, Some("10s")),
    // How long the lot lives that a refund opens for an expired one.
    key("ledger.refund_successor_ttl", Kind::Length { low: 1, high: 3660 * DAY }, Some("30d")),
    // The first admin, made where none exists; all three or none.
    key("bootstrap.admin_username", Kind::Text, None),
    key("bootstrap.admin_email", Kind::Text, None),
    key("bootstrap.admin_password", Kind::SecretText, None),
];

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
