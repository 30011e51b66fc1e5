//! The environment as a layer. Every value is a text as it stands: `0123` stays `0123`. Only what begins with `[` or
//! `{` is read as JSON.

use std::collections::BTreeMap;

use figment::value::{Dict, Map, Value};
use figment::{Error, Metadata, Profile, Provider};

/// What all our variables begin with.
pub(crate) const PREFIX: &str = "CREDIT_";
/// Names the configuration files; not a key.
pub(crate) const CONFIG_FILES: &str = "CREDIT_CONFIG";

/// The variables that are ours.
pub(super) struct RawEnv<'a> {
    variables: &'a BTreeMap<String, String>,
}

impl<'a> RawEnv<'a> {
    pub(super) fn new(variables: &'a BTreeMap<String, String>) -> Self {
        Self { variables }
    }

    /// Variables that are keys, with their path and text. An empty one counts as not set.
    fn ours(&self) -> impl Iterator<Item = (String, &str)> {
        self.variables.iter().filter(|(_, text)| !text.is_empty()).filter_map(|(name, text)| {
            let rest = name.strip_prefix(PREFIX)?;
            let ours = name != CONFIG_FILES && !is_for_the_workshop(rest) && !is_service_link(rest, text);
            ours.then(|| (rest.to_ascii_lowercase().replace("__", "."), text.as_str()))
        })
    }
}

impl Provider for RawEnv<'_> {
    fn metadata(&self) -> Metadata {
        Metadata::named("environment")
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        let mut root = Dict::new();
        for (path, text) in self.ours() {
            let value = if text.trim_start().starts_with(['[', '{']) {
                serde_json::from_str::<Value>(text).unwrap_or_else(|_| Value::from(text))
            } else {
                Value::from(text)
            };
            let levels: Vec<&str> = path.split('.').collect();
            insert(&mut root, &levels, value);
        }
        Ok(Profile::Default.collect(root))
    }
}

/// The variable that sets a path.
pub(crate) fn variable(path: &str) -> String {
    format!("{PREFIX}{}", path.replace('.', "__").to_ascii_uppercase())
}

fn insert(dict: &mut Dict, levels: &[&str], value: Value) {
    let [level, deeper @ ..] = levels else { return };
    if deeper.is_empty() {
        dict.insert((*level).to_owned(), value);
        return;
    }
    let mut below = match dict.remove(*level) {
        Some(Value::Dict(_, below)) => below,
        // A text where others expect a section: kept under an impossible name, so that it is refused as unknown.
        Some(other) => Dict::from([("(value)".to_owned(), other)]),
        None => Dict::new(),
    };
    insert(&mut below, deeper, value);
    dict.insert((*level).to_owned(), below.into());
}

/// Variables by which the workshop (Makefile, tests) finds its tools.
fn is_for_the_workshop(rest: &str) -> bool {
    rest == "SERVER_BIN" || rest.starts_with("TEST_") || rest.starts_with("BENCH_")
}

/// What Kubernetes sets for every service of a namespace, for example `CREDIT_SERVER_PORT=tcp://10.0.0.1:80` for one
/// that is called `credit-server`. None of our keys has such a name or value.
fn is_service_link(rest: &str, text: &str) -> bool {
    let one_level = !rest.contains("__");
    let host_or_port = rest.ends_with("SERVICE_HOST") || rest.contains("SERVICE_PORT");
    let link = rest.contains("PORT") && (text.starts_with("tcp://") || text.starts_with("udp://"));
    let part = ["_TCP_PORT", "_TCP_ADDR", "_TCP_PROTO", "_UDP_PORT", "_UDP_ADDR", "_UDP_PROTO"]
        .iter()
        .any(|end| rest.ends_with(end));
    one_level && (host_or_port || link || part)
}
