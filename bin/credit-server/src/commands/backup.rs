//! `backup`

use std::path::Path;

use anyhow::{Context, anyhow};

use crate::config::{Settings, Store};
use crate::exit::Failure;
use crate::{print, progress, wiring};

/// Copies the store into a new directory; when it returns, the copy is durable.
pub(crate) fn run(settings: &Settings, directory: &Path) -> Result<(), Failure> {
    if settings.store != Store::Embedded {
        let why = "a MongoDB is backed up by its own means: mongodump --oplog, or snapshots of its volumes";
        return Err(anyhow!(why).into());
    }
    let store = wiring::open_embedded(settings)?;
    let bar = progress::bar("copying");
    store
        .backup(directory, &mut |done| {
            bar.set_length(done.total_rows);
            bar.set_position(done.copied_rows);
        })
        .context("the store cannot be copied")?;
    bar.finish_and_clear();
    store.close().context("the store cannot be closed")?;
    print::text(&format!("the store was copied to {}\n", directory.display()));
    Ok(())
}
