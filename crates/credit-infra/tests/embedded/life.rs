//! Opening, closing, copying, looking inside; and everything that must be refused at the door.

use std::ops::ControlFlow;
use std::path::Path;

use bytes::Bytes;
use credit_core::AppId;
use credit_core::ports::StoreError;
use credit_core::ports::documents::{Batch, Key, Query, Write};
use credit_core::ports::journal::{Appended, Group, Journal};
use credit_core::testkit::Dice;
use credit_core::testkit::documents_contract::PEOPLE;
use credit_infra::clock::SystemClock;
use credit_infra::embedded::backup::BackupError;
use credit_infra::embedded::{EmbeddedStore, OpenError};

use super::options;

const BOOK: AppId = AppId::from_u128(1);

fn open(directory: &Path) -> Result<EmbeddedStore, OpenError> {
    EmbeddedStore::open(directory, options())
}

fn group(id: u64) -> Group {
    Group { id: u128::from(id), bytes: Bytes::from(format!("group {id}")) }
}

async fn fill(journal: &dyn Journal, from: u64, to: u64) {
    for sequence in from..=to {
        assert_eq!(journal.append(BOOK, sequence, group(sequence)).await, Ok(Appended::Appended));
    }
}

fn insert(id: &str) -> Batch {
    let keys = vec![("email", Key::text(id))];
    Batch::of(Write::Insert {
        collection: &PEOPLE,
        id: id.to_owned(),
        body: Bytes::from_static(b"{\"a\":1}"),
        keys,
    })
}

#[tokio::test]
async fn what_was_kept_is_there_after_a_clean_stop() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    fill(&*store.journal(), 1, 20).await;
    assert_eq!(store.documents().commit(BOOK, insert("a")).await, Ok(()));
    let id = store.store_id();
    store.close().unwrap();
    assert!(!directory.path().join("owner.json").exists());

    let store = open(directory.path()).unwrap();
    assert_eq!(store.store_id(), id);
    assert_eq!(store.journal().head(BOOK).await, Ok(20));
    assert_eq!(store.journal().books().await, Ok(vec![BOOK]));
    assert_eq!(store.journal().read(BOOK, 20, 5).await, Ok(vec![(20, group(20))]));
    let kept = store.documents().get(BOOK, &PEOPLE, "a").await.unwrap().unwrap();
    assert_eq!(kept.version, 1);
    fill(&*store.journal(), 21, 22).await;
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let store = EmbeddedStore::open_in_memory(options()).unwrap();
    let (journal, documents) = (store.journal(), store.documents());
    store.close().unwrap();
    let closed = StoreError::Unavailable("the store is closed".to_owned());
    assert_eq!(journal.append(BOOK, 1, group(1)).await, Err(closed.clone()));
    assert_eq!(journal.read(BOOK, 1, 1).await, Err(closed.clone()));
    assert_eq!(documents.commit(BOOK, insert("a")).await, Err(closed.clone().into()));
    assert_eq!(documents.get(BOOK, &PEOPLE, "a").await, Err(closed));
}

#[test]
fn a_second_opening_is_refused_with_the_owner() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(directory.path()).unwrap();
    let refused = open(directory.path()).unwrap_err().to_string();
    assert!(refused.contains(&format!("in use by process {} on ", std::process::id())), "{refused}");
    assert!(refused.contains("since 2026-01-01T00:00:00.000Z"), "{refused}");
    drop(first);
    open(directory.path()).unwrap();
}

#[test]
fn halves_of_two_stores_are_refused() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    open(one.path()).unwrap().close().unwrap();
    let different = credit_infra::embedded::EmbeddedOptions { new_store_id: 43, ..options() };
    EmbeddedStore::open(other.path(), different).unwrap().close().unwrap();
    std::fs::copy(one.path().join("documents.redb"), other.path().join("documents.redb")).unwrap();
    let refused = open(other.path()).unwrap_err();
    assert!(matches!(refused, OpenError::Mismatch { .. }), "{refused}");
}

#[tokio::test]
async fn a_missing_half_is_refused() {
    for lost in ["journal.redb", "documents.redb"] {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path()).unwrap();
        fill(&*store.journal(), 1, 1).await;
        store.close().unwrap();
        std::fs::remove_file(directory.path().join(lost)).unwrap();
        let refused = open(directory.path()).unwrap_err().to_string();
        assert!(refused.contains(&format!("{lost} is missing or empty")), "{refused}");
    }
}

#[tokio::test]
async fn an_older_journal_under_newer_documents_is_a_lost_tail() {
    let directory = tempfile::tempdir().unwrap();
    let journal_file = directory.path().join("journal.redb");
    let store = open(directory.path()).unwrap();
    fill(&*store.journal(), 1, 3).await;
    store.close().unwrap();
    let older = std::fs::read(&journal_file).unwrap();
    let store = open(directory.path()).unwrap();
    fill(&*store.journal(), 4, 7).await;
    store.close().unwrap();
    std::fs::write(&journal_file, older).unwrap();
    let refused = open(directory.path()).unwrap_err().to_string();
    assert!(refused.contains("ends at 3, and documents.redb has seen 7"), "{refused}");
}

#[test]
fn a_file_that_is_no_store_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("journal.redb"), b"not a database, whatever it is named").unwrap();
    let refused = open(directory.path()).unwrap_err();
    assert!(matches!(refused, OpenError::Damaged { file: "journal.redb", .. }), "{refused}");
}

#[tokio::test]
async fn a_gap_is_refused() {
    let store = EmbeddedStore::open_in_memory(options()).unwrap();
    for sequence in [0, 2] {
        let refused = store.journal().append(BOOK, sequence, group(1)).await;
        assert!(matches!(refused, Err(StoreError::Corrupt(_))), "{refused:?}");
    }
    assert_eq!(store.failed(), None);
    fill(&*store.journal(), 1, 1).await;
}

/// What a killed process leaves: the files as they are, without a close.
fn leave_behind(from: &Path) -> tempfile::TempDir {
    let left = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), left.path().join(entry.file_name())).unwrap();
    }
    left
}

#[tokio::test]
async fn a_killed_store_is_repaired_and_whole() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    fill(&*store.journal(), 1, 30).await;
    assert_eq!(store.documents().commit(BOOK, insert("a")).await, Ok(()));
    let left = leave_behind(directory.path());
    let store = open(left.path()).unwrap();
    assert_eq!(store.journal().head(BOOK).await, Ok(30));
    assert_eq!(store.journal().read(BOOK, 1, 99).await.map(|groups| groups.len()), Ok(30));
    assert!(store.documents().get(BOOK, &PEOPLE, "a").await.unwrap().is_some());
}

#[tokio::test]
async fn a_flipped_byte_in_a_killed_journal_is_refused_or_harmless() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    fill(&*store.journal(), 1, 30).await;
    // Documents are written behind the journal and note how far it reached.
    assert_eq!(store.documents().commit(BOOK, insert("a")).await, Ok(()));
    let mut dice = Dice::new(7);
    let mut refused = 0;
    for trial in 0..80 {
        let left = leave_behind(directory.path());
        let path = left.path().join("journal.redb");
        let mut bytes = std::fs::read(&path).unwrap();
        // Half of them in the header, where the commits are.
        let place = if trial % 2 == 0 { dice.place(512) } else { dice.place(bytes.len()) };
        bytes[place] ^= 1 << dice.below(8);
        std::fs::write(&path, bytes).unwrap();
        let Ok(store) = open(left.path()) else {
            refused += 1;
            continue;
        };
        let groups = store.journal().read(BOOK, 1, 99).await.unwrap();
        let expected: Vec<_> = (1..=30).map(|sequence| (sequence, group(sequence))).collect();
        assert_eq!(groups, expected, "trial {trial}, byte {place}");
    }
    assert!(refused > 5, "only {refused} were refused");
}

#[tokio::test]
async fn a_backup_made_at_work_opens_with_all_that_was_answered_before_it() {
    let (directory, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(directory.path()).unwrap();
    fill(&*store.journal(), 1, 50).await;
    for id in ["a", "b", "c"] {
        assert_eq!(store.documents().commit(BOOK, insert(id)).await, Ok(()));
    }
    let mut seen = Vec::new();
    let clock = SystemClock::new();
    let manifest = store
        .backup(copy.path(), &clock, &mut |progress| {
            seen.push(progress);
            ControlFlow::Continue(())
        })
        .unwrap();
    fill(&*store.journal(), 51, 60).await;
    let last = seen.last().unwrap();
    assert_eq!(last.copied_rows, last.total_rows);
    assert!(last.total_rows > 50);
    assert_eq!((manifest.rows, manifest.heads.values().copied().collect()), (last.total_rows, vec![50]));
    let again = store.backup(copy.path(), &clock, &mut |_| ControlFlow::Continue(())).unwrap_err();
    assert!(matches!(again, BackupError::Taken { .. }), "{again}");

    let restored = open(copy.path()).unwrap();
    assert_eq!(restored.store_id(), store.store_id());
    assert_eq!(restored.journal().head(BOOK).await, Ok(50));
    let rows = restored.documents().query(BOOK, Query::new(&PEOPLE, Some("email"), Key::empty(), 10)).await;
    assert_eq!(rows.unwrap().len(), 3);
}

#[tokio::test]
async fn every_table_can_be_dumped_as_json() {
    let store = EmbeddedStore::open_in_memory(options()).unwrap();
    fill(&*store.journal(), 1, 1).await;
    assert_eq!(store.documents().commit(BOOK, insert("a")).await, Ok(()));
    let expected = [
        "documents/d.test_people",
        "documents/heads",
        "documents/i.test_people.email",
        "documents/meta",
        "journal/groups",
        "journal/meta",
    ];
    assert_eq!(store.tables().unwrap(), expected);
    let dump = |table: &str| -> Vec<String> {
        let rows = store.dump(table).unwrap().unwrap();
        rows.map(|row| serde_json::to_string(&row.unwrap()).unwrap()).collect()
    };
    let book = BOOK.to_string();
    assert_eq!(
        dump("journal/groups"),
        [format!(
            r#"{{"key":{{"book":"{book}","sequence":1}},"value":{{"bytes":{{"base64":"Z3JvdXAgMQ=="}},"group":"{:032x}"}}}}"#,
            1
        )]
    );
    let document = &dump("documents/d.test_people")[0];
    assert!(document.contains(r#""id":"a""#) && document.contains(r#""body":{"a":1}"#), "{document}");
    assert_eq!(dump("documents/heads").len(), 1);
    assert_eq!(dump("documents/i.test_people.email").len(), 1);
    assert_eq!(dump("journal/meta").len(), 3);
    for nothing in ["journal/nothing", "nothing/groups", "groups"] {
        assert!(store.dump(nothing).unwrap().is_none());
    }
}
