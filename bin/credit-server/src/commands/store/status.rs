//! `store status`

use anyhow::{Context, Result};
use credit_core::ports::documents::Collection;
use credit_wallet::ledger::views::{self, BookView};
use serde_json::{Value, json};

use crate::commands::block_on;
use crate::commands::side::Side;
use crate::config::Settings;
use crate::exit::Failure;
use crate::print;
use crate::wiring::collections;

/// Prints what is kept, as JSON.
pub(crate) fn run(settings: &Settings) -> Result<(), Failure> {
    block_on(async {
        let side = Side::configured(settings).await?;
        let status = status(&side).await;
        let closed = side.close().await;
        print::text(&format!("{:#}\n", status?));
        closed?;
        Ok(())
    })?
}

async fn status(side: &Side) -> Result<Value> {
    let mut status = json!({
        "backend": side.name,
        "store_id": format!("{:032x}", side.transfer.store_id()),
        "books": books(side).await?,
        "kept": counts(side, &collections::kept()).await?,
        "views": counts(side, &collections::views()).await?,
    });
    if let Some(note) = side.transfer.copy_note().await.context("the note of a copy cannot be read")? {
        status["copy"] = json!({"source": format!("{:032x}", note.source), "done": note.done});
    }
    for (name, value) in side.details().await? {
        status[name] = value;
    }
    Ok(status)
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

async fn counts(side: &Side, collections: &[&'static Collection]) -> Result<Value> {
    let mut counts = serde_json::Map::new();
    for collection in collections {
        let count = side.transfer.count(collection).await;
        let count = count.with_context(|| format!("{} cannot be counted", collection.name))?;
        counts.insert(collection.name.to_owned(), count.into());
    }
    Ok(counts.into())
}
