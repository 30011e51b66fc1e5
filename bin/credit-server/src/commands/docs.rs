//! `docs`

use std::path::Path;

use anyhow::{Context, Result, anyhow};

use crate::exit::Failure;
use crate::reference::{configuration, metrics};

/// Makes a page of what is kept of it.
type Make = fn(&str) -> Result<String>;

/// Writes the pages that are made of the code, or says which are not what it says.
pub(crate) fn run(directory: &Path, check: bool) -> Result<(), Failure> {
    let pages: [(&str, Make); 2] =
        [("metrics.md", |_| Ok(metrics::page())), ("configuration.md", configuration::page)];
    let mut stale = Vec::new();
    for (name, make) in pages {
        let path = directory.join(name);
        // A page that is not there yet is made; one that has text of its own is refused by itself.
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        let made = make(&kept).with_context(|| path.display().to_string())?;
        if kept == made {
            continue;
        }
        if check {
            stale.push(name);
        } else {
            std::fs::write(&path, made).with_context(|| format!("{} cannot be written", path.display()))?;
        }
    }
    if stale.is_empty() {
        return Ok(());
    }
    let sentence = "not what the code says: run `make docs` and read the difference";
    Err(anyhow!("{}: {sentence}", stale.join(", ")).into())
}
