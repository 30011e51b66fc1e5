//! `backup`

use std::ops::ControlFlow;
use std::path::Path;

use anyhow::{Context, anyhow};
use credit_infra::clock::SystemClock;

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
    let manifest = store
        .backup(directory, &SystemClock::new(), &mut |done| {
            bar.set_length(done.total_rows);
            bar.set_position(done.copied_rows);
            ControlFlow::Continue(())
        })
        .context("the store cannot be copied")?;
    bar.finish_and_clear();
    store.close().context("the store cannot be closed")?;
    let (place, rows, bytes) = (directory.display(), manifest.rows, manifest.bytes());
    print::text(&format!("the store was copied to {place}: {rows} rows, {bytes} bytes\n"));
    Ok(())
}
