//! `store dump`

use anyhow::{Context, anyhow};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use credit_infra::embedded::DumpRow;
use credit_wallet::ledger::describe_group;

use crate::config::{Settings, Store};
use crate::exit::Failure;
use crate::wiring;

/// The store does not know what a group holds; the ledger does.
const JOURNAL_TABLE: &str = "journal/groups";

/// Prints the names of the tables, or the rows of one, a line each.
pub(crate) fn run(settings: &Settings, table: Option<&str>) -> Result<(), Failure> {
    if settings.store != Store::Embedded {
        let why = "into a MongoDB one looks with mongosh: groups are in journal, documents in d_ and their collection";
        return Err(anyhow!(why).into());
    }
    let store = wiring::open_embedded(settings)?;
    let Some(table) = table else {
        let tables = store.tables().context("the tables cannot be listed")?;
        crate::print::lines(tables.iter().map(|name| Ok(name.clone())))?;
        return Ok(());
    };
    let rows = store.dump(table).with_context(|| format!("{table} cannot be read"))?;
    let rows =
        rows.ok_or_else(|| anyhow!("there is no table {table}; credit-server store dump lists them"))?;
    let is_journal = table == JOURNAL_TABLE;
    crate::print::lines(rows.map(|row| {
        let mut row = row?;
        if is_journal {
            open_group(&mut row);
        }
        Ok(serde_json::to_string(&row)?)
    }))?;
    Ok(())
}

/// Shows the records of a group in place of its bytes. What does not read stays bytes: a dump is for finding out why.
fn open_group(row: &mut DumpRow) {
    let bytes = row.value["bytes"]["base64"].as_str().and_then(|text| STANDARD.decode(text).ok());
    if let Some(group) = bytes.and_then(|bytes| describe_group(&bytes.into()).ok()) {
        row.value = serde_json::json!({ "group": row.value["group"], "content": group });
    }
}
