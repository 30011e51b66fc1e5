//! How often somebody may call, and where that is counted.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use credit_api::front_door::{LimitSettings, Quotas};
use credit_core::ports::limits::Quota;
use credit_infra::redis::RedisAddress;
use secrecy::{ExposeSecret, SecretString};

use super::duration;
use super::fault::Fault;
use super::settings::{JudgedKeys, Values, origin, text};
use super::value::Setting;

/// Where limits and caches are.
#[derive(Debug, Clone)]
pub(crate) enum Cache {
    /// In this process.
    Memory,
    /// On Redis, and in this process while it is away.
    Redis(Redis),
}

/// Which Redis.
#[derive(Debug, Clone)]
pub(crate) struct Redis {
    pub(crate) url: SecretString,
    /// The certificates to trust, in PEM; `None`: the system's.
    pub(crate) tls_ca: Option<PathBuf>,
    pub(crate) connect_timeout: Duration,
    pub(crate) command_timeout: Duration,
    pub(crate) prefix: String,
}

/// How often somebody may call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RateLimit {
    pub(crate) limits: LimitSettings,
    /// How many processes share the budget when each counts by itself.
    pub(crate) replicas: NonZeroU32,
}

const URL: &str = "cache.redis.url";
const CA: &str = "cache.redis.tls_ca";

/// Not a quota as it is written.
pub(crate) struct NoRate;

/// A quota as it is written, `600/1m`; `off` is none.
pub(crate) fn read_rate(text: &str) -> Result<Option<Quota>, NoRate> {
    if text == "off" {
        return Ok(None);
    }
    read_quota(text).map(Some).ok_or(NoRate)
}

fn read_quota(text: &str) -> Option<Quota> {
    let (calls, window) = text.split_once('/')?;
    let window = u32::try_from(duration::read(window.trim())?).ok()?;
    let calls = calls.trim();
    if !calls.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Quota::try_new(calls.parse().ok()?, window).ok()
}

/// A Redis that is chosen can be found.
pub(super) fn judge(judged: &JudgedKeys, faults: &mut Vec<Fault>) {
    let mut complain = |path: &str, complaint: &str| {
        faults.push(Fault::new(path, origin(judged, path), complaint));
    };
    let address = match judged.get(URL).and_then(|kept| kept.setting.as_ref()) {
        Some(Setting::Secret(url)) => match RedisAddress::try_new(url) {
            Ok(address) => Some(address),
            Err(error) => {
                complain(URL, &error.to_string());
                None
            }
        },
        _ => None,
    };
    if text(judged, "cache.backend") == Some("redis") && origin(judged, URL).is_none() {
        complain(
            URL,
            "is missing; cache.backend redis takes an address, for example redis://cache.example:6379",
        );
    }
    if address.is_some_and(|address| !address.has_tls()) && origin(judged, CA).is_some() {
        complain(CA, "is for TLS, and the address has none; with TLS it begins with rediss");
    }
}

impl Redis {
    /// Whether a connection made with one is as good as one made with the other.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let shown = |redis: &Self| {
            (redis.tls_ca.clone(), redis.connect_timeout, redis.command_timeout, redis.prefix.clone())
        };
        self.url.expose_secret() == other.url.expose_secret() && shown(self) == shown(other)
    }
}

impl Cache {
    pub(super) fn of(values: &mut Values) -> Self {
        let millis = |values: &mut Values, path| Duration::from_millis(values.whole(path));
        let redis = Redis {
            url: values.secret(URL).unwrap_or_default(),
            tls_ca: values.text(CA).map(PathBuf::from),
            connect_timeout: millis(values, "cache.redis.connect_timeout_ms"),
            command_timeout: millis(values, "cache.redis.command_timeout_ms"),
            prefix: values.text("cache.redis.prefix").unwrap_or_default(),
        };
        match values.text("cache.backend").as_deref() {
            Some("redis") => Self::Redis(redis),
            _ => Self::Memory,
        }
    }
}

impl RateLimit {
    /// `None` where limits are switched off.
    pub(super) fn of(values: &mut Values) -> Option<Self> {
        let limits = LimitSettings {
            address: quotas(
                values,
                ["rate_limit.address.read", "rate_limit.address.write", "rate_limit.address.auth"],
            ),
            user: quotas(values, ["rate_limit.user.read", "rate_limit.user.write", "rate_limit.user.auth"]),
            api_key: quotas(
                values,
                ["rate_limit.api_key.read", "rate_limit.api_key.write", "rate_limit.api_key.auth"],
            ),
            ban_after: values.whole("rate_limit.ban_after"),
            ban_for: values.length("rate_limit.ban_for"),
        };
        let replicas = NonZeroU32::new(values.whole("rate_limit.replicas")).unwrap_or(NonZeroU32::MIN);
        values.flag("rate_limit.enabled").then_some(Self { limits, replicas })
    }
}

fn quotas(values: &mut Values, [read, write, auth]: [&str; 3]) -> Quotas {
    Quotas { read: values.rate(read), write: values.rate(write), auth: values.rate(auth) }
}
