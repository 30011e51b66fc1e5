//! Backups made at work, kept on a shelf, refused when they are damaged, and made a store again.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use credit_core::AppId;
use credit_core::ports::documents::{Batch, Key, Write};
use credit_core::ports::journal::{Appended, Group};
use credit_core::testkit::TestClock;
use credit_core::testkit::documents_contract::PEOPLE;
use credit_infra::embedded::EmbeddedStore;
use credit_infra::embedded::backup::{BackupError, Manifest, Shelf, holds_store, move_in, unpack};

use super::options;

const BOOK: AppId = AppId::from_u128(1);

async fn append(store: &EmbeddedStore, from: u64, to: u64) {
    for sequence in from..=to {
        let group =
            Group { id: u128::from(sequence), bytes: Bytes::from(format!("group {sequence} ").repeat(200)) };
        assert_eq!(store.journal().append(BOOK, sequence, group).await, Ok(Appended::Appended));
    }
}

/// A document, which notes how far the journal reaches.
async fn note(store: &EmbeddedStore, id: String) {
    let keys = vec![("email", Key::text(&id))];
    let body = Bytes::from_static(b"{\"a\":1}");
    let insert = Batch::of(Write::Insert { collection: &PEOPLE, id, body, keys });
    assert_eq!(store.documents().commit(BOOK, insert).await, Ok(()));
}

async fn filled(directory: &Path) -> EmbeddedStore {
    let store = EmbeddedStore::open(directory, options()).unwrap();
    append(&store, 1, 40).await;
    note(&store, "a".to_owned()).await;
    store
}

fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn put(shelf: &Shelf, store: &EmbeddedStore, clock: &TestClock) -> std::path::PathBuf {
    clock.advance_seconds(1);
    shelf.put(store, clock, &mut |_| ControlFlow::Continue(())).unwrap().0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn while_groups_and_documents_are_written_every_backup_is_of_one_store() {
    let home = tempfile::tempdir().unwrap();
    let store = filled(&home.path().join("live")).await;
    let (shelf, clock) = (Shelf::at(home.path().join("shelf")), TestClock::new());
    let written = AtomicU64::new(40);
    let stop = AtomicBool::new(false);
    let backups = tokio::task::block_in_place(|| {
        std::thread::scope(|scope| {
            let (store, written, stop) = (&store, &written, &stop);
            let handle = tokio::runtime::Handle::current();
            let writer = scope.spawn(move || {
                for sequence in 41.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    handle.block_on(append(store, sequence, sequence));
                    written.store(sequence, Ordering::SeqCst);
                    handle.block_on(note(store, format!("n{sequence}")));
                }
            });
            let mut backups = Vec::new();
            // On a disk that is slow at syncs hardly anything is written during five of them.
            while backups.len() < 5 || written.load(Ordering::SeqCst) <= 60 {
                assert!(backups.len() < 500, "nothing is written beside backups");
                let before = written.load(Ordering::SeqCst);
                backups.push((before, put(&shelf, store, &clock)));
            }
            stop.store(true, Ordering::Relaxed);
            writer.join().unwrap();
            backups
        })
    });
    for (before, backup) in backups {
        let to = home.path().join("restored");
        let manifest = unpack(&backup, &to).unwrap();
        // Opening looks that the documents know no more of the journal than there is.
        let restored = EmbeddedStore::open(&to, options()).unwrap();
        let head = restored.journal().head(BOOK).await.unwrap();
        assert!(head >= before, "{before} groups were durable before, and {head} are in the backup");
        assert_eq!(manifest.heads.values().copied().collect::<Vec<_>>(), [head]);
        let groups = restored.journal().read(BOOK, 1, usize::MAX).await.unwrap();
        assert_eq!(u64::try_from(groups.len()), Ok(head));
        assert_eq!(restored.store_id(), store.store_id());
        drop(restored);
        std::fs::remove_dir_all(&to).unwrap();
    }
}

#[tokio::test]
async fn of_a_backup_that_was_stopped_or_may_not_be_there_nothing_is_left() {
    let home = tempfile::tempdir().unwrap();
    let store = filled(&home.path().join("live")).await;
    let (shelf, clock) = (Shelf::at(home.path().join("shelf")), TestClock::new());
    let stopped = shelf.put(&store, &clock, &mut |_| ControlFlow::Break(())).unwrap_err();
    assert!(matches!(stopped, BackupError::Stopped), "{stopped}");
    assert_eq!(names(&home.path().join("shelf")), [""; 0]);
    // A place that somebody has filled is theirs, also if it was filled while the backup was written.
    let place = home.path().join("place");
    let taken = store
        .backup(&place, &clock, &mut |_| {
            std::fs::create_dir_all(&place).unwrap();
            std::fs::write(place.join("diary"), "dear diary").unwrap();
            ControlFlow::Continue(())
        })
        .unwrap_err();
    assert!(matches!(taken, BackupError::Taken { .. }), "{taken}");
    assert_eq!(names(&place), ["diary"]);
    assert_eq!(names(home.path()), ["live", "place", "shelf"]);
}

#[tokio::test]
async fn a_shelf_keeps_the_newest_of_a_store_and_all_of_others() {
    let home = tempfile::tempdir().unwrap();
    let store = filled(&home.path().join("live")).await;
    let other = credit_infra::embedded::EmbeddedOptions::new(super::NOW, 7);
    let other = EmbeddedStore::open(&home.path().join("other"), other).unwrap();
    let (directory, clock) = (home.path().join("shelf"), TestClock::new());
    let shelf = Shelf::at(&directory);
    assert_eq!(shelf.newest().unwrap(), None, "not made yet");
    let others = put(&shelf, &other, &clock);
    let own: Vec<_> = (0..4).map(|_| put(&shelf, &store, &clock)).collect();
    // What killed processes leave: half a backup, half a removal, of this store and of the other one.
    let mark = own[3].to_string_lossy().rsplit_once('-').map(|(_, mark)| mark.to_owned()).unwrap();
    let left = [
        format!(".credit-1-{mark}.part"),
        format!(".gone-credit-1-{mark}"),
        ".credit-1-00000007.part".to_owned(),
        "credit-lost+found".to_owned(),
    ];
    for name in &left {
        std::fs::create_dir(directory.join(name)).unwrap();
    }
    assert_eq!(shelf.list().unwrap().len(), 5, "none of them is a backup");
    assert_eq!(shelf.keep_newest(&store, 2).unwrap(), 2);
    let kept: Vec<_> = shelf.list().unwrap().into_iter().map(|(path, _)| path).collect();
    assert_eq!(kept, [others, own[2].clone(), own[3].clone()]);
    assert_eq!(shelf.newest().unwrap().map(|(path, _)| path), Some(own[3].clone()));
    let there = names(&directory);
    assert!(!there.contains(&left[0]) && !there.contains(&left[1]), "{there:?}");
    assert!(there.contains(&left[2]) && there.contains(&left[3]), "{there:?}");
}

#[tokio::test]
async fn what_is_damaged_is_refused_and_what_is_none_is_told() {
    let home = tempfile::tempdir().unwrap();
    let store = filled(&home.path().join("live")).await;
    let backup = home.path().join("backup");
    store.backup(&backup, &TestClock::new(), &mut |_| ControlFlow::Continue(())).unwrap();
    let whole = Manifest::read(&backup).unwrap();
    let to = home.path().join("to");
    for (name, keep) in
        [("journal.redb", 1.0), ("documents.redb", 1.0), ("journal.redb", 0.5), ("backup.json", 0.5)]
    {
        let path = backup.join(name);
        let before = std::fs::read(&path).unwrap();
        let mut bytes = before.clone();
        if keep < 1.0 {
            bytes.truncate(before.len() / 2);
        } else {
            bytes[before.len() / 3] ^= 1;
        }
        std::fs::write(&path, bytes).unwrap();
        let refused = unpack(&backup, &to).unwrap_err();
        assert!(matches!(refused, BackupError::Damaged { .. }), "{name}: {refused}");
        std::fs::write(&path, before).unwrap();
        if to.exists() {
            std::fs::remove_dir_all(&to).unwrap();
        }
    }
    let newer = std::fs::read_to_string(backup.join("backup.json"))
        .unwrap()
        .replace("\"format\": 1", "\"format\": 9");
    std::fs::write(backup.join("backup.json"), newer).unwrap();
    assert!(matches!(unpack(&backup, &to).unwrap_err(), BackupError::Newer { found: 9, known: 1 }));
    let none = unpack(&home.path().join("live"), &to).unwrap_err();
    assert!(matches!(none, BackupError::NoBackup { .. }), "{none}");
    assert!(!to.exists() && whole.bytes() > 10_000);
}

#[tokio::test]
async fn a_restored_backup_is_the_store_and_is_never_put_over_another() {
    let home = tempfile::tempdir().unwrap();
    let store = filled(&home.path().join("live")).await;
    let (backup, data) = (home.path().join("backup"), home.path().join("data"));
    store.backup(&backup, &TestClock::new(), &mut |_| ControlFlow::Continue(())).unwrap();
    std::fs::create_dir(&data).unwrap();
    let part = data.join("part");
    unpack(&backup, &part).unwrap();
    assert!(!holds_store(&data));
    move_in(&part, &data).unwrap();
    assert!(holds_store(&data) && !part.exists());
    unpack(&backup, &part).unwrap();
    let refused = move_in(&part, &data).unwrap_err();
    assert!(matches!(refused, BackupError::Taken { .. }), "{refused}");
    let restored = EmbeddedStore::open(&data, options()).unwrap();
    assert_eq!(restored.journal().head(BOOK).await, Ok(40));
    assert!(restored.documents().get(BOOK, &PEOPLE, "a").await.unwrap().is_some());
    append(&restored, 41, 42).await;
}
