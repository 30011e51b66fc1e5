//! The same random operations against two stores: they must give the same answers, refuse for the same reasons and
//! end in the same state. A run depends on its seed only; every difference names the seed that shows it again.

use bytes::Bytes;

use super::Dice;
use super::documents_contract::{PEOPLE, PLAIN, VIEWS};
use crate::AppId;
use crate::ports::documents::{
    Batch, Collection, Direction, Documents, IndexKeys, Key, Position, Query, Row, Write,
};
use crate::ports::journal::{Group, Journal};

/// How many operations a sequence has that is as long as any store can bear.
const STEPS: u32 = 30;

/// Runs the sequence of this seed against both document stores, in two applications of its own, so that one pair of
/// stores can take any number of seeds.
///
/// # Panics
/// At the first difference.
pub async fn documents(seed: u64, left: &dyn Documents, right: &dyn Documents) {
    documents_in(STEPS, seed, left, right).await;
}

/// The same in so many steps: for stores over a network, where each takes its time.
///
/// # Panics
/// At the first difference.
pub async fn documents_in(steps: u32, seed: u64, left: &dyn Documents, right: &dyn Documents) {
    let mut dice = Dice::new(seed);
    let apps = apps_of(seed);
    for step in 0..steps {
        let app = *dice.pick(&apps);
        let at = format!("seed {seed}, step {step}");
        match dice.below(10) {
            0..7 => {
                let batch = random_batch(&mut dice);
                let answers = (left.commit(app, batch.clone()).await, right.commit(app, batch.clone()).await);
                assert_eq!(answers.0, answers.1, "{at}: {batch:?}");
            }
            7 => {
                let ids: Vec<_> = (0..dice.below(4)).map(|_| random_id(&mut dice)).collect();
                let collection = random_collection(&mut dice);
                let answers =
                    (left.get_many(app, collection, &ids).await, right.get_many(app, collection, &ids).await);
                assert_eq!(answers.0, answers.1, "{at}: {ids:?}");
            }
            _ => {
                let query = random_query(&mut dice);
                let answers = (left.query(app, query.clone()).await, right.query(app, query.clone()).await);
                assert_eq!(answers.0, answers.1, "{at}: {query:?}");
            }
        }
    }
    for app in apps {
        assert_eq!(state(left, app).await, state(right, app).await, "seed {seed}, end state");
    }
    // The lists grow with every seed that one pair of stores has taken: looking at some of them is enough.
    for collection in [&PEOPLE, &VIEWS, &PLAIN].into_iter().filter(|_| seed.is_multiple_of(100)) {
        assert_eq!(left.apps(collection).await, right.apps(collection).await, "seed {seed}");
    }
}

/// Runs the sequence of this seed against both journals, in two books of its own.
///
/// # Panics
/// At the first difference.
pub async fn journals(seed: u64, left: &dyn Journal, right: &dyn Journal) {
    journals_in(STEPS, seed, left, right).await;
}

/// The same in so many steps: for stores over a network, where each takes its time.
///
/// # Panics
/// At the first difference.
pub async fn journals_in(steps: u32, seed: u64, left: &dyn Journal, right: &dyn Journal) {
    let mut dice = Dice::new(seed);
    let books = apps_of(seed);
    for step in 0..steps {
        let book = *dice.pick(&books);
        let at = format!("seed {seed}, step {step}");
        let head = left.head(book).await;
        assert_eq!(head, right.head(book).await, "{at}");
        let head = head.expect("available");
        if dice.percent(75) {
            // Mostly the next slot, at times one that is filled, by its own group or by another.
            let sequence = if dice.percent(70) { head + 1 } else { 1 + dice.below(head + 1) };
            let group = Group {
                id: u128::from(sequence * 2 + dice.below(2)),
                bytes: Bytes::from(dice.bits().to_be_bytes().repeat(dice.place(20))),
            };
            let answers = (
                left.append(book, sequence, group.clone()).await,
                right.append(book, sequence, group.clone()).await,
            );
            assert_eq!(answers.0, answers.1, "{at}: {sequence} {}", group.id);
        } else {
            let (from, limit) = (dice.below(head + 3), dice.place(8));
            assert_eq!(left.read(book, from, limit).await, right.read(book, from, limit).await, "{at}");
        }
    }
    for book in books {
        assert_eq!(
            left.read(book, 1, usize::MAX).await,
            right.read(book, 1, usize::MAX).await,
            "seed {seed}"
        );
    }
    if seed.is_multiple_of(100) {
        assert_eq!(left.books().await, right.books().await, "seed {seed}");
    }
}

fn apps_of(seed: u64) -> [AppId; 2] {
    [1, 2].map(|number| AppId::from_u128((u128::from(seed) << 8) + number))
}

fn random_batch(dice: &mut Dice) -> Batch {
    let length = if dice.percent(50) { 1 } else { dice.below(6) };
    Batch { writes: (0..length).map(|_| random_write(dice)).collect() }
}

fn random_write(dice: &mut Dice) -> Write {
    let collection = random_collection(dice);
    let id = random_id(dice);
    let version = *dice.pick(&[1, 1, 1, 1, 2, 2, 0, 3]);
    let body = Bytes::from(dice.below(1000).to_string());
    match dice.below(10) {
        0..3 => Write::Insert { collection, id, body, keys: random_keys(dice, collection) },
        3..6 => Write::Replace { collection, id, version, body, keys: random_keys(dice, collection) },
        6..8 => {
            let mut keys = random_keys(dice, collection);
            keys.retain(|(index, _)| !collection.declared_index(index).unique);
            Write::Put { collection, id, sequence: version + 1, body, keys }
        }
        8 => Write::Delete { collection, id, version },
        _ => Write::Require { collection, id, version },
    }
}

fn random_collection(dice: &mut Dice) -> &'static Collection {
    [&PEOPLE, &VIEWS, &PLAIN][dice.place(3)]
}

fn random_id(dice: &mut Dice) -> String {
    (*dice.pick(&["a", "b", "ba", "c", "é"])).to_owned()
}

fn random_keys(dice: &mut Dice, collection: &Collection) -> IndexKeys {
    let mut keys = Vec::new();
    for index in collection.indexes {
        for _ in 0..dice.below(3) {
            keys.push((index.name, random_key(dice)));
        }
    }
    keys
}

fn random_key(dice: &mut Dice) -> Key {
    let key = Key::text(dice.pick::<&str>(&["", "x", "x\0", "xy", "\u{ff}"]));
    match dice.below(10) {
        0..6 => key,
        6..8 => key.and_number(*dice.pick(&[0, 1, 255, 256, u64::MAX])),
        _ => key.and_text(dice.pick::<&str>(&["", "y", "\0"])),
    }
}

fn random_query(dice: &mut Dice) -> Query {
    let collection = random_collection(dice);
    let index = match collection.indexes {
        [] => None,
        indexes => dice.percent(75).then(|| dice.pick(indexes).name),
    };
    let place = |dice: &mut Dice| match index {
        Some(_) => random_key(dice),
        None => Key::empty().and_text_prefix(&random_id(dice)),
    };
    let prefix = match dice.below(4) {
        0 => place(dice),
        1 => Key::empty().and_text_prefix(dice.pick::<&str>(&["x", "b", "\0"])),
        _ => Key::empty(),
    };
    let from = dice.percent(30).then(|| place(dice));
    let until = dice.percent(30).then(|| place(dice));
    let direction = *dice.pick(&[Direction::Ascending, Direction::Descending]);
    let after = dice.percent(30).then(|| match index {
        Some(_) => Position::of_key(random_key(dice).as_bytes(), &random_id(dice)),
        None => Position(random_id(dice).into_bytes()),
    });
    Query { collection, index, prefix, from, until, direction, after, limit: dice.place(8) }
}

async fn state(store: &dyn Documents, app: AppId) -> Vec<Vec<Row>> {
    let mut state = Vec::new();
    for collection in [&PEOPLE, &VIEWS, &PLAIN] {
        let indexes = collection.indexes.iter().map(|index| Some(index.name)).chain([None]);
        for index in indexes {
            let query = Query::new(collection, index, Key::empty(), usize::MAX);
            state.push(store.query(app, query).await.expect("readable"));
        }
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{MemoryDocuments, MemoryJournal};
    use crate::ports::journal::Appended;

    #[tokio::test]
    async fn the_reference_agrees_with_itself_on_two_thousand_sequences() {
        let documents_pair = (MemoryDocuments::new(), MemoryDocuments::new());
        let journal_pair = (MemoryJournal::new(), MemoryJournal::new());
        for seed in 0..2000 {
            documents(seed, &documents_pair.0, &documents_pair.1).await;
            journals(seed, &journal_pair.0, &journal_pair.1).await;
        }
        let books = journal_pair.0.books().await.expect("available");
        assert!(books.len() > 3900, "nearly every book was written, {} were", books.len());
    }

    #[tokio::test]
    #[should_panic(expected = "seed 7")]
    async fn a_store_that_differs_is_found_out() {
        let (left, right) = (MemoryJournal::new(), MemoryJournal::new());
        let group = Group { id: 0, bytes: Bytes::new() };
        assert_eq!(right.append(apps_of(7)[0], 1, group.clone()).await, Ok(Appended::Appended));
        assert_eq!(right.append(apps_of(7)[1], 1, group).await, Ok(Appended::Appended));
        journals(7, &left, &right).await;
    }

    #[tokio::test]
    async fn the_random_operations_reach_every_answer() {
        use crate::ports::documents::CommitError;
        let store = MemoryDocuments::new();
        let (mut done, mut exists, mut taken, mut version) = (0, 0, 0, 0);
        let mut dice = Dice::new(1);
        for step in 0..40_000 {
            match store.commit(apps_of(step / 30)[0], random_batch(&mut dice)).await {
                Ok(()) => done += 1,
                Err(CommitError::Exists { .. }) => exists += 1,
                Err(CommitError::Taken { .. }) => taken += 1,
                Err(CommitError::Version { .. }) => version += 1,
                Err(CommitError::Store(error)) => panic!("{error}"),
            }
        }
        assert!(
            [done, exists, taken, version].iter().all(|count| *count > 100),
            "{done} {exists} {taken} {version}"
        );
    }
}
