//! `store status`

use anyhow::{Context, Result};
use credit_core::ports::documents::Collection;
use credit_infra::mongodb::{MongoStatus, MongoStore};
use credit_wallet::ledger::views::{self, BookView};
use serde_json::{Value, json};

use crate::commands::block_on;
use crate::commands::side::{Side, named};
use crate::config::{Settings, Store};
use crate::exit::{Exit, Failure};
use crate::print;
use crate::wiring::{collections, mongodb};

/// Prints what is kept, as JSON.
pub(crate) fn run(settings: &Settings) -> Result<(), Failure> {
    block_on(async {
        let side = Side::configured(settings).await?;
        let status = status(settings, &side).await;
        let closed = side.close().await;
        print::text(&format!("{:#}\n", status?));
        closed?;
        Ok(())
    })?
}

async fn status(settings: &Settings, side: &Side) -> Result<Value, Failure> {
    let mut status = json!({
        "backend": side.name,
        "store_id": shown(side.transfer.store_id()),
        "books": books(side).await?,
    });
    if let Some(note) = side.transfer.copy_note().await.context("the note of a copy cannot be read")? {
        status["copy"] = json!({"source": shown(note.source), "done": note.done});
    }
    match settings.store {
        Store::Embedded => {
            status["kept"] = counts(side, &collections::kept()).await?;
            status["views"] = counts(side, &collections::views()).await?;
            status["files"] = files(settings);
        }
        Store::Mongodb => {
            let told = MongoStore::check(mongodb::options(named(settings)?)).await;
            tell(&told.map_err(|error| Failure::new(Exit::Store, error))?, &mut status);
        }
    }
    Ok(status)
}

fn shown(id: u128) -> String {
    format!("{id:032x}")
}

/// How far each book reaches, and how far its views are.
async fn books(side: &Side) -> Result<Vec<Value>> {
    let mut books = Vec::new();
    for book in side.ports.journal.books().await.context("the books cannot be listed")? {
        let head = side.ports.journal.head(book).await.context("a head cannot be read")?;
        let kept = side.ports.documents.get(book, &views::BOOKS, views::BOOK).await;
        let kept = kept.context("a watermark cannot be read")?;
        let view: Option<BookView> = kept.map(|document| views::read(&document)).transpose()?;
        let shown = view.map_or(0, |view| view.sequence);
        books.push(json!({
            "book": book,
            "head": head,
            "shown": shown,
            "groups_behind": head.saturating_sub(shown),
        }));
    }
    Ok(books)
}

/// Documents of each collection.
async fn counts(side: &Side, collections: &[&'static Collection]) -> Result<Value> {
    let mut counts = serde_json::Map::new();
    for collection in collections {
        let count = side.transfer.count(collection).await;
        let count = count.with_context(|| format!("{} cannot be counted", collection.name))?;
        counts.insert(collection.name.to_owned(), count.into());
    }
    Ok(counts.into())
}

/// Bytes of each file of the embedded store.
fn files(settings: &Settings) -> Value {
    let size = |name: &str| std::fs::metadata(settings.data_dir.join(name)).map(|file| file.len()).ok();
    json!({"journal.redb": size("journal.redb"), "documents.redb": size("documents.redb")})
}

/// What `MongoDB` tells of itself and of every collection; counts are the server's own, which may be off by a little.
fn tell(told: &MongoStatus, status: &mut Value) {
    status["server"] = json!({
        "version": told.server_version,
        "sharded": told.is_sharded,
        "replica_set": told.replica_set,
        "database": told.database,
    });
    status["format"] = told.format.into();
    status["created"] = told.created.map(|created| created.to_string()).into();
    status["ready"] = told.is_ready().into();
    status["collections"] = told
        .collections
        .iter()
        .map(|collection| {
            json!({
                "name": collection.name,
                "documents": collection.documents,
                "bytes": collection.bytes,
                "index_bytes": collection.index_bytes,
                "missing": collection.missing,
                "wrong": collection.wrong,
            })
        })
        .collect();
}
