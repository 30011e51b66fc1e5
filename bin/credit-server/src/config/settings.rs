//! The configuration as the program uses it: judged, typed, complete but for the secrets that profile `dev` makes.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::path::PathBuf;
use std::thread::available_parallelism;
use std::time::Duration;

use credit_core::ports::limits::Quota;
use secrecy::{ExposeSecret, SecretString};

use super::backup::{self, Backups};
use super::fault::{Fault, Faults};
use super::jobs::{self, JobsWait};
use super::key_material::KeyMaterial;
use super::layers::{Judged, Layers};
use super::limits::{self, Cache, RateLimit};
use super::peers::{self, Peers};
use super::store::{self, Mongodb, Store};
use super::telemetry::{self, Telemetry};
use super::tls::{self, Tls};
use super::value::Setting;
use super::vault::{self, VaultSource};
use crate::secrets::{DEV_SECRETS, DevSecrets};

/// Everything that was configured.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) profile: Profile,
    pub(crate) data_dir: PathBuf,
    pub(crate) server: Server,
    pub(crate) metrics: Metrics,
    pub(crate) store: Store,
    /// There if it is the store, and wherever else it was given.
    pub(crate) mongodb: Option<Mongodb>,
    /// `None`: the service makes no backups.
    pub(crate) backups: Option<Backups>,
    pub(crate) cache: Cache,
    pub(crate) jobs: JobsWait,
    /// `None`: this process decides every command itself.
    pub(crate) peers: Option<Peers>,
    /// `None`: everybody calls as often as it likes.
    pub(crate) rate_limit: Option<RateLimit>,
    pub(crate) auth: Auth,
    pub(crate) encryption: Encryption,
    /// How often secrets are read again.
    pub(crate) secrets_refresh: Duration,
    /// `None`: no secret comes from Vault.
    pub(crate) vault: Option<VaultSource>,
    pub(crate) allowed_origins: Vec<String>,
    pub(crate) log: Log,
    pub(crate) telemetry: Telemetry,
    /// Whether admins may take profiles.
    pub(crate) profiling: bool,
    pub(crate) modules: Vec<String>,
    pub(crate) ledger: Ledger,
    pub(crate) bootstrap: Option<Bootstrap>,
}

/// What the service is run for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// To try and to develop: secrets are made as needed.
    Dev,
    /// In earnest: every secret is given.
    Prod,
}

/// Where and how the API is served.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// `None`: one for each core.
    pub(crate) workers: Option<usize>,
    pub(crate) trusted_proxies: Vec<String>,
    /// HTTP/2 without TLS beside HTTP/1.
    pub(crate) h2c: bool,
    /// `None`: in the open.
    pub(crate) tls: Option<Tls>,
    pub(crate) keep_alive: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) body_timeout: Duration,
    pub(crate) drain_delay: Duration,
    pub(crate) shutdown_timeout: Duration,
    pub(crate) backlog: u32,
    pub(crate) max_connections: usize,
}

impl Server {
    /// How many threads serve.
    pub(crate) fn threads(&self) -> usize {
        self.workers.or_else(|| available_parallelism().ok().map(NonZero::get)).unwrap_or(1)
    }
}

/// Where metrics are scraped.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// Who is let in, and for how long.
#[derive(Debug, Clone)]
pub(crate) struct Auth {
    pub(crate) registration_open: bool,
    pub(crate) issuer: String,
    pub(crate) access_ttl: Duration,
    pub(crate) refresh_ttl: Duration,
    pub(crate) api_key_grace: Duration,
    pub(crate) login_failures_per_account: u32,
    pub(crate) login_failures_per_address: u32,
    pub(crate) login_failures_window: Duration,
    pub(crate) password: PasswordWork,
    /// Newest first; empty if not given.
    pub(crate) token_keys: Vec<KeyMaterial>,
}

/// What hashing a password costs: Argon2id, memory in KiB.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PasswordWork {
    pub(crate) memory: u32,
    pub(crate) iterations: u32,
    pub(crate) parallelism: u32,
}

/// The keys of what is kept.
#[derive(Debug, Clone)]
pub(crate) struct Encryption {
    /// Newest first; empty if not given.
    pub(crate) keys: Vec<KeyMaterial>,
    /// Newest first; empty if not given.
    pub(crate) index_keys: Vec<KeyMaterial>,
    pub(crate) cursor_key: Option<KeyMaterial>,
}

/// What is logged, and how.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    pub(crate) level: String,
    pub(crate) format: LogFormat,
}

/// For whom logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// People on a terminal, machines elsewhere.
    Auto,
    Human,
    Json,
}

/// How the ledger works.
#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    pub(crate) sweep_interval: Duration,
    pub(crate) refund_successor_ttl: Duration,
}

/// The first admin.
#[derive(Debug, Clone)]
pub(crate) struct Bootstrap {
    pub(crate) username: String,
    pub(crate) email: String,
    pub(crate) password: SecretString,
}

/// The secrets that every deployment needs; `dev` makes them.
pub(crate) const REQUIRED_SECRETS: [&str; 4] =
    ["auth.token_keys", "encryption.keys", "encryption.index_keys", "encryption.cursor_key"];

/// Those, and the one that only processes with peers need.
fn every_key() -> impl Iterator<Item = &'static str> {
    REQUIRED_SECRETS.into_iter().chain([peers::SECRET])
}

impl Layers {
    /// The settings, or every fault at once.
    pub(crate) fn settings(&self) -> Result<Settings, Faults> {
        let mut faults = Vec::new();
        let judged = self.judge(&mut faults);
        store::judge(&judged, &mut faults);
        backup::judge(&judged, &mut faults);
        limits::judge(&judged, &mut faults);
        jobs::judge(&judged, &mut faults);
        peers::judge(&judged, &mut faults);
        telemetry::judge(&judged, &mut faults);
        tls::judge(&judged, &mut faults);
        vault::judge(&judged, &mut faults);
        bootstrap_is_whole(&judged, &mut faults);
        let is_prod = text(&judged, "profile") == Some("prod");
        if is_prod || text(&judged, "secrets.backend") == Some("vault") {
            refuse_missing_secrets(&judged, &mut faults);
        }
        if is_prod {
            refuse_sample_secrets(&judged, &mut faults);
            refuse_generated_secrets(&judged, &mut faults);
        }
        keys_differ(&judged, &mut faults);
        if !self.has_vault && text(&judged, "secrets.backend") == Some("vault") {
            // Vault may have it, and is asked next.
            faults.retain(|fault| !fault.is_of_something_missing());
        }
        if faults.is_empty() { Ok(Values(judged).into_settings()) } else { Err(Faults(faults)) }
    }
}

pub(super) type JudgedKeys = BTreeMap<&'static str, Judged>;

pub(super) fn text<'a>(judged: &'a JudgedKeys, path: &str) -> Option<&'a str> {
    match judged.get(path)?.setting.as_ref()? {
        Setting::Text(text) => Some(text),
        _ => None,
    }
}

fn keys<'a>(judged: &'a JudgedKeys, path: &str) -> &'a [KeyMaterial] {
    match judged.get(path).and_then(|judged| judged.setting.as_ref()) {
        Some(Setting::Keys(keys)) => keys,
        _ => &[],
    }
}

pub(super) fn origin(judged: &JudgedKeys, path: &str) -> Option<String> {
    judged.get(path).and_then(|judged| judged.origin.clone())
}

fn bootstrap_is_whole(judged: &JudgedKeys, faults: &mut Vec<Fault>) {
    const PARTS: [&str; 3] =
        ["bootstrap.admin_username", "bootstrap.admin_email", "bootstrap.admin_password"];
    let is_given = |path: &&str| judged.get(*path).is_some_and(|judged| judged.origin.is_some());
    if !PARTS.iter().any(is_given) {
        return;
    }
    for missing in PARTS.iter().filter(|path| !is_given(path)) {
        faults.push(Fault::new(
            *missing,
            None,
            "is missing; the first admin needs a username, an email and a password",
        ));
    }
    if let (Some(username), Some(email), Some(Setting::Secret(password))) = (
        text(judged, PARTS[0]),
        text(judged, PARTS[1]),
        judged.get(PARTS[2]).and_then(|kept| kept.setting.as_ref()),
    ) {
        for fault in credit_users::first_admin_faults(username, email, password) {
            let path = format!("bootstrap.admin_{}", fault.pointer);
            let origin = origin(judged, &path);
            faults.push(Fault::new(&path, origin, fault.detail));
        }
    }
}

/// Whether a password is made of nothing but the words of samples, with digits and signs between them.
fn is_sample_password(password: &str) -> bool {
    const WORDS: [&str; 20] = [
        "administrator",
        "passphrase",
        "password",
        "example",
        "default",
        "replace",
        "change",
        "please",
        "passwd",
        "sample",
        "secret",
        "admin",
        "credit",
        "root",
        "test",
        "this",
        "here",
        "your",
        "now",
        "me",
    ];
    let mut rest = password.to_lowercase();
    for word in WORDS {
        rest = rest.replace(word, " ");
    }
    !rest.chars().any(char::is_alphabetic)
}

/// Where secrets come from Vault none is made either: it would be another one in the place of one that is there.
fn refuse_missing_secrets(judged: &JudgedKeys, faults: &mut Vec<Fault>) {
    let (who, also) = match text(judged, "secrets.backend") {
        Some("vault") => ("nothing is made where secrets come from Vault", " in Vault,"),
        _ => ("profile prod makes no secrets", ""),
    };
    for path in REQUIRED_SECRETS.iter().filter(|path| origin(judged, path).is_none()) {
        let complaint = format!(
            "is missing; {who}. Give 32 random bytes in base64 (openssl rand -base64 32){also} as {} or a file as {0}_FILE",
            super::environment::variable(path)
        );
        faults.push(Fault::new(*path, None, complaint));
    }
}

fn refuse_sample_secrets(judged: &JudgedKeys, faults: &mut Vec<Fault>) {
    for path in every_key() {
        if keys(judged, path).iter().any(KeyMaterial::looks_like_a_sample) {
            let complaint = "is a sample and known to everybody; profile prod takes random bytes (openssl rand -base64 32)";
            faults.push(Fault::new(path, origin(judged, path), complaint));
        }
    }
    if let Some(Setting::Secret(password)) =
        judged.get("bootstrap.admin_password").and_then(|judged| judged.setting.as_ref())
        && is_sample_password(password.expose_secret())
    {
        let complaint = "is a sample; profile prod takes a password that is nowhere written down";
        faults.push(Fault::new(
            "bootstrap.admin_password",
            origin(judged, "bootstrap.admin_password"),
            complaint,
        ));
    }
}

/// What profile `dev` made is for trying only.
fn refuse_generated_secrets(judged: &JudgedKeys, faults: &mut Vec<Fault>) {
    let data_dir = text(judged, "data_dir").unwrap_or_default();
    let Some(made) = DevSecrets::kept(data_dir.as_ref()) else { return };
    for path in REQUIRED_SECRETS {
        if keys(judged, path).iter().any(|key| made.contain(key)) {
            let complaint = format!(
                "was generated for profile dev ({data_dir}/{DEV_SECRETS}); profile prod takes its own"
            );
            faults.push(Fault::new(path, origin(judged, path), complaint));
        }
    }
}

/// One key for two purposes would let one leak be two.
fn keys_differ(judged: &JudgedKeys, faults: &mut Vec<Fault>) {
    let all: Vec<&str> = every_key().collect();
    for (index, path) in all.iter().enumerate() {
        let earlier = all[..index]
            .iter()
            .find(|earlier| keys(judged, earlier).iter().any(|key| keys(judged, path).contains(key)));
        if let Some(earlier) = earlier {
            let complaint = format!("is the same key as {earlier}; each purpose takes a key of its own");
            faults.push(Fault::new(*path, origin(judged, path), complaint));
        }
    }
}

/// Keys that were judged without a fault, by name. The kinds are those of the table: a test reads every one.
pub(super) struct Values(JudgedKeys);

impl Values {
    fn take(&mut self, path: &str) -> Option<Setting> {
        self.0.get_mut(path).and_then(|judged| judged.setting.take())
    }

    pub(super) fn text(&mut self, path: &str) -> Option<String> {
        match self.take(path)? {
            Setting::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn whole<T: TryFrom<u64> + Default>(&mut self, path: &str) -> T {
        match self.take(path) {
            Some(Setting::Whole(number)) => T::try_from(number).unwrap_or_default(),
            _ => T::default(),
        }
    }

    pub(super) fn length(&mut self, path: &str) -> Duration {
        Duration::from_secs(self.whole(path))
    }

    pub(super) fn flag(&mut self, path: &str) -> bool {
        matches!(self.take(path), Some(Setting::Flag(true)))
    }

    pub(super) fn rate(&mut self, path: &str) -> Option<Quota> {
        match self.take(path)? {
            Setting::Rate(quota) => quota,
            _ => None,
        }
    }

    fn list(&mut self, path: &str) -> Vec<String> {
        match self.take(path) {
            Some(Setting::List(items)) => items,
            _ => Vec::new(),
        }
    }

    pub(super) fn keys(&mut self, path: &str) -> Vec<KeyMaterial> {
        match self.take(path) {
            Some(Setting::Keys(keys)) => keys,
            _ => Vec::new(),
        }
    }

    pub(super) fn secret(&mut self, path: &str) -> Option<SecretString> {
        match self.take(path)? {
            Setting::Secret(secret) => Some(secret),
            _ => None,
        }
    }

    fn into_settings(mut self) -> Settings {
        Settings {
            profile: match self.text("profile").as_deref() {
                Some("prod") => Profile::Prod,
                _ => Profile::Dev,
            },
            data_dir: self.text("data_dir").unwrap_or_default().into(),
            server: self.server(),
            metrics: Metrics {
                host: self.text("metrics.host").unwrap_or_default(),
                port: self.whole("metrics.port"),
            },
            store: match self.text("store.backend").as_deref() {
                Some("mongodb") => Store::Mongodb,
                _ => Store::Embedded,
            },
            mongodb: Mongodb::of(&mut self),
            backups: Backups::of(&mut self),
            cache: Cache::of(&mut self),
            jobs: JobsWait::of(&mut self),
            peers: Peers::of(&mut self),
            rate_limit: RateLimit::of(&mut self),
            auth: self.auth(),
            secrets_refresh: self.length("secrets.refresh"),
            vault: VaultSource::of(&mut self),
            encryption: Encryption {
                keys: self.keys("encryption.keys"),
                index_keys: self.keys("encryption.index_keys"),
                cursor_key: self.keys("encryption.cursor_key").pop(),
            },
            allowed_origins: self.list("cors.allowed_origins"),
            log: Log {
                level: self.text("log.level").unwrap_or_default(),
                format: match self.text("log.format").as_deref() {
                    Some("human") => LogFormat::Human,
                    Some("json") => LogFormat::Json,
                    _ => LogFormat::Auto,
                },
            },
            telemetry: Telemetry::of(&mut self),
            profiling: self.flag("profiling.enabled"),
            modules: self.list("modules.enabled"),
            ledger: Ledger {
                sweep_interval: self.length("ledger.sweep_interval"),
                refund_successor_ttl: self.length("ledger.refund_successor_ttl"),
            },
            bootstrap: self.bootstrap(),
        }
    }

    fn server(&mut self) -> Server {
        Server {
            host: self.text("server.host").unwrap_or_default(),
            port: self.whole("server.port"),
            workers: Some(self.whole("server.workers")).filter(|workers| *workers > 0),
            trusted_proxies: self.list("server.trusted_proxies"),
            h2c: matches!(self.take("server.h2c"), Some(Setting::Flag(true))),
            tls: Tls::of(self),
            keep_alive: self.length("server.keep_alive"),
            request_timeout: self.length("server.request_timeout"),
            body_timeout: self.length("server.body_timeout"),
            drain_delay: self.length("server.drain_delay"),
            shutdown_timeout: self.length("server.shutdown_timeout"),
            backlog: self.whole("server.backlog"),
            max_connections: self.whole("server.max_connections"),
        }
    }

    fn auth(&mut self) -> Auth {
        Auth {
            registration_open: self.text("auth.registration").as_deref() == Some("open"),
            issuer: self.text("auth.issuer").unwrap_or_default(),
            access_ttl: self.length("auth.access_ttl"),
            refresh_ttl: self.length("auth.refresh_ttl"),
            api_key_grace: self.length("auth.api_key_grace"),
            login_failures_per_account: self.whole("auth.login_failures_per_account"),
            login_failures_per_address: self.whole("auth.login_failures_per_address"),
            login_failures_window: self.length("auth.login_failures_window"),
            password: PasswordWork {
                memory: self.whole("auth.password.memory"),
                iterations: self.whole("auth.password.iterations"),
                parallelism: self.whole("auth.password.parallelism"),
            },
            token_keys: self.keys("auth.token_keys"),
        }
    }

    fn bootstrap(&mut self) -> Option<Bootstrap> {
        Some(Bootstrap {
            username: self.text("bootstrap.admin_username")?,
            email: self.text("bootstrap.admin_email")?,
            password: self.secret("bootstrap.admin_password")?,
        })
    }
}
