//! `restore`: a backup becomes the store, once it is known to be good.
//!
//! The files are copied beside, compared with what they were, opened and replayed there, and get their names in `data_dir`
//! at last. Whatever is found wrong before leaves `data_dir` as it was.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use credit_core::ports::journal::{BookId, Sequence};
use credit_core::{Clock, IdSource};
use credit_infra::clock::SystemClock;
use credit_infra::embedded::backup::{BackupError, Manifest, Shelf, holds_store, move_in, unpack};
use credit_infra::embedded::{EmbeddedOptions, EmbeddedStore};
use credit_infra::randomness::OsIds;
use credit_wallet::ledger::{Replayed, verify_book};
use serde_json::json;

use super::block_on;
use crate::cli::RestoreBackup;
use crate::config::{Settings, Store};
use crate::exit::{Exit, Failure};
use crate::{print, private_file, progress};

/// Where the files are until they are known to be good, in `data_dir`, so that a rename is all that is left.
const PART: &str = "restore.part";

/// What was replayed.
#[derive(Default)]
struct Verified {
    groups: u64,
    transactions: u64,
    wallets: usize,
}

/// Restores, and prints what was restored as JSON.
pub(crate) fn run(settings: &Settings, wanted: &RestoreBackup) -> Result<(), Failure> {
    if settings.store != Store::Embedded {
        let why = "a backup is an embedded store: restore it with store.backend embedded, and bring it into a MongoDB with \
                   store copy";
        return Err(anyhow!(why).into());
    }
    let backup = chosen(wanted)?;
    let age = age(&Manifest::read(&backup).map_err(refused)?);
    if let Some(max_age) = wanted.max_age
        && age > i64::try_from(max_age.as_secs()).unwrap_or(i64::MAX)
    {
        let why = format!("{} began {age} s ago, and {} s are allowed", backup.display(), max_age.as_secs());
        return Err(anyhow!(why).into());
    }
    private_file::create_directory(&settings.data_dir)?;
    // Of two at once the second waits, and finds that there is a store.
    let _alone = private_file::lock_directory(&settings.data_dir)?;
    if holds_store(&settings.data_dir) {
        return Err(refused(BackupError::Taken { directory: settings.data_dir.clone() }));
    }
    let part = settings.data_dir.join(PART);
    let restored = restore(&backup, &part, &settings.data_dir);
    if restored.is_err() && part.exists() {
        std::fs::remove_dir_all(&part).context("what was copied cannot be removed")?;
    }
    let (manifest, verified) = restored?;
    let Verified { groups, transactions, wallets } = verified;
    let (store, began, books) = (manifest.store_id, manifest.began_at, manifest.heads.len());
    print::text(&format!(
        "{:#}\n",
        json!({"backup": backup.display().to_string(), "store_id": store, "began_at": began, "age_seconds": age,
            "books": books, "groups": groups, "transactions": transactions, "wallets": wallets, "verified": true})
    ));
    Ok(())
}

/// The backup that was named, or the newest of those there.
fn chosen(wanted: &RestoreBackup) -> Result<PathBuf, Failure> {
    if !wanted.newest {
        return Ok(wanted.directory.clone());
    }
    let mut there = Shelf::at(&wanted.directory).list().map_err(refused)?;
    let shown = wanted.directory.display();
    let stores: BTreeSet<_> = there.iter().map(|(_, manifest)| manifest.store_id.as_str()).collect();
    if stores.len() > 1 {
        // The newest may be of the wrong one.
        let why = format!("{shown} holds backups of {} stores; name the backup that you want", stores.len());
        return Err(Failure::new(Exit::Store, anyhow!(why)));
    }
    let none = || Failure::new(Exit::Store, anyhow!("there is no backup in {shown}"));
    there.pop().map(|(backup, _)| backup).ok_or_else(none)
}

/// Seconds since it began.
fn age(manifest: &Manifest) -> i64 {
    SystemClock::new().now().millis_since(manifest.began_at) / 1000
}

fn refused(error: BackupError) -> Failure {
    Failure::new(Exit::Store, error)
}

fn restore(backup: &Path, part: &Path, data_dir: &Path) -> Result<(Manifest, Verified), Failure> {
    if part.exists() {
        // Of an attempt that broke off.
        std::fs::remove_dir_all(part).context("what an earlier attempt has left cannot be removed")?;
    }
    let spinner = progress::spinner("copying and verifying");
    let manifest = unpack(backup, part).map_err(refused)?;
    let options = EmbeddedOptions::new(SystemClock::new().now(), OsIds::new().mint());
    let store = EmbeddedStore::open(part, options).map_err(|error| Failure::new(Exit::Store, error))?;
    let verified = block_on(verify(&store, &manifest))??;
    store.close().context("what was copied cannot be closed")?;
    move_in(part, data_dir).map_err(refused)?;
    spinner.finish_and_clear();
    Ok((manifest, verified))
}

/// It is the store that the backup says, every book reaches as far, its hash chain and its sums hold, and its views show
/// what its journal says.
async fn verify(store: &EmbeddedStore, manifest: &Manifest) -> Result<Verified, Failure> {
    let differs = |why: String| Failure::new(Exit::Ledger, anyhow!("the backup is not good: {why}"));
    if format!("{:032x}", store.store_id()) != manifest.store_id {
        return Err(differs("its files are of another store than it says".to_owned()));
    }
    let (journal, documents) = (store.journal(), store.documents());
    let books = journal.books().await.context("the books cannot be listed")?;
    if books.len() != manifest.heads.len() {
        return Err(differs(format!("it has {} books of {}", books.len(), manifest.heads.len())));
    }
    let mut verified = Verified::default();
    for book in books {
        let head = journal.head(book).await.context("a head cannot be read")?;
        if manifest.heads.get(&book.to_string()) != Some(&head) {
            return Err(differs(format!("{book} reaches to {head}, and not as far as it says")));
        }
        let replayed = Replayed::play(&journal, book, head).await.context("the journal cannot be read")?;
        check(book, head, &replayed).map_err(differs)?;
        let shown = verify_book(&journal, &documents, book).await.context("the views cannot be read")?;
        if let Some(difference) = shown.differences.first() {
            return Err(differs(format!("{book}: {difference}")));
        }
        verified.groups += head;
        verified.transactions += replayed.transactions;
        verified.wallets += replayed.wallets.len();
    }
    Ok(verified)
}

/// The journal of a book by itself.
fn check(book: BookId, head: Sequence, replayed: &Replayed) -> Result<(), String> {
    if let Some(difference) = replayed.differences.first() {
        return Err(format!("{book}: {difference}"));
    }
    if replayed.head != head {
        return Err(format!("{book} ends at {} instead of {head}", replayed.head));
    }
    match replayed.totals.iter().find(|(_, sums)| sums.debits != sums.credits) {
        Some((asset, sums)) => {
            Err(format!("{book}: {} debits and {} credits of {asset}", sums.debits, sums.credits))
        }
        None => Ok(()),
    }
}
