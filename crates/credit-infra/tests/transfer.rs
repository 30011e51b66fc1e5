//! What one store keeps, moved into another one and back, is what it was.

use bytes::Bytes;
use credit_core::AppId;
use credit_core::ports::documents::{
    Batch, Collection, CommitError, Documents, Index, Key, Position, Query, Write,
};
use credit_infra::embedded::{EmbeddedOptions, EmbeddedStore};
use credit_infra::mongodb::{MongoOptions, MongoStore};
use credit_infra::testkit::mongod::{fresh_database, shared};
use credit_infra::transfer::{CopyNote, KeptDocument, Transfer};

static THINGS: Collection = Collection {
    name: "things",
    indexes: &[Index { name: "by_name", unique: true }, Index { name: "by_tag", unique: false }],
};
static PLAIN: Collection = Collection { name: "plain", indexes: &[] };

const ONE: AppId = AppId::from_u128(1);
const OTHER: AppId = AppId::from_u128(0xFFFF_0000_0000_0000_0000_0000_0000_0002);

/// Documents at several versions, without keys, with one, with several, with bytes that are no text.
async fn fill(documents: &dyn Documents) {
    let insert = |id: &str, body: &str, keys: Vec<(&'static str, Key)>| Write::Insert {
        collection: &THINGS,
        id: id.to_owned(),
        body: Bytes::copy_from_slice(body.as_bytes()),
        keys,
    };
    let several = vec![
        ("by_name", Key::text("lamp")),
        ("by_name", Key::text("light").and_number(u64::MAX)),
        ("by_tag", Key::text("a\u{0}b")),
        ("by_tag", Key::text("é").and_number(200)),
    ];
    let batch = Batch::of(insert("lamp", "{\"a\":1}", several))
        .and(insert("none", "{ \"kept\": \"as it is\" }", Vec::new()))
        .and(insert("snowman-☃", "2", vec![("by_name", Key::number(0))]));
    documents.commit(ONE, batch).await.expect("kept");
    let mut version = 1;
    while version < 4 {
        let keys = vec![("by_tag", Key::text("changed"))];
        let body = Bytes::from(format!("{version}"));
        let replace = Write::Replace { collection: &THINGS, id: "none".to_owned(), version, body, keys };
        documents.commit(ONE, Batch::of(replace)).await.expect("kept");
        version += 1;
    }
    for number in 0..7 {
        let body = Bytes::from(format!("{{\"number\":{number}}}"));
        let id = format!("plain-{number}");
        let write = Write::Insert { collection: &PLAIN, id, body, keys: Vec::new() };
        documents.commit(OTHER, Batch::of(write)).await.expect("kept");
    }
    documents.commit(OTHER, Batch::of(insert("lamp", "3", Vec::new()))).await.expect("another's");
}

async fn everything(store: &dyn Transfer, collection: &'static Collection) -> Vec<KeptDocument> {
    let mut all: Vec<KeptDocument> = Vec::new();
    loop {
        let after = all.last().map(|last| (last.app, last.id.clone()));
        let mut page = store.export(collection, after, 2).await.expect("read");
        if page.is_empty() {
            for document in &mut all {
                document.keys.sort();
            }
            return all;
        }
        all.append(&mut page);
    }
}

async fn transfer(from: &dyn Transfer, to: &dyn Transfer) {
    for collection in [&THINGS, &PLAIN] {
        let documents = everything(from, collection).await;
        for _again in 0..2 {
            to.import(collection, documents.clone()).await.expect("kept");
        }
        assert_eq!(everything(to, collection).await, documents);
        assert_eq!(to.count(collection).await, from.count(collection).await);
    }
}

/// Found by id and by every key, unique as before, and at the version that it had.
async fn is_alive(documents: &dyn Documents) {
    let none = documents.get(ONE, &THINGS, "none").await.expect("read").expect("there");
    assert_eq!((none.version, none.body.as_ref()), (4, b"3".as_slice()));
    let by = |index, key| Query::new(&THINGS, Some(index), key, 10);
    for (index, key, id) in [
        ("by_name", Key::text("lamp"), "lamp"),
        ("by_name", Key::text("light").and_number(u64::MAX), "lamp"),
        ("by_tag", Key::text("a\u{0}b"), "lamp"),
        ("by_tag", Key::text("changed"), "none"),
        ("by_name", Key::number(0), "snowman-☃"),
    ] {
        let rows = documents.query(ONE, by(index, key.clone())).await.expect("read");
        assert_eq!(rows.len(), 1, "{index} {key:?}");
        assert_eq!(rows[0].document.id, id);
        assert_eq!(rows[0].position, Position::of_key(key.as_bytes(), id));
    }
    let taken = Write::Insert {
        collection: &THINGS,
        id: "another".to_owned(),
        body: Bytes::from_static(b"1"),
        keys: vec![("by_name", Key::text("lamp"))],
    };
    let refused = documents.commit(ONE, Batch::of(taken)).await;
    assert_eq!(refused, Err(CommitError::Taken { collection: "things", index: "by_name" }));
}

async fn mongodb() -> MongoStore {
    let options = MongoOptions::new(shared().uri().into(), fresh_database(), vec![&THINGS, &PLAIN]);
    MongoStore::connect(options).await.expect("connected")
}

fn embedded() -> EmbeddedStore {
    EmbeddedStore::open_in_memory(EmbeddedOptions::default()).expect("opened")
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_are_what_they_were_in_the_other_store_and_back_again() {
    let (first, second, third) = (embedded(), mongodb().await, embedded());
    fill(&*first.documents()).await;
    transfer(&first, &second).await;
    is_alive(&*second.documents()).await;
    transfer(&second, &third).await;
    is_alive(&*third.documents()).await;
    assert_eq!(everything(&third, &THINGS).await, everything(&first, &THINGS).await);
    second.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_takes_the_keys_of_what_was_there_away() {
    let (from, mongodb, embedded) = (embedded(), mongodb().await, embedded());
    fill(&*from.documents()).await;
    let documents = everything(&from, &THINGS).await;
    let mut bare = documents.clone();
    for document in &mut bare {
        document.keys.clear();
    }
    let stores: [(&dyn Transfer, _); 2] =
        [(&mongodb, mongodb.documents()), (&embedded, embedded.documents())];
    for (store, port) in stores {
        store.import(&THINGS, documents.clone()).await.expect("kept");
        store.import(&THINGS, bare.clone()).await.expect("kept");
        for index in ["by_name", "by_tag"] {
            let rows = port.query(ONE, Query::new(&THINGS, Some(index), Key::empty(), 10)).await;
            assert_eq!(rows, Ok(Vec::new()), "{index}");
        }
    }
    mongodb.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_note_of_a_copy_is_kept_and_changed() {
    let (mongodb, embedded) = (mongodb().await, embedded());
    let stores: [&dyn Transfer; 2] = [&mongodb, &embedded];
    for store in stores {
        assert_eq!(store.copy_note().await, Ok(None));
        for done in [false, true] {
            let note = CopyNote { source: u128::MAX - 5, done };
            store.note_copy(note).await.expect("kept");
            assert_eq!(store.copy_note().await, Ok(Some(note)));
        }
    }
    mongodb.close().await;
}
