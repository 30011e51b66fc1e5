//! Batches of several writes.

use credit_core::ports::documents::{Batch, CommitError, Key, Query, Write};
use credit_core::testkit::documents_contract::{PEOPLE, PLAIN};

use super::{APP, fresh};

fn insert(id: &str) -> Write {
    Write::Insert { collection: &PLAIN, id: id.to_owned(), body: "{}".into(), keys: vec![] }
}

fn require(id: &str, version: u64) -> Write {
    Write::Require { collection: &PLAIN, id: id.to_owned(), version }
}

fn replace(id: &str, version: u64) -> Write {
    Write::Replace { collection: &PLAIN, id: id.to_owned(), version, body: "{}".into(), keys: vec![] }
}

fn delete(id: String, version: u64) -> Write {
    Write::Delete { collection: &PLAIN, id, version }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_that_each_require_what_the_other_changes_one_happens() {
    let store = fresh().await;
    for round in 0..20 {
        let (left, right) = (format!("l{round}"), format!("r{round}"));
        let documents = store.documents();
        documents.commit(APP, Batch::of(insert(&left)).and(insert(&right))).await.unwrap();
        let both = [
            Batch::of(require(&left, 1)).and(replace(&right, 1)),
            Batch::of(require(&right, 1)).and(replace(&left, 1)),
        ];
        let racing = both.map(|batch| {
            let documents = store.documents();
            tokio::spawn(async move { documents.commit(APP, batch).await })
        });
        let mut done = 0;
        for one in racing {
            match one.await.unwrap() {
                Ok(()) => done += 1,
                Err(refused) => assert!(matches!(refused, CommitError::Version { .. }), "{refused}"),
            }
        }
        assert_eq!(done, 1, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_that_each_require_the_absence_of_what_the_other_inserts_one_happens() {
    let store = fresh().await;
    for round in 0..20 {
        let (left, right) = (format!("l{round}"), format!("r{round}"));
        let both = [
            Batch::of(require(&left, 0)).and(insert(&right)),
            Batch::of(require(&right, 0)).and(insert(&left)),
        ];
        let racing = both.map(|batch| {
            let documents = store.documents();
            tokio::spawn(async move { documents.commit(APP, batch).await })
        });
        let mut done = 0;
        for one in racing {
            match one.await.unwrap() {
                Ok(()) => done += 1,
                Err(refused) => assert!(matches!(refused, CommitError::Version { .. }), "{refused}"),
            }
        }
        assert_eq!(done, 1, "round {round}");
    }
}

#[tokio::test]
async fn many_deletions_in_one_batch_are_all_or_none() {
    let documents = fresh().await.documents();
    let ids: Vec<_> = (0..300).map(|number| format!("d{number:03}")).collect();
    let inserts = ids.iter().map(|id| insert(id)).collect();
    documents.commit(APP, Batch { writes: inserts }).await.unwrap();
    let mut deletes: Vec<_> = ids.iter().map(|id| delete(id.clone(), 1)).collect();
    deletes[170] = delete(ids[170].clone(), 2);
    let refused = documents.commit(APP, Batch { writes: deletes.clone() }).await;
    assert_eq!(refused, Err(CommitError::Version { collection: "test_plain", id: ids[170].clone() }));
    let count =
        || async { documents.query(APP, Query::new(&PLAIN, None, Key::empty(), 1000)).await.unwrap().len() };
    assert_eq!(count().await, 300);
    deletes[170] = delete(ids[170].clone(), 1);
    documents.commit(APP, Batch { writes: deletes }).await.unwrap();
    assert_eq!(count().await, 0);
}

#[tokio::test]
async fn a_document_with_several_keys_stands_in_its_rows_and_keeps_them_unique() {
    let documents = fresh().await.documents();
    let person = |id: &str, emails: &[&str]| Write::Insert {
        collection: &PEOPLE,
        id: id.to_owned(),
        body: "{}".into(),
        keys: emails.iter().map(|email| ("email", Key::text(email))).collect(),
    };
    documents.commit(APP, Batch::of(person("a", &["m@x", "a@x"]))).await.unwrap();
    documents.commit(APP, Batch::of(person("b", &["k@x"]))).await.unwrap();
    for taken in [person("c", &["a@x"]), person("c", &["z@x", "k@x"])] {
        let refused = documents.commit(APP, Batch::of(taken)).await;
        assert_eq!(refused, Err(CommitError::Taken { collection: "test_people", index: "email" }));
    }
    let mut query = Query::new(&PEOPLE, Some("email"), Key::empty(), 2);
    let first = documents.query(APP, query.clone()).await.unwrap();
    query.after = first.last().map(|row| row.position.clone());
    let second = documents.query(APP, query).await.unwrap();
    let seen: Vec<_> = first.iter().chain(&second).map(|row| row.document.id.as_str()).collect();
    assert_eq!(seen, ["a", "b", "a"]);
}
