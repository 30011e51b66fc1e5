//! The layers, one over the other, and where each value came from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use figment::providers::{Format, Json, Toml, Yaml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
use secrecy::{ExposeSecret, SecretString};

use super::environment::{self, RawEnv};
use super::fault::{Fault, Faults};
use super::keys::{self, Found, KEYS, Key};
use super::value::{self, Setting};
use super::vault::{self, VaultSecret};

/// What a configuration is read from. Given, so that tests have their own.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sources {
    /// Named with `--config`, weakest first.
    pub(crate) files: Vec<PathBuf>,
    /// The variables of the process.
    pub(crate) environment: BTreeMap<String, String>,
    /// Read if it is there and no file is named.
    pub(crate) default_file: Option<PathBuf>,
}

/// All values with their origins, not judged yet.
pub(crate) struct Layers {
    values: Dict,
    figment: Figment,
    /// Whether what Vault gave is among them.
    pub(super) has_vault: bool,
}

/// One value as it was given.
pub(super) struct Given<'a> {
    pub(super) path: String,
    pub(super) value: &'a Value,
    pub(super) origin: String,
}

/// What one key is, judged.
pub(super) struct Judged {
    /// The setting; `None` if the key is not set.
    pub(super) setting: Option<Setting>,
    /// Where it came from.
    pub(super) origin: Option<String>,
}

impl Layers {
    /// Reads the layers. Faults are files that cannot be read.
    pub(crate) fn read(sources: &Sources) -> Result<Self, Faults> {
        Self::read_with(sources, None)
    }

    /// Reads the layers and lays over them what Vault gave.
    pub(crate) fn read_with(sources: &Sources, vault: Option<VaultSecret>) -> Result<Self, Faults> {
        let mut figment = Figment::new().merge(Defaults).merge(RawEnv::new(&sources.environment));
        let mut faults = Vec::new();
        for file in files(sources) {
            match read_file(&file) {
                Ok(values) => figment = figment.merge(FileLayer { path: file, values }),
                Err(complaint) => faults.push(Fault::new(file.display().to_string(), None, complaint)),
            }
        }
        let has_vault = vault.is_some();
        if let Some(secret) = vault {
            figment = figment.merge(secret);
        }
        if !faults.is_empty() {
            return Err(Faults(faults));
        }
        let data = figment.data().map_err(|error| {
            // The message of a provider may quote what it read.
            Faults(vec![Fault::new(
                "the configuration",
                None,
                format!("cannot be layered ({} faults)", error.count()),
            )])
        })?;
        let values = data.into_iter().find(|(profile, _)| *profile == Profile::Default).map(|(_, dict)| dict);
        Ok(Self { values: values.unwrap_or_default(), figment, has_vault })
    }

    /// Every value that was given, defaults included.
    pub(super) fn given(&self) -> Vec<Given<'_>> {
        let mut all = Vec::new();
        self.walk(&self.values, "", &mut all);
        all
    }

    /// Reads every key, and notes every fault: values that do not fit, unknown names, secrets that are given twice.
    pub(super) fn judge(&self, faults: &mut Vec<Fault>) -> BTreeMap<&'static str, Judged> {
        let mut judged = BTreeMap::new();
        let mut from_files: Vec<(&'static Key, Given<'_>)> = Vec::new();
        for given in self.given() {
            if is_from_vault(&given.origin) && vault::is_needed_before(&given.path) {
                let complaint = "must be known before Vault is asked; give it in a file or the environment";
                faults.push(Fault::new(&given.path, Some(given.origin), complaint));
                continue;
            }
            match keys::find(&given.path) {
                Some(Found::Key(key)) => {
                    judged.insert(key.path, judge(key, &given, faults));
                }
                Some(Found::FileOf(key)) => from_files.push((key, given)),
                None => faults.push(unknown(&given)),
            }
        }
        for (key, given) in from_files {
            let other = judged.get(key.path).and_then(|judged| judged.origin.as_deref());
            if other.is_some_and(is_from_vault) {
                // Vault is above a file that holds the same.
                continue;
            }
            if other.is_some() {
                let complaint = format!("{} is given too; give the secret or its file, not both", key.path);
                faults.push(Fault::new(&given.path, Some(given.origin), complaint));
                continue;
            }
            judged.insert(key.path, judge_file(key, &given, faults));
        }
        for key in KEYS {
            judged.entry(key.path).or_insert(Judged { setting: None, origin: None });
        }
        judged
    }

    fn walk<'a>(&'a self, dict: &'a Dict, above: &str, all: &mut Vec<Given<'a>>) {
        for (name, value) in dict {
            let path = if above.is_empty() { name.clone() } else { format!("{above}.{name}") };
            match value {
                Value::Dict(_, below) => self.walk(below, &path, all),
                // YAML's `null` and an empty value: as if it were not there.
                Value::Empty(..) => {}
                _ => {
                    let metadata = self.figment.get_metadata(value.tag());
                    let origin = origin(metadata, &path);
                    all.push(Given { path, value, origin });
                }
            }
        }
    }
}

fn judge(key: &'static Key, given: &Given<'_>, faults: &mut Vec<Fault>) -> Judged {
    let setting = value::read(key.kind, given.value)
        .map_err(|complaint| faults.push(Fault::new(key.path, Some(given.origin.clone()), complaint)))
        .ok();
    Judged { setting, origin: Some(given.origin.clone()) }
}

/// A secret from its file, trimmed.
fn judge_file(key: &'static Key, given: &Given<'_>, faults: &mut Vec<Fault>) -> Judged {
    let mut fault = |complaint: String| {
        faults.push(Fault::new(&given.path, Some(given.origin.clone()), complaint));
        None
    };
    let Some(path) = given.value.as_str() else {
        let setting = fault("takes the path of a file".into());
        return Judged { setting, origin: Some(given.origin.clone()) };
    };
    let setting = match std::fs::read_to_string(path).map(SecretString::from) {
        Err(error) => fault(format!("{path} cannot be read: {error}")),
        Ok(text) => value::read(key.kind, &Value::from(text.expose_secret().trim()))
            .or_else(|complaint| fault(format!("what {path} holds {complaint}")).ok_or(()))
            .ok(),
    };
    Judged { setting, origin: Some(format!("file {path}, named by {} ({})", given.path, given.origin)) }
}

fn unknown(given: &Given<'_>) -> Fault {
    let complaint = if keys::is_section(&given.path) {
        let here = format!("{}.", given.path);
        let below: Vec<&str> =
            KEYS.iter().map(|key| key.path).filter(|path| path.starts_with(&here)).collect();
        format!("is a section and takes no value; its keys are {}", below.join(", "))
    } else {
        let suggestion = keys::nearest(&given.path).map(|near| {
            let variable = given.origin.starts_with(ENVIRONMENT).then(|| environment::variable(&near));
            let variable = variable.map(|name| format!(" ({name})")).unwrap_or_default();
            format!("; did you mean {near}{variable}?")
        });
        format!("is not a key{}", suggestion.unwrap_or_default())
    };
    Fault::new(&given.path, Some(given.origin.clone()), complaint)
}

fn is_from_vault(origin: &str) -> bool {
    origin.starts_with(vault::VAULT)
}

const DEFAULTS: &str = "default";
const ENVIRONMENT: &str = "environment";

fn origin(metadata: Option<&Metadata>, path: &str) -> String {
    let Some(metadata) = metadata else { return "unknown origin".into() };
    match metadata.source.as_ref().and_then(figment::Source::file_path) {
        Some(file) => format!("file {}", file.display()),
        None if metadata.name == ENVIRONMENT => format!("{ENVIRONMENT} {}", environment::variable(path)),
        None => metadata.name.to_string(),
    }
}

/// The files to read, weakest first: those of the command line, else those of `CREDIT_CONFIG`, else the default one.
fn files(sources: &Sources) -> Vec<PathBuf> {
    if !sources.files.is_empty() {
        return sources.files.clone();
    }
    if let Some(named) = sources.environment.get(environment::CONFIG_FILES).filter(|named| !named.is_empty())
    {
        return named.split(',').map(|path| PathBuf::from(path.trim())).collect();
    }
    sources.default_file.iter().filter(|path| path.exists()).cloned().collect()
}

/// The values of a file, by the end of its name. A complaint tells the place and quotes nothing.
fn read_file(path: &Path) -> Result<Dict, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))?;
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let (language, read) = match extension {
        "toml" => ("TOML", Toml::string(&text).data()),
        "yaml" | "yml" => ("YAML", Yaml::string(&text).data()),
        "json" => ("JSON", Json::string(&text).data()),
        _ => return Err("must end in .toml, .yaml or .json".into()),
    };
    let by_profile = read.map_err(|error| format!("is not {language}{}", place(&error.to_string())))?;
    Ok(by_profile.into_values().next().unwrap_or_default())
}

/// ` (line 3, column 7)` out of a parser's message; the rest of it may quote a secret.
fn place(message: &str) -> String {
    let number_after = |word: &str| -> Option<u32> {
        let rest = &message[message.find(word)? + word.len()..];
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    };
    match (number_after("line "), number_after("column ")) {
        (Some(line), Some(column)) => format!(" (line {line}, column {column})"),
        _ => String::new(),
    }
}

/// The lowest layer.
struct Defaults;

impl Provider for Defaults {
    fn metadata(&self) -> Metadata {
        Metadata::named(DEFAULTS)
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let mut root = Dict::new();
        for (key, text) in KEYS.iter().filter_map(|key| Some((key, key.default?))) {
            let nested = figment::util::nest(key.path, Value::from(text));
            root = merge(root, nested.into_dict().unwrap_or_default());
        }
        Ok(Profile::Default.collect(root))
    }
}

pub(super) fn merge(mut into: Dict, from: Dict) -> Dict {
    for (name, value) in from {
        let merged = match (into.remove(&name), value) {
            (Some(Value::Dict(_, below)), Value::Dict(_, more)) => merge(below, more).into(),
            (_, value) => value,
        };
        into.insert(name, merged);
    }
    into
}

/// A file that was read.
struct FileLayer {
    path: PathBuf,
    values: Dict,
}

impl Provider for FileLayer {
    fn metadata(&self) -> Metadata {
        Metadata::from("file", self.path.as_path())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}
