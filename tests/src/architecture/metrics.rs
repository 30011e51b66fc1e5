//! Metrics: the code has none that `docs/metrics.md`, which is made of the table, does not tell.

use std::collections::BTreeMap;

use super::House;

/// The page that the table is shown on; another test sees to it that it is what the table says.
const PAGE: &str = "docs/metrics.md";
/// Begins what the table says, whatever it is called.
const BEGINS_ALL: &str = "crates/credit-infra/src/telemetry.rs";

/// What is told of a metric.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Told {
    /// Whether it is there only once it is in use.
    pub in_use: bool,
    /// Its labels.
    pub labels: Vec<String>,
}

/// The metrics on the page, by name.
pub fn told_metrics(page: &str) -> BTreeMap<String, Told> {
    let mut told: BTreeMap<String, Told> = BTreeMap::new();
    let mut last = String::new();
    for line in page.lines() {
        let quoted = |line: &str| line.split('`').nth(1).unwrap_or_default().to_owned();
        if line.starts_with("- **`") {
            last = quoted(line);
            told.insert(last.clone(), Told { in_use: line.contains(", once in use"), labels: Vec::new() });
        } else if line.starts_with("  - `")
            && let Some(metric) = told.get_mut(&last)
        {
            metric.labels.push(quoted(line));
        }
    }
    told
}

/// Metrics and labels in the code that the page does not tell, and metrics whose name cannot be read.
pub fn untold_metrics(house: &House) -> Vec<String> {
    let told = told_metrics(house.files.get(PAGE).map_or("", String::as_str));
    let mut found = Vec::new();
    let is_ours = |path: &str| path.contains("/src/") && path != BEGINS_ALL && !path.starts_with("tests/");
    for (path, text) in house.rust_files().filter(|(path, _)| is_ours(path)) {
        for call in ["counter!(", "gauge!(", "histogram!("] {
            for rest in text.split(&format!("metrics::{call}")).skip(1) {
                let arguments = rest.split(')').next().unwrap_or_default().trim_start();
                let name = arguments.strip_prefix('"').and_then(|rest| rest.split('"').next());
                let Some(name) = name else {
                    found.push(format!("{path}: {call} names its metric by something else than a text"));
                    continue;
                };
                let Some(metric) = told.get(name) else {
                    found.push(format!("{path}: {name} is not told in {PAGE}"));
                    continue;
                };
                for label in labels(arguments) {
                    if !metric.labels.iter().any(|known| known == label) {
                        found.push(format!("{path}: {name} has a label {label} that {PAGE} does not tell"));
                    }
                }
            }
        }
    }
    found
}

/// The names before an arrow.
fn labels(arguments: &str) -> impl Iterator<Item = &str> {
    let pieces: Vec<&str> = arguments.split("=>").collect();
    let count = pieces.len() - 1;
    pieces.into_iter().take(count).filter_map(|piece| piece.trim_end().strip_suffix('"')?.rsplit('"').next())
}
