//! What every document store promises, one function a promise.
//! [`documents_contract_tests!`](crate::documents_contract_tests) makes a test of each; the function's name is the
//! promise.

use std::sync::Arc;

use bytes::Bytes;

use crate::AppId;
use crate::ports::documents::{
    Batch, Collection, CommitError, Direction, Document, Documents, Index, IndexKeys, Key, Query, Write,
};

/// One test per promise of [the document store](crate::testkit::documents_contract). Give it an async function
/// without arguments that answers a fresh `(Arc<dyn Documents>, anything that must live as long)`. The calling
/// crate needs `tokio` with `macros` and `rt`.
#[macro_export]
macro_rules! documents_contract_tests {
    ($factory:expr) => {
        $crate::contract_tests!(
            documents_contract,
            $factory,
            [
                what_was_inserted_is_read_back_at_version_one,
                an_id_is_inserted_once,
                a_unique_key_belongs_to_one_document_of_an_application,
                a_unique_key_is_free_again_after_its_document_let_go_of_it,
                a_document_keeps_its_own_unique_key,
                replacing_counts_the_version_and_moves_the_index_rows,
                replacing_needs_the_version_that_is_kept,
                requiring_changes_nothing_and_refuses_another_version,
                deleting_needs_the_version_and_leaves_no_row,
                a_view_keeps_the_newer_sequence,
                a_view_moves_its_index_rows,
                a_refused_batch_leaves_no_trace,
                each_write_of_a_batch_sees_the_ones_before,
                applications_do_not_see_each_other,
                collections_do_not_see_each_other,
                many_are_read_in_the_order_asked,
                a_query_by_id_goes_both_ways_under_its_prefix,
                a_query_by_index_orders_by_key_and_then_id,
                a_query_stays_within_its_prefix_and_bounds,
                a_key_of_fewer_parts_comes_before_longer_ones,
                a_document_has_as_many_rows_as_keys,
                a_query_continues_behind_a_row_while_others_come_and_go,
                of_many_that_insert_one_id_exactly_one_does,
                of_many_that_replace_one_version_exactly_one_does,
                an_empty_batch_is_committed,
                a_large_batch_is_kept_whole,
                a_large_batch_leaves_each_view_as_its_newest_put,
                applications_with_documents_are_listed_in_order,
            ]
        );
    };
}

/// A collection with every kind of index.
pub static PEOPLE: Collection = Collection {
    name: "test_people",
    indexes: &[Index { name: "email", unique: true }, Index { name: "city", unique: false }],
};
/// A collection of views with an index.
pub static VIEWS: Collection =
    Collection { name: "test_views", indexes: &[Index { name: "by_number", unique: false }] };
/// A collection without indexes.
pub static PLAIN: Collection = Collection { name: "test_plain", indexes: &[] };

const APP: AppId = AppId::from_u128(1);
const OTHER: AppId = AppId::from_u128(2);

fn body(text: &str) -> Bytes {
    Bytes::from(format!("{{\"text\":\"{text}\"}}"))
}

fn document(id: &str, version: u64, text: &str) -> Document {
    Document { id: id.to_owned(), version, body: body(text) }
}

fn email(text: &str) -> IndexKeys {
    vec![("email", Key::text(text))]
}

fn city(text: &str) -> IndexKeys {
    vec![("city", Key::text(text))]
}

fn insert(id: &str, keys: IndexKeys) -> Batch {
    Batch::of(Write::Insert { collection: &PEOPLE, id: id.to_owned(), body: body(id), keys })
}

fn replace(id: &str, version: u64, text: &str, keys: IndexKeys) -> Batch {
    let body = body(text);
    Batch::of(Write::Replace { collection: &PEOPLE, id: id.to_owned(), version, body, keys })
}

fn require(id: &str, version: u64) -> Batch {
    Batch::of(Write::Require { collection: &PEOPLE, id: id.to_owned(), version })
}

fn delete(id: &str, version: u64) -> Batch {
    Batch::of(Write::Delete { collection: &PEOPLE, id: id.to_owned(), version })
}

fn put(id: &str, sequence: u64, text: &str, number: u64) -> Batch {
    let keys = vec![("by_number", Key::number(number))];
    Batch::of(Write::Put { collection: &VIEWS, id: id.to_owned(), sequence, body: body(text), keys })
}

fn joined(batches: impl IntoIterator<Item = Batch>) -> Batch {
    Batch { writes: batches.into_iter().flat_map(|batch| batch.writes).collect() }
}

fn exists(id: &str) -> Result<(), CommitError> {
    Err(CommitError::Exists { collection: "test_people", id: id.to_owned() })
}

fn wrong_version(id: &str) -> Result<(), CommitError> {
    Err(CommitError::Version { collection: "test_people", id: id.to_owned() })
}

const TAKEN: Result<(), CommitError> = Err(CommitError::Taken { collection: "test_people", index: "email" });

async fn done(store: &dyn Documents, batch: Batch) {
    assert_eq!(store.commit(APP, batch).await, Ok(()));
}

async fn person(store: &dyn Documents, id: &str) -> Option<Document> {
    store.get(APP, &PEOPLE, id).await.expect("readable")
}

async fn ids(store: &dyn Documents, query: Query) -> Vec<String> {
    let rows = store.query(APP, query).await.expect("readable");
    rows.into_iter().map(|row| row.document.id).collect()
}

fn by_email(text: &str) -> Query {
    Query::new(&PEOPLE, Some("email"), Key::text(text), 10)
}

fn by_city(text: &str) -> Query {
    Query::new(&PEOPLE, Some("city"), Key::text(text), 10)
}

pub async fn what_was_inserted_is_read_back_at_version_one(store: Arc<dyn Documents>) {
    assert_eq!(person(&*store, "a").await, None);
    done(&*store, insert("a", email("a@x"))).await;
    assert_eq!(person(&*store, "a").await, Some(document("a", 1, "a")));
    assert_eq!(ids(&*store, by_email("a@x")).await, ["a"]);
}

pub async fn an_id_is_inserted_once(store: Arc<dyn Documents>) {
    done(&*store, insert("a", email("a@x"))).await;
    assert_eq!(store.commit(APP, insert("a", email("b@x"))).await, exists("a"));
    assert!(ids(&*store, by_email("b@x")).await.is_empty());
}

pub async fn a_unique_key_belongs_to_one_document_of_an_application(store: Arc<dyn Documents>) {
    done(&*store, insert("a", email("a@x"))).await;
    done(&*store, insert("b", email("b@x"))).await;
    assert_eq!(store.commit(APP, insert("c", email("a@x"))).await, TAKEN);
    assert_eq!(store.commit(APP, replace("b", 1, "b", email("a@x"))).await, TAKEN);
    assert_eq!(store.commit(OTHER, insert("c", email("a@x"))).await, Ok(()));
    assert_eq!(ids(&*store, by_email("a@x")).await, ["a"]);
}

pub async fn a_unique_key_is_free_again_after_its_document_let_go_of_it(store: Arc<dyn Documents>) {
    done(&*store, insert("a", email("a@x"))).await;
    done(&*store, replace("a", 1, "a", email("new@x"))).await;
    done(&*store, insert("b", email("a@x"))).await;
    done(&*store, delete("b", 1)).await;
    done(&*store, insert("c", email("a@x"))).await;
    assert_eq!(ids(&*store, by_email("a@x")).await, ["c"]);
    assert_eq!(ids(&*store, by_email("new@x")).await, ["a"]);
}

pub async fn a_document_keeps_its_own_unique_key(store: Arc<dyn Documents>) {
    done(&*store, insert("a", email("a@x"))).await;
    done(&*store, replace("a", 1, "second", email("a@x"))).await;
    assert_eq!(person(&*store, "a").await, Some(document("a", 2, "second")));
    assert_eq!(ids(&*store, by_email("a@x")).await, ["a"]);
}

pub async fn replacing_counts_the_version_and_moves_the_index_rows(store: Arc<dyn Documents>) {
    done(&*store, insert("a", city("Bern"))).await;
    done(&*store, replace("a", 1, "second", city("Rome"))).await;
    assert_eq!(person(&*store, "a").await, Some(document("a", 2, "second")));
    assert!(ids(&*store, by_city("Bern")).await.is_empty());
    assert_eq!(ids(&*store, by_city("Rome")).await, ["a"]);
    done(&*store, replace("a", 2, "third", vec![])).await;
    assert_eq!(person(&*store, "a").await, Some(document("a", 3, "third")));
    assert!(ids(&*store, by_city("Rome")).await.is_empty());
}

pub async fn replacing_needs_the_version_that_is_kept(store: Arc<dyn Documents>) {
    assert_eq!(store.commit(APP, replace("a", 1, "x", vec![])).await, wrong_version("a"));
    done(&*store, insert("a", city("Bern"))).await;
    for version in [0, 2] {
        assert_eq!(store.commit(APP, replace("a", version, "x", vec![])).await, wrong_version("a"));
    }
    assert_eq!(person(&*store, "a").await, Some(document("a", 1, "a")));
}

pub async fn requiring_changes_nothing_and_refuses_another_version(store: Arc<dyn Documents>) {
    done(&*store, require("a", 0)).await;
    assert_eq!(store.commit(APP, require("a", 1)).await, wrong_version("a"));
    done(&*store, insert("a", vec![])).await;
    done(&*store, require("a", 1)).await;
    assert_eq!(store.commit(APP, require("a", 0)).await, wrong_version("a"));
    assert_eq!(store.commit(APP, require("a", 2)).await, wrong_version("a"));
    assert_eq!(person(&*store, "a").await, Some(document("a", 1, "a")));
}

pub async fn deleting_needs_the_version_and_leaves_no_row(store: Arc<dyn Documents>) {
    assert_eq!(store.commit(APP, delete("a", 1)).await, wrong_version("a"));
    done(&*store, insert("a", joined_keys())).await;
    assert_eq!(store.commit(APP, delete("a", 2)).await, wrong_version("a"));
    done(&*store, delete("a", 1)).await;
    assert_eq!(person(&*store, "a").await, None);
    assert!(ids(&*store, by_city("Bern")).await.is_empty());
    assert!(ids(&*store, by_email("a@x")).await.is_empty());
    assert!(ids(&*store, Query::new(&PEOPLE, None, Key::empty(), 10)).await.is_empty());
    done(&*store, insert("a", vec![])).await;
    assert_eq!(person(&*store, "a").await, Some(document("a", 1, "a")));
}

fn joined_keys() -> IndexKeys {
    vec![("email", Key::text("a@x")), ("city", Key::text("Bern"))]
}

pub async fn a_view_keeps_the_newer_sequence(store: Arc<dyn Documents>) {
    for (sequence, text) in [(5, "five"), (3, "three"), (5, "five again"), (9, "nine"), (8, "eight")] {
        done(&*store, put("v", sequence, text, sequence)).await;
    }
    assert_eq!(store.get(APP, &VIEWS, "v").await, Ok(Some(document("v", 9, "nine"))));
    done(&*store, put("w", 5, "five", 5).and(put("w", 5, "again", 6).writes.remove(0))).await;
    assert_eq!(store.get(APP, &VIEWS, "w").await, Ok(Some(document("w", 5, "five"))));
}

pub async fn a_view_moves_its_index_rows(store: Arc<dyn Documents>) {
    let by_number = |number| Query::new(&VIEWS, Some("by_number"), Key::number(number), 10);
    done(&*store, joined([put("v", 1, "one", 10), put("w", 1, "one", 10)])).await;
    assert_eq!(ids(&*store, by_number(10)).await, ["v", "w"]);
    done(&*store, put("v", 2, "two", 20)).await;
    assert_eq!(ids(&*store, by_number(10)).await, ["w"]);
    assert_eq!(ids(&*store, by_number(20)).await, ["v"]);
    done(&*store, put("v", 1, "late", 30)).await;
    assert!(ids(&*store, by_number(30)).await.is_empty());
    assert_eq!(ids(&*store, by_number(20)).await, ["v"]);
}

pub async fn a_refused_batch_leaves_no_trace(store: Arc<dyn Documents>) {
    done(&*store, insert("a", joined_keys())).await;
    done(&*store, put("v", 5, "five", 5)).await;
    let before = everything(&*store).await;
    let changes = [
        insert("new", city("Bern")),
        replace("a", 1, "changed", city("Rome")),
        put("v", 6, "six", 6),
        put("w", 6, "six", 6),
        delete("a", 2),
    ];
    for (refused, answer) in [
        (insert("new", vec![]), exists("new")),
        (require("nobody", 1), wrong_version("nobody")),
        (delete("a", 1), wrong_version("a")),
    ] {
        let batch = joined(changes.iter().cloned().chain([refused]));
        assert_eq!(store.commit(APP, batch).await, answer);
        assert_eq!(everything(&*store).await, before);
    }
}

async fn everything(store: &dyn Documents) -> Vec<Vec<crate::ports::documents::Row>> {
    let mut all = Vec::new();
    for (collection, index) in [
        (&PEOPLE, None),
        (&PEOPLE, Some("email")),
        (&PEOPLE, Some("city")),
        (&VIEWS, None),
        (&VIEWS, Some("by_number")),
    ] {
        let query = Query::new(collection, index, Key::empty(), 1000);
        all.push(store.query(APP, query).await.expect("readable"));
    }
    all
}

pub async fn each_write_of_a_batch_sees_the_ones_before(store: Arc<dyn Documents>) {
    let batch = joined([
        require("a", 0),
        insert("a", email("a@x")),
        require("a", 1),
        replace("a", 1, "second", email("moved@x")),
        insert("b", email("a@x")),
        delete("a", 2),
        insert("a", email("moved@x")),
    ]);
    done(&*store, batch).await;
    assert_eq!(person(&*store, "a").await, Some(document("a", 1, "a")));
    assert_eq!(ids(&*store, by_email("a@x")).await, ["b"]);
    assert_eq!(ids(&*store, by_email("moved@x")).await, ["a"]);
    let refused = joined([insert("c", email("c@x")), insert("d", email("c@x"))]);
    assert_eq!(store.commit(APP, refused).await, TAKEN);
    assert_eq!(person(&*store, "c").await, None);
}

pub async fn applications_do_not_see_each_other(store: Arc<dyn Documents>) {
    done(&*store, insert("a", joined_keys())).await;
    assert_eq!(store.get(OTHER, &PEOPLE, "a").await, Ok(None));
    assert_eq!(store.query(OTHER, by_city("Bern")).await, Ok(vec![]));
    assert_eq!(store.query(OTHER, Query::new(&PEOPLE, None, Key::empty(), 10)).await, Ok(vec![]));
    assert_eq!(store.commit(OTHER, insert("a", joined_keys())).await, Ok(()));
    assert_eq!(store.commit(OTHER, delete("a", 1)).await, Ok(()));
    assert_eq!(person(&*store, "a").await, Some(document("a", 1, "a")));
}

pub async fn collections_do_not_see_each_other(store: Arc<dyn Documents>) {
    done(&*store, insert("a", vec![])).await;
    assert_eq!(store.get(APP, &PLAIN, "a").await, Ok(None));
    let other = Write::Insert { collection: &PLAIN, id: "a".to_owned(), body: body("plain"), keys: vec![] };
    done(&*store, Batch::of(other)).await;
    assert_eq!(store.get(APP, &PLAIN, "a").await, Ok(Some(document("a", 1, "plain"))));
    assert_eq!(person(&*store, "a").await, Some(document("a", 1, "a")));
}

pub async fn many_are_read_in_the_order_asked(store: Arc<dyn Documents>) {
    done(&*store, joined([insert("a", vec![]), insert("b", vec![])])).await;
    let asked = ["b", "nobody", "a", "b"].map(str::to_owned);
    let kept = store.get_many(APP, &PEOPLE, &asked).await.expect("readable");
    let found: Vec<_> = kept.iter().map(|one| one.as_ref().map(|document| document.id.as_str())).collect();
    assert_eq!(found, [Some("b"), None, Some("a"), Some("b")]);
    assert_eq!(store.get_many(APP, &PEOPLE, &[]).await, Ok(vec![]));
}

pub async fn a_query_by_id_goes_both_ways_under_its_prefix(store: Arc<dyn Documents>) {
    done(&*store, joined(["b1", "a", "b", "c", "b2"].map(|id| insert(id, vec![])))).await;
    let under = |prefix: &str, limit| Query::new(&PEOPLE, None, Key::empty().and_text_prefix(prefix), limit);
    assert_eq!(ids(&*store, under("", 10)).await, ["a", "b", "b1", "b2", "c"]);
    assert_eq!(ids(&*store, under("b", 10)).await, ["b", "b1", "b2"]);
    assert_eq!(ids(&*store, under("b", 10).descending()).await, ["b2", "b1", "b"]);
    assert_eq!(ids(&*store, under("", 2).descending()).await, ["c", "b2"]);
    let rows = store.query(APP, under("b", 1)).await.expect("readable");
    assert_eq!(rows[0].position.0, b"b");
    let behind = Query { after: Some(rows[0].position.clone()), ..under("b", 10) };
    assert_eq!(ids(&*store, behind).await, ["b1", "b2"]);
    let between = Query {
        from: Some(Key::empty().and_text_prefix("b")),
        until: Some(Key::empty().and_text_prefix("b2")),
        ..under("", 10)
    };
    assert_eq!(ids(&*store, between).await, ["b", "b1"]);
}

pub async fn a_query_by_index_orders_by_key_and_then_id(store: Arc<dyn Documents>) {
    for (id, number) in [("z", 1), ("y", 256), ("x", 2), ("w", 256), ("v", u64::MAX), ("u", 0)] {
        done(&*store, put(id, 1, id, number)).await;
    }
    let all = Query::new(&VIEWS, Some("by_number"), Key::empty(), 10);
    assert_eq!(ids(&*store, all.clone()).await, ["u", "z", "x", "w", "y", "v"]);
    assert_eq!(ids(&*store, all.clone().descending()).await, ["v", "y", "w", "x", "z", "u"]);
    let rows = store.query(APP, all).await.expect("readable");
    assert_eq!(rows[3].position.split(), (Key::number(256).as_bytes(), "w".as_bytes()));
    assert!(ids(&*store, Query::new(&VIEWS, Some("by_number"), Key::empty(), 0)).await.is_empty());
}

pub async fn a_query_stays_within_its_prefix_and_bounds(store: Arc<dyn Documents>) {
    let key = |town: &str, number| vec![("city", Key::text(town).and_number(number))];
    for (id, town, number) in [("a", "Bern", 1), ("b", "Bern", 2), ("c", "Bern", 3), ("d", "Berne", 2)] {
        done(&*store, insert(id, key(town, number))).await;
    }
    assert_eq!(ids(&*store, by_city("Bern")).await, ["a", "b", "c"]);
    let begins = Query::new(&PEOPLE, Some("city"), Key::empty().and_text_prefix("Bern"), 10);
    assert_eq!(ids(&*store, begins).await, ["a", "b", "c", "d"]);
    let from = Some(Key::text("Bern").and_number(2));
    let until = Some(Key::text("Bern").and_number(3));
    assert_eq!(ids(&*store, Query { from: from.clone(), ..by_city("Bern") }).await, ["b", "c"]);
    assert_eq!(ids(&*store, Query { until: until.clone(), ..by_city("Bern") }).await, ["a", "b"]);
    let both = Query { from: from.clone(), until: until.clone(), ..by_city("Bern") };
    assert_eq!(ids(&*store, both).await, ["b"]);
    let nothing = Query { from: until, until: from, ..by_city("Bern") };
    assert!(ids(&*store, nothing.clone()).await.is_empty());
    assert!(ids(&*store, nothing.descending()).await.is_empty());
}

pub async fn a_key_of_fewer_parts_comes_before_longer_ones(store: Arc<dyn Documents>) {
    let keys = [
        Key::text("a"),
        Key::text("a").and_number(0),
        Key::text("a").and_number(7),
        Key::text("a").and_text(""),
        Key::text("a").and_text("b"),
        Key::text("a\0"),
        Key::text("a\0").and_text("b"),
        Key::text("aa"),
        Key::text("b"),
    ];
    let mut sorted = keys.to_vec();
    sorted.sort();
    for (number, key) in keys.iter().enumerate() {
        // Ids fall while keys rise, so that only the key can have ordered them.
        done(&*store, insert(&format!("i{}", 9 - number), vec![("city", key.clone())])).await;
    }
    let query = Query::new(&PEOPLE, Some("city"), Key::empty(), 100);
    let rows = store.query(APP, query).await.expect("readable");
    let found: Vec<_> = rows.iter().map(|row| Key::from_bytes(row.position.split().0.to_vec())).collect();
    assert_eq!(found, sorted);
    for pair in rows.windows(2) {
        let behind = Query {
            after: Some(pair[0].position.clone()),
            ..Query::new(&PEOPLE, Some("city"), Key::empty(), 1)
        };
        assert_eq!(store.query(APP, behind).await, Ok(vec![pair[1].clone()]));
    }
}

pub async fn a_document_has_as_many_rows_as_keys(store: Arc<dyn Documents>) {
    let cities = ["Rome", "Bern", "Rome"].map(|town| ("city", Key::text(town))).to_vec();
    done(&*store, insert("a", cities)).await;
    done(&*store, insert("b", vec![])).await;
    let all = Query::new(&PEOPLE, Some("city"), Key::empty(), 10);
    assert_eq!(ids(&*store, all.clone()).await, ["a", "a"]);
    done(&*store, replace("a", 1, "a", city("Rome"))).await;
    assert_eq!(ids(&*store, all).await, ["a"]);
}

pub async fn a_query_continues_behind_a_row_while_others_come_and_go(store: Arc<dyn Documents>) {
    done(&*store, joined(["a", "c", "e", "g"].map(|id| insert(id, city("Bern"))))).await;
    for (direction, expected) in
        [(Direction::Ascending, ["a", "c", "d", "g"]), (Direction::Descending, ["g", "d", "c", "a"])]
    {
        let mut query = Query { direction, limit: 2, ..by_city("Bern") };
        let first = store.query(APP, query.clone()).await.expect("readable");
        let change = match direction {
            Direction::Ascending => {
                joined([delete("e", 1), insert("d", city("Bern")), insert("A", city("Bern"))])
            }
            Direction::Descending => joined([insert("z", city("Bern"))]),
        };
        done(&*store, change).await;
        query.after = Some(first[1].position.clone());
        let second = store.query(APP, query).await.expect("readable");
        let seen: Vec<_> = first.iter().chain(&second).map(|row| row.document.id.as_str()).collect();
        assert_eq!(seen, expected, "{direction:?}");
    }
}

pub async fn of_many_that_insert_one_id_exactly_one_does(store: Arc<dyn Documents>) {
    let racers = (0..24).map(|number| insert("a", city(&format!("{number}"))));
    assert_eq!(winners(&store, racers, &exists("a")).await, 1);
    assert_eq!(ids(&*store, Query::new(&PEOPLE, Some("city"), Key::empty(), 10)).await, ["a"]);
}

pub async fn of_many_that_replace_one_version_exactly_one_does(store: Arc<dyn Documents>) {
    done(&*store, insert("a", vec![])).await;
    for version in 1..=5 {
        let racers = (0..24).map(|number| replace("a", version, "won", city(&format!("{number}"))));
        assert_eq!(winners(&store, racers, &wrong_version("a")).await, 1);
    }
    assert_eq!(person(&*store, "a").await, Some(document("a", 6, "won")));
    assert_eq!(ids(&*store, Query::new(&PEOPLE, Some("city"), Key::empty(), 10)).await, ["a"]);
}

async fn winners(
    store: &Arc<dyn Documents>,
    racers: impl Iterator<Item = Batch>,
    refusal: &Result<(), CommitError>,
) -> usize {
    let racing: Vec<_> = racers
        .map(|batch| {
            let store = Arc::clone(store);
            tokio::spawn(async move { store.commit(APP, batch).await })
        })
        .collect();
    let mut winners = 0;
    for one in racing {
        match one.await.expect("no panic") {
            Ok(()) => winners += 1,
            refused => assert_eq!(refused, *refusal),
        }
    }
    winners
}

pub async fn an_empty_batch_is_committed(store: Arc<dyn Documents>) {
    done(&*store, Batch::default()).await;
    assert_eq!(store.apps(&PEOPLE).await, Ok(vec![]));
}

pub async fn a_large_batch_is_kept_whole(store: Arc<dyn Documents>) {
    done(&*store, joined((0..3000).map(|number| put(&format!("v{number:05}"), 7, "x", number)))).await;
    let all = Query::new(&VIEWS, Some("by_number"), Key::empty(), 5000);
    let expected: Vec<_> = (0..3000).map(|number| format!("v{number:05}")).collect();
    assert_eq!(ids(&*store, all).await, expected);
}

pub async fn a_large_batch_leaves_each_view_as_its_newest_put(store: Arc<dyn Documents>) {
    const COUNT: u64 = 600;
    let id = |number: u64| format!("v{number:05}");
    let known = (0..COUNT).map(|number| put(&id(number), 7, "first", number));
    done(&*store, joined(known)).await;
    // Older, the same, newer and new ones, and most of them there already: more than once, since a store may go by habit.
    for (round, sequence) in [(1, 8), (2, 9)] {
        let text = format!("round {round}");
        let batch = (0..COUNT + 50).map(|number| {
            let of = match number % 3 {
                _ if number >= COUNT => sequence,
                0 => 6,
                1 => 7,
                _ => sequence,
            };
            put(&id(number), of, &text, number)
        });
        done(&*store, joined(batch)).await;
        let wanted: Vec<String> = (0..COUNT + 50).map(id).collect();
        let found = store.get_many(APP, &VIEWS, &wanted).await.expect("readable");
        for (number, found) in (0..).zip(found) {
            let is_newer = number >= COUNT || number % 3 == 2;
            let (version, text) = if is_newer { (sequence, text.as_str()) } else { (7, "first") };
            assert_eq!(found, Some(document(&id(number), version, text)), "round {round}");
        }
    }
}

pub async fn applications_with_documents_are_listed_in_order(store: Arc<dyn Documents>) {
    assert_eq!(store.apps(&PEOPLE).await, Ok(vec![]));
    for number in [9, u128::MAX, 2, 500] {
        let app = AppId::from_u128(number);
        assert_eq!(store.commit(app, joined([insert("a", vec![]), insert("b", vec![])])).await, Ok(()));
    }
    assert_eq!(store.commit(AppId::from_u128(9), joined([delete("a", 1), delete("b", 1)])).await, Ok(()));
    assert_eq!(store.apps(&PEOPLE).await, Ok([2, 500, u128::MAX].map(AppId::from_u128).to_vec()));
    // And so in parts, of whichever length.
    let (mut parts, mut last) = (Vec::new(), None);
    loop {
        let part = store.apps_after(&PEOPLE, last).await.expect("available");
        let Some(newest) = part.last() else { break };
        last = Some(*newest);
        parts.extend(part);
    }
    assert_eq!(store.apps(&PEOPLE).await, Ok(parts));
    let behind = store.apps_after(&PEOPLE, Some(AppId::from_u128(2))).await.expect("available");
    assert_eq!(behind.first(), Some(&AppId::from_u128(500)));
    assert_eq!(store.apps(&PLAIN).await, Ok(vec![]));
}
