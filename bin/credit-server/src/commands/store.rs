//! `store dump`

use anyhow::{Context, anyhow};

use crate::config::Settings;
use crate::exit::Failure;
use crate::wiring;

/// Prints the names of the tables, or the rows of one, a line each.
pub(crate) fn dump(settings: &Settings, table: Option<&str>) -> Result<(), Failure> {
    let store = wiring::open_store(settings)?;
    let Some(table) = table else {
        let tables = store.tables().context("the tables cannot be listed")?;
        crate::print::lines(tables.iter().map(|name| Ok(name.clone())))?;
        return Ok(());
    };
    let rows = store.dump(table).with_context(|| format!("{table} cannot be read"))?;
    let rows =
        rows.ok_or_else(|| anyhow!("there is no table {table}; credit-server store dump lists them"))?;
    crate::print::lines(rows.map(|row| Ok(serde_json::to_string(&row?)?)))?;
    Ok(())
}
