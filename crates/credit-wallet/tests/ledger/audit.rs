//! Verification names what differs; rebuilding puts it right.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use credit_core::memory::{MemoryDocuments, MemoryJournal};
use credit_core::ports::documents::{Batch, Collection, Document, Documents, Key, Query, Write};
use credit_core::ports::journal::{Group, Journal};
use credit_wallet::ledger::{rebuild_views, verify_book, views};
use futures_util::future::join_all;

use crate::races::walk;
use crate::support::{APP, Give, House, Take, ask, balance, keyed, open, wallet_with};

async fn lived_in() -> House {
    let house = House::new();
    let book = house.book().await;
    let wallets = join_all((0..6).map(|user| open(&book, user))).await;
    walk(book.clone(), wallets.clone(), 1, 150).await;
    for call in 0..5 {
        let mut give = Give::new(wallets[0], 10);
        give.note.reference = Some(format!("order-{call}"));
        book.submit(keyed(give, &format!("give {call}"))).await.expect("credits come in");
    }
    house.verify(&book).await;
    house
}

async fn differences(journal: &Arc<dyn Journal>, documents: &Arc<dyn Documents>) -> Vec<String> {
    verify_book(journal, documents, APP).await.expect("both can be read").differences
}

/// A journal with the same groups, but for what `change` makes of them.
async fn forged(house: &House, change: impl Fn(u64, Bytes) -> Option<Bytes>) -> Arc<dyn Journal> {
    let journal = MemoryJournal::new();
    for (sequence, group) in house.journal.read(APP, 1, usize::MAX).await.expect("groups") {
        let Some(bytes) = change(sequence, group.bytes) else { break };
        journal.append(APP, sequence, Group { id: group.id, bytes }).await.expect("a slot");
    }
    Arc::new(journal)
}

async fn rows(documents: &Arc<dyn Documents>, collection: &'static Collection) -> Vec<Document> {
    let query = Query::new(collection, None, Key::empty(), usize::MAX);
    documents.query(APP, query).await.expect("rows").into_iter().map(|row| row.document).collect()
}

async fn everything(documents: &Arc<dyn Documents>) -> BTreeMap<(&'static str, String), Bytes> {
    let mut found = BTreeMap::new();
    for collection in views::ALL {
        let of = rows(documents, collection).await;
        found.extend(of.into_iter().map(|document| ((collection.name, document.id), document.body)));
    }
    found
}

/// The same views in a store of their own.
async fn copy(house: &House) -> Arc<dyn Documents> {
    let copy: Arc<dyn Documents> = Arc::new(MemoryDocuments::new());
    for collection in views::ALL {
        for document in rows(&house.documents, collection).await {
            let Document { id, version, body } = document;
            let write = Write::Put { collection, id, sequence: version, body, keys: Vec::new() };
            copy.commit(APP, Batch::of(write)).await.expect("a row");
        }
    }
    copy
}

#[tokio::test]
async fn a_changed_byte_in_any_group_is_named() {
    let house = lived_in().await;
    let head = house.journal.head(APP).await.expect("a head");

    for victim in [1, 2, head / 2, head - 1, head] {
        for place in [0, 10, 45, 60, 90, usize::MAX] {
            let journal = forged(&house, |sequence, bytes| {
                let mut bytes = bytes.to_vec();
                if sequence == victim {
                    let place = place.min(bytes.len() - 1);
                    bytes[place] ^= 1;
                }
                Some(bytes.into())
            })
            .await;
            let found = differences(&journal, &house.documents).await;
            assert!(!found.is_empty(), "byte {place} of group {victim} of {head} was changed unnoticed");
            let is_named = found.iter().any(|difference| {
                difference.contains(&format!("group {victim}"))
                    || difference.contains(&format!("group {}", victim + 1))
                    || difference.contains("watermark")
            });
            assert!(is_named, "{found:?}");
        }
    }
}

#[tokio::test]
async fn a_lost_tail_is_named() {
    let house = lived_in().await;
    let head = house.journal.head(APP).await.expect("a head");
    let journal = forged(&house, |sequence, bytes| (sequence < head - 2).then_some(bytes)).await;

    let found = differences(&journal, &house.documents).await;

    assert_eq!(found[0], format!("the journal ends at group {} and should reach {head}", head - 3));
}

#[tokio::test]
async fn a_missing_or_changed_row_of_any_view_is_named() {
    let house = lived_in().await;

    for collection in views::ALL {
        let row = rows(&house.documents, collection).await.pop().expect("every view has rows here");
        let missing = copy(&house).await;
        let gone = Write::Delete { collection, id: row.id.clone(), version: row.version };
        missing.commit(APP, Batch::of(gone)).await.expect("it is there");
        let found = differences(&house.journal, &missing).await;
        // A filter that is missing is made again; only one that does not know its claims is wrong.
        let may_be_missing = collection.name == views::FILTERS.name;
        assert!(may_be_missing || !found.is_empty(), "{} lost {}", collection.name, row.id);

        let Some(body) = another_body(&row.body) else { continue };
        let changed = copy(&house).await;
        for write in [
            Write::Delete { collection, id: row.id.clone(), version: row.version },
            Write::Put { collection, id: row.id.clone(), sequence: row.version, body, keys: Vec::new() },
        ] {
            changed.commit(APP, Batch::of(write)).await.expect("it is there");
        }
        let found = differences(&house.journal, &changed).await;
        assert!(!found.is_empty(), "{} of {} was changed unnoticed", row.id, collection.name);
    }
}

/// A backup may be made of a book before its first rows are written: that is no damage.
#[tokio::test]
async fn a_book_of_which_nothing_is_shown_yet_is_good() {
    let house = lived_in().await;
    let head = house.journal.head(APP).await.expect("a head");
    let bare: Arc<dyn Documents> = Arc::new(MemoryDocuments::new());

    let found = verify_book(&house.journal, &bare, APP).await.expect("both can be read");

    assert_eq!((found.head, found.differences), (head, Vec::new()));

    let lost = forged(&house, |sequence, mut bytes| {
        if sequence == head {
            bytes = bytes.slice(..bytes.len() - 1);
        }
        Some(bytes)
    });
    assert!(!differences(&lost.await, &bare).await.is_empty(), "its journal is looked at all the same");
}

/// The same form with the first number changed that can be.
fn another_body(body: &Bytes) -> Option<Bytes> {
    let text = String::from_utf8(body.to_vec()).expect("views are JSON");
    for field in [
        "\"overdrawn\":0",
        "\"held\":0",
        "\"captured\":",
        "\"kinds\":",
        "\"k\":",
        "\"total\":",
        "\"debits\":",
    ] {
        if let Some(place) = text.find(field) {
            let end = place + field.len();
            let changed = if field.ends_with('0') {
                format!("{}1{}", &text[..end - 1], &text[end..])
            } else {
                format!("{}1{}", &text[..end], &text[end..])
            };
            return Some(changed.into());
        }
    }
    if text.starts_with('"') {
        return Some(Bytes::from_static(b"\"AAAAAAAA\""));
    }
    text.strip_prefix('[').map(|rest| format!("[1{rest}").into())
}

#[tokio::test]
async fn rebuilt_views_are_the_same_as_those_that_were_written_behind() {
    let house = lived_in().await;
    let before = everything(&house.documents).await;
    let fresh: Arc<dyn Documents> = Arc::new(MemoryDocuments::new());

    rebuild_views(&house.journal, &fresh, APP, &house.settings, |_, _| {}).await.expect("rebuilt beside");
    rebuild_views(&house.journal, &house.documents, APP, &house.settings, |_, _| {})
        .await
        .expect("rebuilt in place");

    assert_eq!(everything(&fresh).await, before);
    assert_eq!(everything(&house.documents).await, before);
    assert!(differences(&house.journal, &house.documents).await.is_empty());
}

#[tokio::test]
async fn views_that_were_dropped_come_back_when_the_book_is_opened() {
    let house = House::new();
    let book = house.book().await;
    let wallet = wallet_with(&book, 1, 100).await;
    book.submit(keyed(Take::new(wallet, 1), "once")).await.expect("enough is there");
    let bare = House { documents: Arc::new(MemoryDocuments::new()), ..house.clone() };

    let reopened = bare.book().await;

    assert_eq!(balance(&reopened, wallet).await, 99);
    let again = reopened.submit(keyed(Take::new(wallet, 1), "once")).await.expect("the first answer again");
    assert!(again.replayed);
    reopened.submit(ask(Take::new(wallet, 9))).await.expect("enough is there");
    bare.verify(&reopened).await;
}
