//! The shape of the house, read from its manifests and files, and the rules it keeps.
//!
//! A rule is a function from [`House`] to the sentences that say what breaks it; none means that it holds.
//! `tests/architecture.rs` asks them of the real house; the tests below show that each of them can fail.

mod metrics;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde_json::Value;

/// The modules: crates with routes, each with the same rooms.
pub const MODULES: [&str; 4] = ["credit-api", "credit-users", "credit-wallet", "credit-transactions"];

/// Which of our crates a crate may name, tests and examples included. What is not here is a new edge, and a
/// new edge is a decision of its own.
const EDGES: [(&str, &[&str]); 8] = [
    ("credit-core", &[]),
    ("credit-infra", &["credit-core"]),
    ("credit-api", &["credit-core"]),
    ("credit-users", &["credit-core", "credit-api"]),
    ("credit-wallet", &["credit-core", "credit-api", "credit-users"]),
    ("credit-transactions", &["credit-core", "credit-api", "credit-users", "credit-wallet"]),
    ("credit-server", &EVERY_LIBRARY),
    ("credit-tests", &EVERY_LIBRARY),
];
const EVERY_LIBRARY: [&str; 6] =
    ["credit-core", "credit-infra", "credit-api", "credit-users", "credit-wallet", "credit-transactions"];

/// Libraries that answer behind a port; by name or, ending in `*`, by its beginning.
const BEHIND_PORTS: [&str; 18] = [
    "redb",
    "mongodb",
    "bson",
    "redis",
    "deadpool-redis",
    "vaultrs",
    "apalis*",
    "fjall",
    "rusqlite",
    "sqlx",
    "argon2",
    "bcrypt",
    "jsonwebtoken",
    "fernet",
    "opentelemetry",
    "opentelemetry_sdk",
    "opentelemetry-otlp",
    "tracing-opentelemetry",
];

/// What a module may switch on in actix-web; TLS, compression and HTTP/2 are the server's.
const WEB_FEATURES_OF_MODULES: [&str; 1] = ["macros"];

/// A file of ours longer than this is two files.
const LONGEST_FILE_LINES: usize = 600;

/// The house as it stands.
#[derive(Debug, Default)]
pub struct House {
    /// Our crates by name.
    pub crates: BTreeMap<String, Crate>,
    /// Texts by path from the root, with `/` on every system.
    pub files: BTreeMap<String, String>,
}

/// One of our crates.
#[derive(Debug, Default)]
pub struct Crate {
    /// Its folder, from the root.
    pub folder: String,
    /// What it names, for building, testing or examples.
    pub dependencies: Vec<Dependency>,
}

/// What a crate names in its manifest.
#[derive(Debug, Default)]
pub struct Dependency {
    /// The package.
    pub name: String,
    /// Whether its default features are on.
    pub default_features: bool,
    /// What is switched on beside them.
    pub features: Vec<String>,
}

impl House {
    /// Reads the house that this crate stands in.
    pub fn read() -> anyhow::Result<Self> {
        let root =
            Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("this crate stands in the house")?;
        let mut files = BTreeMap::new();
        read_texts(root, root, &mut files)?;
        Ok(Self { crates: read_crates(root)?, files })
    }

    fn module_folders(&self) -> impl Iterator<Item = &str> {
        MODULES.iter().filter_map(|module| self.crates.get(*module)).map(|module| module.folder.as_str())
    }

    fn rust_files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files
            .iter()
            .filter(|(path, _)| Path::new(path).extension().is_some_and(|kind| kind == "rs"))
            .map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// Whether there is such a room: a file or a folder.
    fn has_room(&self, folder: &str, room: &str) -> bool {
        let (file, inside) = (format!("{folder}/src/{room}.rs"), format!("{folder}/src/{room}/"));
        self.files.keys().any(|path| *path == file || path.starts_with(&inside))
    }
}

/// Edges between our crates that the module graph does not have.
pub fn forbidden_edges(house: &House) -> Vec<String> {
    let mut found = Vec::new();
    for (name, ours) in &house.crates {
        let Some((_, allowed)) = EDGES.iter().find(|(known, _)| known == name) else {
            found.push(format!("{name} has no place in the module graph"));
            continue;
        };
        for dependency in &ours.dependencies {
            let is_ours = house.crates.contains_key(&dependency.name) && dependency.name != *name;
            if is_ours && !allowed.contains(&dependency.name.as_str()) {
                found.push(format!("{name} names {}", dependency.name));
            }
        }
    }
    found
}

/// Crates other than `credit-infra` that name what answers behind a port.
pub fn drivers_outside_infra(house: &House) -> Vec<String> {
    let is_driver = |name: &str| {
        BEHIND_PORTS.iter().any(|driver| match driver.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == *driver,
        })
    };
    let mut found = Vec::new();
    for (name, ours) in house.crates.iter().filter(|(name, _)| *name != "credit-infra") {
        for driver in ours.dependencies.iter().filter(|dependency| is_driver(&dependency.name)) {
            found.push(format!("{name} names {}", driver.name));
        }
    }
    found
}

/// Modules that switch on more of actix-web than handlers need, and crates without routes that name it at all.
pub fn too_much_web(house: &House) -> Vec<String> {
    let mut found = Vec::new();
    for (name, ours) in &house.crates {
        for web in ours.dependencies.iter().filter(|dependency| dependency.name == "actix-web") {
            if ["credit-core", "credit-infra"].contains(&name.as_str()) {
                found.push(format!("{name} has no routes and names actix-web"));
            }
            if web.default_features {
                found.push(format!("{name} takes actix-web with its default features"));
            }
            for feature in &web.features {
                if MODULES.contains(&name.as_str()) && !WEB_FEATURES_OF_MODULES.contains(&feature.as_str()) {
                    found.push(format!("{name} switches on {feature} in actix-web"));
                }
            }
        }
    }
    found
}

/// Rooms that a crate must have and has not.
pub fn missing_rooms(house: &House) -> Vec<String> {
    let mut found = Vec::new();
    for (name, ours) in &house.crates {
        let inside = |path: &str| house.files.get(&format!("{}/{path}", ours.folder));
        if inside("README.md").is_none() {
            found.push(format!("{name} has no README.md"));
        }
        let door = inside("src/lib.rs").or_else(|| inside("src/main.rs"));
        if !door.is_some_and(|door| door.contains("#![doc = include_str!(\"../README.md\")]")) {
            found.push(format!("{name}: its README is not its crate doc"));
        }
    }
    for folder in house.module_folders() {
        for room in ["routes", "service"] {
            if !house.has_room(folder, room) {
                found.push(format!("{folder}/src has no room `{room}`"));
            }
        }
        if !house.files.contains_key(&format!("{folder}/examples/serve.rs")) {
            found.push(format!("{folder} has no examples/serve.rs: it cannot be run alone"));
        }
    }
    found
}

/// Files too long to be read at night.
pub fn novels(house: &House) -> Vec<String> {
    house
        .rust_files()
        .filter(|(_, text)| text.lines().count() > LONGEST_FILE_LINES)
        .map(|(path, text)| format!("{path} has {} lines", text.lines().count()))
        .collect()
}

/// Code that says it is not done, and tests that do not run.
pub fn unfinished_code(house: &House) -> Vec<String> {
    let left_open = ["todo", "unimplemented", "dbg"].map(|name| format!("{name}!("));
    let not_run = format!("#[{}", "ignore");
    let mut found = Vec::new();
    for (path, text) in house.rust_files() {
        for (number, line) in (1..).zip(text.lines()) {
            let code = line.trim_start();
            let is_left_open = left_open.iter().any(|call| code.contains(call.as_str()));
            if !code.starts_with("//") && (is_left_open || code.starts_with(&not_run)) {
                found.push(format!("{path}:{number}: {code}"));
            }
        }
    }
    found
}

/// Collections that their module does not list: a store would not prepare them, and a copy would leave them behind.
pub fn unlisted_collections(house: &House) -> Vec<String> {
    let lists = [
        &credit_api::COLLECTIONS[..],
        &credit_users::COLLECTIONS,
        &credit_wallet::COLLECTIONS,
        &credit_wallet::ledger::views::ALL,
        &credit_infra::jobs::COLLECTIONS,
    ];
    let listed: Vec<&str> = lists.concat().iter().map(|collection| collection.name).collect();
    let mut found = Vec::new();
    let is_shipped = |path: &str| !path.contains("/test") && !path.contains("/examples/");
    for (path, text) in house.rust_files().filter(|(path, _)| is_shipped(path)) {
        // Only those of the code: what stands below its tests is theirs.
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for declared in code.split(": Collection =").skip(1) {
            let name =
                declared.split("name: \"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
            if !listed.contains(&name) {
                found.push(format!("{path}: {name} is in no list of collections"));
            }
        }
    }
    found
}

pub use metrics::{Told, told_metrics, untold_metrics};

/// Deciding functions that wait: the domain is given all it needs.
pub fn waiting_domains(house: &House) -> Vec<String> {
    let mut found = Vec::new();
    for folder in house.module_folders() {
        let (file, inside) = (format!("{folder}/src/domain.rs"), format!("{folder}/src/domain/"));
        for (path, text) in house.rust_files().filter(|(path, _)| *path == file || path.starts_with(&inside))
        {
            for (number, line) in (1..).zip(text.lines()) {
                let code = line.trim_start();
                if !code.starts_with("//") && (code.contains(".await") || code.contains("async fn ")) {
                    found.push(format!("{path}:{number}: {code}"));
                }
            }
        }
    }
    found
}

/// Paths and hosts of somebody's machine in what everybody gets.
pub fn machine_paths(house: &House) -> Vec<String> {
    let places = [["", "work", ""].join("/"), ["", "root", ""].join("/"), ["arti", "factory"].concat()];
    let mut found = Vec::new();
    for (path, text) in &house.files {
        for (number, line) in (1..).zip(text.lines()) {
            if places.iter().any(|place| begins_a_word(line, place)) {
                found.push(format!("{path}:{number}: {}", line.trim()));
            }
        }
    }
    found
}

/// Guests that came in without a word about what they are for.
pub fn guests_without_a_reason(house: &House) -> Vec<String> {
    let manifest = house.files.get("Cargo.toml").map_or("", String::as_str);
    manifest
        .lines()
        .skip_while(|line| *line != "[workspace.dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter(|line| line.contains(" = ") && !line.starts_with('#') && !line.contains("path = "))
        .filter(|line| !line.contains(" # "))
        .map(|line| format!("Cargo.toml: {line}"))
        .collect()
}

/// Crates that make their own rules or bring their own versions.
pub fn crates_with_their_own_rules(house: &House) -> Vec<String> {
    let mut found = Vec::new();
    for (name, ours) in &house.crates {
        let path = format!("{}/Cargo.toml", ours.folder);
        let manifest = house.files.get(&path).map_or("", String::as_str);
        if !manifest.contains("[lints]\nworkspace = true") {
            found.push(format!("{name} does not take the lints of the house"));
        }
        let own_version = |line: &&str| {
            let version = line.split_once(" = ").is_some_and(|(key, value)| {
                value.contains("version = ") || (value.starts_with('"') && key == "version")
            });
            version || line.contains("path = \"..")
        };
        found.extend(manifest.lines().filter(own_version).map(|line| format!("{path}: {line}")));
    }
    found
}

/// Whether `place` stands in `line` as a path or host of its own, not as the end of a longer one.
fn begins_a_word(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(at, _)| {
        !line[..at].ends_with(|before: char| before.is_alphanumeric() || "._-/}*".contains(before))
    })
}

fn read_crates(root: &Path) -> anyhow::Result<BTreeMap<String, Crate>> {
    let asked = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--locked"])
        .current_dir(root)
        .output()
        .context("cargo metadata")?;
    ensure!(asked.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&asked.stderr));
    let metadata: Value = serde_json::from_slice(&asked.stdout)?;
    list(&metadata["packages"])
        .map(|package| Ok((text(&package["name"]), read_crate(root, package)?)))
        .collect()
}

fn read_crate(root: &Path, package: &Value) -> anyhow::Result<Crate> {
    let manifest = PathBuf::from(text(&package["manifest_path"]));
    let folder = manifest.parent().context("a manifest stands in a folder")?.strip_prefix(root)?;
    let dependencies = list(&package["dependencies"])
        .map(|dependency| Dependency {
            name: text(&dependency["name"]),
            default_features: dependency["uses_default_features"] == Value::Bool(true),
            features: list(&dependency["features"]).map(text).collect(),
        })
        .collect();
    Ok(Crate { folder: slashed(folder), dependencies })
}

/// Everything a person reads, from `folder` down; what is built, kept or hidden is left out.
fn read_texts(root: &Path, folder: &Path, files: &mut BTreeMap<String, String>) -> anyhow::Result<()> {
    for entry in folder.read_dir()? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            let hidden = name.starts_with('.') && ![".ci", ".config", ".github"].contains(&name.as_str());
            if !hidden && !["target", "node_modules"].contains(&name.as_str()) {
                read_texts(root, &path, files)?;
            }
        } else if let Ok(text) = std::fs::read_to_string(&path) {
            files.insert(slashed(path.strip_prefix(root)?), text);
        }
    }
    Ok(())
}

fn slashed(path: &Path) -> String {
    path.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
