//! One value, read as its key wants it.

use credit_core::ports::limits::Quota;
use figment::value::{Num, Value};
use secrecy::SecretString;

use super::duration;
use super::key_material::KeyMaterial;
use super::keys::Kind;

/// What a key was set to.
#[derive(Debug, Clone)]
pub(crate) enum Setting {
    Text(String),
    Flag(bool),
    /// A number, or seconds.
    Whole(u64),
    List(Vec<String>),
    Secret(SecretString),
    Keys(Vec<KeyMaterial>),
    /// A quota, or none.
    Rate(Option<Quota>),
}

/// Reads a value. The complaint says what is wrong without the value of a secret.
pub(super) fn read(kind: Kind, value: &Value) -> Result<Setting, String> {
    let wrong = || {
        if kind.is_secret() {
            return format!("is not usable; it takes {}", kind.allowed());
        }
        format!("{} is not allowed; it takes {}", shown(value), kind.allowed())
    };
    read_kind(kind, value).ok_or_else(wrong)
}

fn read_kind(kind: Kind, value: &Value) -> Option<Setting> {
    match kind {
        Kind::Text => text(value).filter(|text| !text.is_empty()).map(|text| Setting::Text(text.to_owned())),
        Kind::Flag => flag(value).map(Setting::Flag),
        Kind::Whole { low, high } => whole(value).filter(|n| (low..=high).contains(n)).map(Setting::Whole),
        Kind::Length { low, high } => {
            let seconds = text(value).map_or_else(|| whole(value), duration::read)?;
            (low..=high).contains(&seconds).then_some(Setting::Whole(seconds))
        }
        Kind::Choice(names) => {
            text(value).filter(|text| names.contains(text)).map(|text| Setting::Text(text.to_owned()))
        }
        Kind::Choices(names) => list(value)?.accept(|item| names.contains(&item)),
        Kind::Networks => {
            list(value)?.accept(|item| credit_api::front_door::TrustedProxies::try_new([item]).is_ok())
        }
        Kind::Origins => list(value)?.accept(is_origin),
        Kind::LogFilter => {
            text(value).filter(|text| is_log_filter(text)).map(|text| Setting::Text(text.to_owned()))
        }
        Kind::Rate => super::limits::read_rate(text(value)?).ok().map(Setting::Rate),
        Kind::SecretText => {
            text(value).filter(|text| !text.is_empty()).map(|text| Setting::Secret(text.to_owned().into()))
        }
        Kind::SecretKey => KeyMaterial::parse(text(value)?).map(|key| Setting::Keys(vec![key])),
        Kind::SecretKeys => {
            let keys: Option<Vec<_>> = list(value)?.0.iter().map(|item| KeyMaterial::parse(item)).collect();
            keys.filter(|keys| !keys.is_empty()).map(Setting::Keys)
        }
    }
}

/// Whether it is a level, or levels by target.
pub(crate) fn is_log_filter(text: &str) -> bool {
    text.split(',').all(ends_in_level) && tracing_subscriber::EnvFilter::try_new(text).is_ok()
}

/// Whether a directive is a level or gives one to a target: what the filter itself takes for a target may be a level
/// with a slip.
fn ends_in_level(directive: &str) -> bool {
    let level = directive.rsplit('=').next().unwrap_or_default().trim().to_ascii_lowercase();
    matches!(level.as_str(), "off" | "error" | "warn" | "info" | "debug" | "trace")
}

/// The value for people, short; quoted if it is a text.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(_, text) => serde_json::Value::from(text.as_str()).to_string(),
        other => serde_json::to_string(other).unwrap_or_else(|_| "this value".into()),
    }
}

struct List(Vec<String>);

impl List {
    fn accept(self, is_good: impl Fn(&str) -> bool) -> Option<Setting> {
        self.0.iter().all(|item| is_good(item)).then_some(Setting::List(self.0))
    }
}

/// An array of texts, or texts with commas (or line ends, for files) between them.
fn list(value: &Value) -> Option<List> {
    if let Value::Array(_, items) = value {
        return items.iter().map(|item| text(item).map(str::to_owned)).collect::<Option<_>>().map(List);
    }
    let items = text(value)?.split([',', '\n']).map(str::trim).filter(|item| !item.is_empty());
    Some(List(items.map(str::to_owned).collect()))
}

fn text(value: &Value) -> Option<&str> {
    value.as_str()
}

fn flag(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(_, flag) => Some(*flag),
        other => text(other)?.parse().ok(),
    }
}

fn whole(value: &Value) -> Option<u64> {
    match value {
        Value::Num(_, Num::F32(_) | Num::F64(_)) => None,
        Value::Num(_, number) => {
            number.to_u128().or_else(|| number.to_i128().and_then(|n| n.try_into().ok()))?.try_into().ok()
        }
        other => {
            let text = text(other)?;
            text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
        }
    }
}

/// `scheme://host` or `scheme://host:port`, as browsers send it; a wildcard is none.
fn is_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else { return false };
    let fits = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b':' | b'[' | b']')
    };
    matches!(scheme, "http" | "https") && !host.is_empty() && host.bytes().all(fits)
}
