//! `backup`

use std::path::Path;

use anyhow::Context;

use crate::config::Settings;
use crate::exit::Failure;
use crate::{print, progress, wiring};

/// Copies the store into a new directory; when it returns, the copy is durable.
pub(crate) fn run(settings: &Settings, directory: &Path) -> Result<(), Failure> {
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
