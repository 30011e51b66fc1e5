//! A set of three whose primary goes away.

use std::time::{Duration, Instant};

use credit_core::ports::StoreError;
use credit_core::ports::journal::{Appended, Group};
use credit_infra::mongodb::{MongoOptions, MongoStore};
use credit_infra::testkit::mongod::{Mongo, Options};

use super::{APP, options};

fn group(id: u64) -> Group {
    Group { id: u128::from(id), bytes: id.to_string().into() }
}

fn quick(mongo: &Mongo) -> MongoOptions {
    MongoOptions {
        selection_timeout: Duration::from_millis(1_500),
        call_timeout: Duration::from_millis(2_500),
        ..options(mongo)
    }
}

/// As the lane does, until it is known.
async fn append(store: &MongoStore, slot: u64) {
    let limit = Instant::now() + Duration::from_secs(30);
    loop {
        match store.journal().append(APP, slot, group(slot)).await {
            Ok(answer) => return assert_eq!(answer, Appended::Appended, "slot {slot}"),
            Err(error) => assert!(!matches!(error, StoreError::Corrupt(_)), "{error}"),
        }
        assert!(Instant::now() < limit, "slot {slot} never became known");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_is_there_after_the_primary_was_killed() {
    let mongo = Mongo::start(Options::three());
    let store = MongoStore::connect(quick(&mongo)).await.unwrap();
    for slot in 1..=60 {
        if slot % 30 == 0 {
            let killed = tokio::task::block_in_place(|| mongo.kill_primary());
            append(&store, slot).await;
            tokio::task::block_in_place(|| mongo.restart(killed));
        } else {
            append(&store, slot).await;
        }
    }
    let limit = Instant::now() + Duration::from_secs(20);
    let kept = loop {
        match store.journal().read(APP, 1, 1000).await {
            Ok(kept) => break kept,
            Err(error) => assert!(Instant::now() < limit, "{error}"),
        }
    };
    assert_eq!(kept, (1..=60).map(|slot| (slot, group(slot))).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deposed_primary_never_gives_an_old_head() {
    let mongo = Mongo::start(Options::three());
    let everywhere = quick(&mongo);
    let store = MongoStore::connect(everywhere.clone()).await.unwrap();
    let old = tokio::task::block_in_place(|| mongo.primary());
    // Knows only the primary of before, and has no way to hear of another one.
    let there = MongoOptions { uri: mongo.direct_uri(old).into(), ..everywhere };
    let secluded = MongoStore::connect(there).await.unwrap();
    append(&store, 1).await;
    assert_eq!(secluded.journal().head(APP).await, Ok(1));

    mongo.pause(old);
    // Asked while it sleeps: it answers after it wakes, and by then others have moved on.
    let asked: Vec<_> = (0..8)
        .map(|_| {
            let journal = secluded.journal();
            tokio::spawn(async move { journal.read(APP, 1, 10).await.map(|groups| groups.len()) })
        })
        .collect();
    append(&store, 2).await;
    mongo.resume(old);
    for _ in 0..50 {
        let head = secluded.journal().head(APP).await;
        assert!(matches!(head, Ok(2) | Err(StoreError::Unavailable(_))), "{head:?}");
    }
    for one in asked {
        // These began before slot 2 was answered: either is true of them.
        let count = one.await.unwrap();
        assert!(matches!(count, Ok(1 | 2) | Err(StoreError::Unavailable(_))), "{count:?}");
    }
}
