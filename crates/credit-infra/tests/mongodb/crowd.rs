//! Many at once, in one process and in several.

use std::collections::BTreeMap;

use credit_core::AppId;
use credit_core::ports::StoreError;
use credit_core::ports::documents::{Batch, Key, Query, Write};
use credit_core::ports::journal::{Appended, BookId, Group, Journal};
use credit_core::testkit::documents_contract::{PLAIN, VIEWS};
use credit_infra::mongodb::{MongoOptions, MongoStore};
use credit_infra::testkit::mongod;

use super::{APP, options};

fn group(id: u128) -> Group {
    Group { id, bytes: id.to_be_bytes().to_vec().into() }
}

/// As a lane does: behind what is there, again if another was faster. Answers the slot.
async fn append_somewhere(journal: &dyn Journal, id: u128) -> u64 {
    append_to(journal, APP, id).await
}

async fn append_to(journal: &dyn Journal, book: BookId, id: u128) -> u64 {
    let mut slot = journal.head(book).await.unwrap() + 1;
    loop {
        match journal.append(book, slot, group(id)).await {
            Ok(Appended::Appended) => return slot,
            Ok(Appended::Taken) => slot += 1,
            Err(StoreError::OutcomeUnknown(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_writers_share_four_connections() {
    let store = MongoStore::connect(MongoOptions { pool: 4, ..options(mongod::shared()) }).await.unwrap();
    let writers: Vec<_> = (0..200)
        .map(|number| {
            let documents = store.documents();
            tokio::spawn(async move {
                let insert =
                    |id: String| Write::Insert { collection: &PLAIN, id, body: "{}".into(), keys: vec![] };
                let one = Batch::of(insert(format!("{number:03}")));
                documents.commit(APP, one).await?;
                let pair = Batch::of(insert(format!("{number:03}a"))).and(insert(format!("{number:03}b")));
                documents.commit(APP, pair).await
            })
        })
        .collect();
    for writer in writers {
        assert_eq!(writer.await.unwrap(), Ok(()));
    }
    let all = store.documents().query(APP, Query::new(&PLAIN, None, Key::empty(), 1000)).await.unwrap();
    assert_eq!(all.len(), 600);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_writers_of_books_share_four_connections() {
    const BOOKS: u128 = 20;
    let store = MongoStore::connect(MongoOptions { pool: 4, ..options(mongod::shared()) }).await.unwrap();
    let writers: Vec<_> = (0..200_u128)
        .map(|number| {
            let journal = store.journal();
            tokio::spawn(async move {
                let book = AppId::from_u128(1 + number % BOOKS);
                let mut slots = Vec::new();
                for group in 0..2 {
                    slots.push((append_to(&*journal, book, number * 10 + group).await, number * 10 + group));
                }
                (book, slots)
            })
        })
        .collect();
    let mut told: BTreeMap<AppId, Vec<(u64, u128)>> = BTreeMap::new();
    for writer in writers {
        let (book, slots) = writer.await.unwrap();
        told.entry(book).or_default().extend(slots);
    }
    assert_eq!(store.journal().books().await.unwrap(), told.keys().copied().collect::<Vec<_>>());
    for (book, mut slots) in told {
        slots.sort_unstable();
        let kept = store.journal().read(book, 1, 100).await.unwrap();
        let kept: Vec<_> = kept.into_iter().map(|(slot, group)| (slot, group.id)).collect();
        assert_eq!(kept, slots, "{book}");
        assert_eq!(kept.len(), 20);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_on_one_book_fill_each_slot_once_and_none_starves() {
    let options = options(mongod::shared());
    let stores =
        [MongoStore::connect(options.clone()).await.unwrap(), MongoStore::connect(options).await.unwrap()];
    let racing: Vec<_> = (0_u128..2)
        .map(|process| {
            let journal = stores[usize::try_from(process).unwrap()].journal();
            tokio::spawn(async move {
                let mut slots = Vec::new();
                for number in 0..60 {
                    slots.push(append_somewhere(&*journal, process * 1000 + number).await);
                }
                slots
            })
        })
        .collect();
    let mut slots = Vec::new();
    for one in racing {
        slots.push(one.await.unwrap());
    }
    let in_first_half = |slots: &[u64]| slots.iter().filter(|slot| **slot <= 60).count();
    assert!(slots.iter().all(|slots| in_first_half(slots) >= 6), "{slots:?}");
    let mut all = slots.concat();
    all.sort_unstable();
    assert_eq!(all, (1..=120).collect::<Vec<_>>());
    for store in &stores {
        let groups = store.journal().read(APP, 1, 1000).await.unwrap();
        assert_eq!(groups.len(), 120);
        for (process, slots) in slots.iter().enumerate() {
            for (number, slot) in slots.iter().enumerate() {
                let (_, kept) = &groups[usize::try_from(slot - 1).unwrap()];
                assert_eq!(kept.id, u128::try_from(process * 1000 + number).unwrap());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_projectors_leave_the_newest_views_and_the_watermark_behind_them() {
    let store = MongoStore::connect(options(mongod::shared())).await.unwrap();
    let put = |id: String, sequence: u64, number: u64| Write::Put {
        collection: &VIEWS,
        id,
        sequence,
        body: sequence.to_string().into(),
        keys: vec![("by_number", Key::number(number))],
    };
    // All write the same views, each up to another sequence, in batches with a watermark at the end.
    let projectors: Vec<_> = (0..4_u64)
        .map(|projector| {
            let documents = store.documents();
            tokio::spawn(async move {
                for sequence in (1 + projector..=24).step_by(2) {
                    let mut batch = Batch::default();
                    for view in 0..40 {
                        batch = batch.and(put(format!("v{view:02}"), sequence, sequence));
                    }
                    documents.commit(APP, batch.and(put("watermark".to_owned(), sequence, 0))).await.unwrap();
                }
            })
        })
        .collect();
    let reader = {
        let documents = store.documents();
        tokio::spawn(async move {
            for _ in 0..60 {
                let mark = documents.get(APP, &VIEWS, "watermark").await.unwrap();
                let mark = mark.map_or(0, |mark| mark.version);
                let ids: Vec<_> = (0..40).map(|view| format!("v{view:02}")).collect();
                for view in documents.get_many(APP, &VIEWS, &ids).await.unwrap() {
                    let shown = view.map_or(0, |view| view.version);
                    assert!(shown >= mark, "a view at {shown} behind the watermark at {mark}");
                }
            }
        })
    };
    for projector in projectors {
        projector.await.unwrap();
    }
    reader.await.unwrap();
    let newest = Query::new(&VIEWS, Some("by_number"), Key::number(24), 100);
    assert_eq!(store.documents().query(APP, newest).await.unwrap().len(), 40);
}
