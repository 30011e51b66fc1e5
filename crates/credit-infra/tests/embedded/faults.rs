//! The store on a disk that fails: nothing that was acknowledged may be lost, nothing may be kept in half.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use credit_core::AppId;
use credit_core::ports::StoreError;
use credit_core::ports::documents::{Batch, CommitError, Key, Query, Write};
use credit_core::ports::journal::{Appended, Group};
use credit_core::testkit::Dice;
use credit_core::testkit::documents_contract::{PEOPLE, VIEWS};
use credit_infra::embedded::EmbeddedStore;
use credit_infra::embedded::faulty::{FaultCount, Faults, FaultyDisk};
use parking_lot::Mutex;

use super::options;

const ROUNDS: u64 = 240;
const APP: AppId = AppId::from_u128(900);

/// What was answered, and what was asked and never answered for certain.
#[derive(Default)]
struct Told {
    appended: BTreeMap<(AppId, u64), Bytes>,
    uncertain: BTreeSet<(AppId, u64)>,
    committed: BTreeSet<u64>,
}

fn group_bytes(dice: &mut Dice) -> Bytes {
    let length = dice.place(9000);
    Bytes::from(vec![dice.bits().to_be_bytes()[0]; length])
}

async fn append_until_refused(store: &EmbeddedStore, told: &Mutex<Told>, book: AppId, mut dice: Dice) {
    let journal = store.journal();
    let Ok(mut head) = journal.head(book).await else { return };
    for _ in 0..60 {
        let bytes = group_bytes(&mut dice);
        let group = Group { id: u128::from(dice.bits()), bytes: bytes.clone() };
        match journal.append(book, head + 1, group).await {
            Ok(answer) => {
                assert_eq!(answer, Appended::Appended, "each book has one writer");
                told.lock().appended.insert((book, head + 1), bytes);
                head += 1;
            }
            Err(StoreError::OutcomeUnknown(_)) => {
                told.lock().uncertain.insert((book, head + 1));
                return;
            }
            Err(_) => return,
        }
    }
}

/// Pairs of a document and a view, so that a half of a batch would show.
fn pair(number: u64) -> Batch {
    let id = format!("{number:020}");
    let body = Bytes::from(format!("{{\"number\":{number}}}"));
    let keys = vec![("email", Key::number(number))];
    Batch::of(Write::Insert { collection: &PEOPLE, id: id.clone(), body: body.clone(), keys }).and(
        Write::Put {
            collection: &VIEWS,
            id,
            sequence: number,
            body,
            keys: vec![("by_number", Key::number(number))],
        },
    )
}

async fn commit_until_refused(store: &EmbeddedStore, told: &Mutex<Told>, first: u64) {
    for number in first..first + 60 {
        match store.documents().commit(APP, pair(number)).await {
            Ok(()) => {
                told.lock().committed.insert(number);
            }
            Err(CommitError::Store(_)) => return,
            Err(refused) => panic!("{refused}"),
        }
    }
}

/// Everything that was told is there, and nothing is there in half.
async fn look(store: &EmbeddedStore, told: &mut Told, round: u64) {
    for book in store.journal().books().await.unwrap() {
        let head = store.journal().head(book).await.unwrap();
        let kept = store.journal().read(book, 1, usize::MAX).await.unwrap();
        assert_eq!(u64::try_from(kept.len()).unwrap(), head, "round {round}");
        for (sequence, group) in kept {
            if !told.appended.contains_key(&(book, sequence)) {
                // It was asked for and not answered: from now on it is known to be there.
                assert!(told.uncertain.contains(&(book, sequence)), "round {round}: {sequence} was invented");
                told.appended.insert((book, sequence), group.bytes.clone());
            }
            assert_eq!(told.appended.get(&(book, sequence)), Some(&group.bytes), "round {round}");
        }
    }
    for (book, sequence) in told.appended.keys() {
        assert!(
            store.journal().head(*book).await.unwrap() >= *sequence,
            "round {round}: {sequence} was lost"
        );
    }
    let ids = |collection, index| {
        let query = Query::new(collection, index, Key::empty(), usize::MAX);
        let documents = store.documents();
        async move {
            let rows = documents.query(APP, query).await.unwrap();
            rows.into_iter().map(|row| row.document.id.parse::<u64>().unwrap()).collect::<BTreeSet<_>>()
        }
    };
    let people = ids(&PEOPLE, None).await;
    for (collection, index) in [(&PEOPLE, Some("email")), (&VIEWS, None), (&VIEWS, Some("by_number"))] {
        assert_eq!(people, ids(collection, index).await, "round {round}: a batch is there in half");
    }
    assert!(people.is_superset(&told.committed), "round {round}: a commit was lost");
}

fn random_faults(dice: &mut Dice) -> Faults {
    match dice.below(4) {
        0 => Faults { failing_writes: 20, ..Faults::default() },
        1 => Faults { failing_syncs: 100, ..Faults::default() },
        _ => Faults { power_lasts: Some(dice.below(400)), ..Faults::default() },
    }
}

#[tokio::test]
async fn power_cuts_torn_writes_and_failing_syncs_lose_nothing_that_was_answered() {
    let mut dice = Dice::new(20_260_101);
    let mut disks = (FaultyDisk::new(1), FaultyDisk::new(2));
    let mut told = Told::default();
    let (mut total, mut answered) = (FaultCount::default(), 0);
    for round in 0..ROUNDS {
        if round % 20 == 0 {
            // A new store now and then, so that young and grown ones are cut.
            disks = (FaultyDisk::new(dice.bits()), FaultyDisk::new(dice.bits()));
            told = Told::default();
        }
        let store = EmbeddedStore::open_with(disks.0.clone(), disks.1.clone(), options());
        let store = store.unwrap_or_else(|error| panic!("round {round}: {error}"));
        look(&store, &mut told, round).await;
        told.uncertain.clear();
        let before = told.appended.len() + told.committed.len();

        // At random one disk fails first; the power goes for both.
        let faults = random_faults(&mut dice);
        let target = if dice.percent(50) { &disks.0 } else { &disks.1 };
        target.set_faults(faults);
        let shared = Arc::new((store, Mutex::new(std::mem::take(&mut told))));
        let mut tasks = Vec::new();
        for book in [AppId::from_u128(1), AppId::from_u128(2), AppId::from_u128(3)] {
            let (shared, dice) = (Arc::clone(&shared), Dice::new(dice.bits()));
            tasks.push(tokio::spawn(
                async move { append_until_refused(&shared.0, &shared.1, book, dice).await },
            ));
        }
        for lane in 0..2 {
            let shared = Arc::clone(&shared);
            let first = round * 1000 + lane * 500;
            tasks.push(tokio::spawn(async move { commit_until_refused(&shared.0, &shared.1, first).await }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        let cut = (disks.0.after_power_cut(), disks.1.after_power_cut());
        let (store, kept) = Arc::into_inner(shared).unwrap();
        drop(store);
        told = kept.into_inner();
        answered += told.appended.len() + told.committed.len() - before;
        for (_, count) in [&cut.0, &cut.1] {
            total.dropped_writes += count.dropped_writes;
            total.torn_writes += count.torn_writes;
            total.reported_errors += count.reported_errors;
        }
        disks = (cut.0.0, cut.1.0);
    }
    assert!(answered > 4_000, "only {answered} calls were answered: the test tests little");
    assert!(total.dropped_writes > 100 && total.torn_writes > 100 && total.reported_errors > 20, "{total:?}");
}

#[tokio::test]
async fn after_a_failed_sync_the_store_takes_nothing_and_says_why() {
    let disks = (FaultyDisk::new(1), FaultyDisk::new(2));
    let store = EmbeddedStore::open_with(disks.0.clone(), disks.1.clone(), options()).unwrap();
    let group = Group { id: 1, bytes: Bytes::from_static(b"one") };
    disks.0.set_faults(Faults { failing_syncs: 1000, ..Faults::default() });
    let first = store.journal().append(APP, 1, group.clone()).await;
    assert!(matches!(first, Err(StoreError::OutcomeUnknown(_))), "{first:?}");
    disks.0.set_faults(Faults::default());

    let must_restart =
        |error: &StoreError| error.to_string().contains("the store failed and must be restarted");
    assert!(store.journal().append(APP, 1, group).await.is_err_and(|error| must_restart(&error)));
    assert!(store.journal().head(APP).await.is_err_and(|error| must_restart(&error)));
    assert!(store.journal().read(APP, 1, 1).await.is_err_and(|error| must_restart(&error)));
    let commit = store.documents().commit(APP, pair(1)).await;
    assert!(matches!(&commit, Err(CommitError::Store(error)) if must_restart(error)), "{commit:?}");
    assert!(store.failed().is_some());
}
