//! `store copy`: everything that one store keeps, into another.
//!
//! Groups of the journal, each book from where the target's ends; all documents but the views, every time from the
//! beginning, so that what changed between an interrupted copy and this one is not missed; then the views are made again
//! on the target. At last both sides are replayed and compared. A note on the target says whose copy it is and whether it
//! is done.
//!
//! Live, the services on the source work on. The heads of all books are asked for first, then all documents are read as
//! of one instant after that, and the groups up to those heads, which nobody can change any more.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow, ensure};
use credit_core::AppId;
use credit_core::ports::documents::Collection;
use credit_core::ports::journal::{Appended, BookId, Sequence};
use credit_infra::transfer::{CopyNote, DocumentSource, KeptDocument};
use credit_wallet::ledger::{LedgerSettings, Replayed, rebuild_views, verify_book};
use indicatif::ProgressBar;
use serde_json::json;

use crate::cli::StoreCopy;
use crate::commands::block_on;
use crate::commands::side::Side;
use crate::config::Settings;
use crate::exit::{Exit, Failure};
use crate::wiring::{Ports, collections};
use crate::{print, progress};

/// What one read takes at most.
const GROUPS: usize = 64;
const DOCUMENTS: usize = 500;

/// What was copied.
#[derive(Debug, Default)]
struct Copied {
    groups: u64,
    documents: u64,
    views: u64,
}

/// Copies, and prints what was copied as JSON.
pub(crate) fn run(settings: &Settings, wanted: StoreCopy) -> Result<(), Failure> {
    if wanted.from == wanted.to {
        return Err(anyhow!("--from and --to are the same store").into());
    }
    block_on(async {
        let from = Side::open(settings, wanted.from).await?;
        let to = Side::open(settings, wanted.to).await?;
        let copied = if wanted.live { copy_live(&from, &to).await } else { copy(&from, &to).await };
        // What was copied so far is kept for the next attempt, so that both are closed in any case.
        let closed = (from.close().await, to.close().await);
        let copied = copied?;
        closed.0?;
        closed.1?;
        print::text(&format!(
            "{:#}\n",
            json!({"groups": copied.groups, "documents": copied.documents, "views": copied.views, "verified": true})
        ));
        Ok(())
    })?
}

async fn copy(from: &Side, to: &Side) -> Result<Copied, Failure> {
    begin(from, to).await?;
    let heads = heads(from).await?;
    let bar = progress::bar("copying");
    let documents: &dyn DocumentSource = &*from.transfer;
    bar.set_length(groups(&heads) + counts(documents).await?.values().sum::<u64>());
    let mut copied = Copied::default();
    for (book, head) in &heads {
        copied.groups += copy_book(from, to, *book, *head, &bar).await?;
    }
    for collection in collections::kept() {
        copied.documents += copy_documents(documents, to, collection, &bar).await?;
    }
    bar.finish_and_clear();
    copied.views = rebuild(to, &heads).await?;
    verify(from, to, &heads, &counts(documents).await?).await?;
    refuse_moved(from, &heads).await?;
    end(from, to).await?;
    Ok(copied)
}

/// The same beside services that work on the source. What they do behind the heads is not copied.
async fn copy_live(from: &Side, to: &Side) -> Result<Copied, Failure> {
    if to.transfer.copy_note().await.context("the target cannot be read")?.is_some_and(|note| !note.done) {
        let why =
            "a live copy that was interrupted is of a moment that is gone; give this one an empty store";
        return Err(Failure::new(Exit::Store, anyhow!(why)));
    }
    let heads = heads(from).await?;
    let moment = from.transfer.moment().await.context("the moment cannot be held")?;
    let moment =
        moment.with_context(|| format!("nobody works on the {} store while it is copied", from.name))?;
    begin(from, to).await?;
    let bar = progress::bar("copying");
    let counts = counts(&*moment).await?;
    bar.set_length(groups(&heads) + counts.values().sum::<u64>());
    // Documents first: MongoDB holds the moment for some minutes only, and groups stay for ever.
    let mut copied = Copied::default();
    for collection in collections::kept() {
        copied.documents += copy_documents(&*moment, to, collection, &bar).await?;
    }
    drop(moment);
    for (book, head) in &heads {
        copied.groups += copy_book(from, to, *book, *head, &bar).await?;
    }
    bar.finish_and_clear();
    copied.views = rebuild(to, &heads).await?;
    verify(from, to, &heads, &counts).await?;
    end(from, to).await?;
    Ok(copied)
}

/// How far every book reaches.
async fn heads(from: &Side) -> Result<Vec<(BookId, Sequence)>> {
    let books = from.ports.journal.books().await.context("the books cannot be listed")?;
    let mut heads = Vec::new();
    for book in books {
        heads.push((book, from.ports.journal.head(book).await.context("a head cannot be read")?));
    }
    Ok(heads)
}

/// The copy is the original.
async fn end(from: &Side, to: &Side) -> Result<()> {
    let note = CopyNote { source: from.transfer.store_id(), done: true };
    to.transfer.note_copy(note).await.context("the end of the copy cannot be noted")
}

/// The target is empty, or an unfinished copy of this very source.
async fn begin(from: &Side, to: &Side) -> Result<(), Failure> {
    let source = from.transfer.store_id();
    if let Some(note) = from.transfer.copy_note().await.context("the source cannot be read")?
        && !note.done
    {
        let why = format!("the {} store is itself an unfinished copy; finish that one first", from.name);
        return Err(Failure::new(Exit::Store, anyhow!(why)));
    }
    let note = to.transfer.copy_note().await.context("the target cannot be read")?;
    match note {
        Some(CopyNote { source: of, done: false }) if of == source => return Ok(()),
        Some(CopyNote { done: false, .. }) => {
            let why = format!(
                "the {} store holds an unfinished copy of another store; give this copy an empty one",
                to.name
            );
            return Err(Failure::new(Exit::Store, anyhow!(why)));
        }
        _ => {}
    }
    if !is_empty(to).await? {
        let why = format!("the {} store is not empty; a copy is never written over anything", to.name);
        return Err(Failure::new(Exit::Store, anyhow!(why)));
    }
    let begun = CopyNote { source, done: false };
    to.transfer.note_copy(begun).await.context("the target cannot be written")?;
    Ok(())
}

async fn is_empty(side: &Side) -> Result<bool> {
    let mut empty = side.ports.journal.books().await?.is_empty();
    for collection in collections::all() {
        empty &= side.transfer.count(collection).await? == 0;
    }
    Ok(empty)
}

/// Groups there are to copy.
fn groups(heads: &[(BookId, Sequence)]) -> u64 {
    heads.iter().map(|(_, head)| head).sum()
}

/// Documents there are to copy.
async fn counts(from: &dyn DocumentSource) -> Result<BTreeMap<&'static str, u64>> {
    let mut counts = BTreeMap::new();
    for collection in collections::kept() {
        let count = from.count(collection).await.context("the documents cannot be counted")?;
        counts.insert(collection.name, count);
    }
    Ok(counts)
}

/// The groups that the target has not yet, in order. Those that it has are compared in the verification.
async fn copy_book(from: &Side, to: &Side, book: BookId, head: Sequence, bar: &ProgressBar) -> Result<u64> {
    let there = to.ports.journal.head(book).await?;
    ensure!(there <= head, "{book} reaches further on the {} store than on the {} store", to.name, from.name);
    bar.inc(there);
    let mut next = there + 1;
    while next <= head {
        let groups = from.ports.journal.read(book, next, GROUPS).await?;
        ensure!(!groups.is_empty(), "{book} ends before its head");
        for (sequence, group) in groups.into_iter().filter(|(sequence, _)| *sequence <= head) {
            let appended = to.ports.journal.append(book, sequence, group).await?;
            ensure!(
                appended == Appended::Appended,
                "somebody else writes to {book} on the {} store; stop whoever uses it",
                to.name
            );
            next = sequence + 1;
            bar.inc(1);
        }
    }
    Ok(head - there)
}

async fn copy_documents(
    from: &dyn DocumentSource,
    to: &Side,
    collection: &'static Collection,
    bar: &ProgressBar,
) -> Result<u64> {
    let mut copied = 0;
    let mut after: Option<(AppId, String)> = None;
    loop {
        let documents = from.export(collection, after.take(), DOCUMENTS).await?;
        let Some(KeptDocument { app, id, .. }) = documents.last() else { return Ok(copied) };
        after = Some((*app, id.clone()));
        let count = u64::try_from(documents.len()).unwrap_or(u64::MAX);
        to.transfer.import(collection, documents).await?;
        copied += count;
        bar.inc(count);
    }
}

async fn rebuild(to: &Side, heads: &[(BookId, Sequence)]) -> Result<u64> {
    let bar = progress::bar("making the views");
    let (Ports { documents, journal }, settings) = (&to.ports, LedgerSettings::default());
    let mut written = 0;
    for (book, _) in heads {
        let rebuilt = rebuild_views(journal, documents, *book, &settings, |done, groups| {
            bar.set_length(groups);
            bar.set_position(done);
        });
        written += rebuilt.await.context("the views cannot be made")?;
    }
    bar.finish_and_clear();
    Ok(written)
}

/// Up to those heads both sides are the same, hash by hash and sum by sum, nothing differs on the target, and it has as many
/// documents.
async fn verify(
    from: &Side,
    to: &Side,
    heads: &[(BookId, Sequence)],
    counts: &BTreeMap<&'static str, u64>,
) -> Result<(), Failure> {
    let spinner = progress::spinner("verifying");
    let differs = |why: String| Failure::new(Exit::Ledger, anyhow!("the copy is not the original: {why}"));
    for (book, head) in heads {
        let original = Replayed::play(&from.ports.journal, *book, *head).await.context("the source")?;
        let copy = verify_book(&to.ports.journal, &to.ports.documents, *book).await.context("the target")?;
        if let Some(difference) = original.differences.first().or(copy.differences.first()) {
            return Err(differs(format!("{book}: {difference}")));
        }
        if (original.head, original.hash) != (copy.head, copy.hash) {
            return Err(differs(format!("the hash chain of {book} ends differently")));
        }
        if original.totals != copy.totals {
            return Err(differs(format!("the trial balance of {book} is another one")));
        }
    }
    for collection in collections::kept() {
        let there = counts.get(collection.name).copied().unwrap_or_default();
        let here = to.transfer.count(collection).await.context("the target")?;
        if there != here {
            return Err(differs(format!("{here} of {there} documents in {}", collection.name)));
        }
    }
    spinner.finish_and_clear();
    Ok(())
}

/// Nobody has used the source meanwhile.
async fn refuse_moved(from: &Side, heads: &[(BookId, Sequence)]) -> Result<(), Failure> {
    let now = from.ports.journal.books().await.context("the source")?;
    let mut moved = now.len() != heads.len();
    for (book, head) in heads {
        moved |= from.ports.journal.head(*book).await.context("the source")? != *head;
    }
    if moved {
        let why = format!(
            "somebody used the {} store meanwhile; stop whoever it is and copy again, or copy with --live",
            from.name
        );
        return Err(anyhow!(why).into());
    }
    Ok(())
}
