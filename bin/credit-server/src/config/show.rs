//! `config show`: every value with its origin, secrets masked.

use std::collections::BTreeMap;
use std::fmt::Write;

use figment::value::Value;
use serde_json::json;

use super::keys::{Found, KEYS, find};
use super::layers::{Given, Layers};

/// What stands in place of a secret.
const MASK: &str = "***";

/// What is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ShowFormat {
    /// A file that could be given with --config, origins as comments.
    Toml,
    /// One object: each key with its value and origin.
    Json,
}

impl Layers {
    /// All values as they are in effect, faults or not; keys that are not set too.
    pub(crate) fn show(&self, format: ShowFormat) -> String {
        let given: BTreeMap<String, Given<'_>> =
            self.given().into_iter().map(|given| (given.path.clone(), given)).collect();
        let known = KEYS.iter().flat_map(|key| {
            let file = key.kind.is_secret().then(|| format!("{}_file", key.path));
            [Some(key.path.to_owned()), file.filter(|path| given.contains_key(path))]
        });
        let known: Vec<String> = known.flatten().collect();
        let unknown = given.keys().filter(|path| find(path).is_none()).cloned();
        let paths: Vec<String> = known.iter().cloned().chain(unknown).collect();
        match format {
            ShowFormat::Toml => to_toml(&paths, &given),
            ShowFormat::Json => to_json(&paths, &given),
        }
    }
}

/// The value as JSON, which for these kinds TOML reads as well. An unknown key may be a mistyped secret: masked.
fn visible(given: &Given<'_>) -> serde_json::Value {
    match find(&given.path) {
        Some(Found::Key(key)) if key.kind.is_secret() => MASK.into(),
        None => MASK.into(),
        Some(Found::Key(key)) if is_list(key.kind) => {
            let items = given
                .value
                .as_str()
                .map(|text| text.split(',').map(str::trim).filter(|item| !item.is_empty()));
            items.map_or_else(|| plain(given.value), |items| items.collect::<Vec<_>>().into())
        }
        Some(_) => plain(given.value),
    }
}

fn is_list(kind: super::keys::Kind) -> bool {
    use super::keys::Kind::{Choices, Networks, Origins};
    matches!(kind, Choices(_) | Networks | Origins)
}

fn plain(value: &Value) -> serde_json::Value {
    let plain = serde_json::to_value(value).unwrap_or_default();
    // The environment and the defaults hold texts only.
    let Some(text) = plain.as_str() else { return plain };
    match (text.parse::<u64>(), text.parse::<bool>()) {
        (Ok(number), _) if number.to_string() == text => number.into(),
        (_, Ok(flag)) => flag.into(),
        _ => plain,
    }
}

fn to_json(paths: &[String], given: &BTreeMap<String, Given<'_>>) -> String {
    let rows: serde_json::Map<String, serde_json::Value> = paths
        .iter()
        .map(|path| {
            let row = match given.get(path) {
                Some(given) => json!({"value": visible(given), "origin": given.origin}),
                None => json!({"value": null, "origin": null}),
            };
            (path.clone(), row)
        })
        .collect();
    serde_json::to_string_pretty(&rows).unwrap_or_default() + "\n"
}

/// Keys in the order of the table; a comment behind each says where it is from.
fn to_toml(paths: &[String], given: &BTreeMap<String, Given<'_>>) -> String {
    let mut text = String::new();
    let mut section = String::new();
    for path in paths {
        let (above, name) = path.rsplit_once('.').unwrap_or(("", path));
        if above != section {
            above.clone_into(&mut section);
            // Writing to a String cannot fail.
            let _ = writeln!(text, "\n[{section}]");
        }
        let line = match given.get(path) {
            Some(given) => format!("{name} = {}", visible(given)),
            None => format!("# {name} is not set"),
        };
        let origin = given.get(path).map(|given| format!("  # {}", given.origin)).unwrap_or_default();
        let _ = writeln!(text, "{line:<48}{origin}");
    }
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n") + "\n"
}
