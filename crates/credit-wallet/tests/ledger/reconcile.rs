//! Reconciliation finds what has drifted, writes it anew and freezes it; a sound book is left alone.

use std::sync::Arc;

use credit_core::ports::documents::{Batch, Collection, Document, Key, Query, Write};
use credit_core::testkit::TestRun;
use credit_core::{JobError, WalletId};
use credit_wallet::domain::WalletStatus;
use credit_wallet::ledger::{Book, views};

use super::support::*;

/// Compares everything, a few at a time; answers what had drifted.
async fn all_of(book: &Arc<Book>, run: &TestRun) -> Result<Vec<WalletId>, JobError> {
    let (mut drifted, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let found = book.reconcile(cursor.as_deref(), 3, run).await?;
        drifted.extend(found.drifted);
        cursor = found.next;
        if cursor.is_none() {
            return Ok(drifted);
        }
    }
}

/// A book with a few wallets that have moved.
async fn lively(house: &House) -> (Arc<Book>, Vec<WalletId>) {
    let book = house.book().await;
    let mut wallets = Vec::new();
    for user in 1..=7 {
        wallets.push(wallet_with(&book, user, 100).await);
    }
    for wallet in &wallets {
        for _ in 0..3 {
            book.submit(ask(Give::new(*wallet, 5))).await.expect("credits come in");
        }
    }
    book.flush().await.expect("the views catch up");
    (book, wallets)
}

async fn first_row(house: &House, collection: &'static Collection, prefix: &str) -> Document {
    let query = Query::new(collection, None, Key::empty().and_text_prefix(prefix), 100);
    let rows = house.documents.query(APP, query).await.expect("it answers");
    rows.into_iter().next().expect("there is one").document
}

/// Somebody changes a row behind everybody's back.
async fn tamper(house: &House, collection: &'static Collection, row: Document, body: Option<String>) {
    let mut batch = Batch::of(Write::Delete { collection, id: row.id.clone(), version: row.version });
    if let Some(body) = body {
        let keys = Vec::new();
        let put = Write::Put { collection, id: row.id, sequence: row.version, body: body.into(), keys };
        batch = batch.and(put);
    }
    house.documents.commit(APP, batch).await.expect("it is written");
}

fn text(row: &Document) -> String {
    String::from_utf8(row.body.to_vec()).expect("JSON")
}

#[tokio::test]
async fn a_sound_book_is_left_alone() {
    let house = House::new();
    let (book, _) = lively(&house).await;
    let head = house.journal.head(APP).await.expect("a head");
    assert_eq!(all_of(&book, &TestRun::new()).await, Ok(Vec::new()));
    assert_eq!(house.journal.head(APP).await, Ok(head), "nothing was appended");
    house.verify(&book).await;
}

#[tokio::test]
async fn a_wallet_whose_view_has_drifted_is_written_anew_and_frozen() {
    for in_memory in [true, false] {
        let house = House::new();
        let (book, wallets) = lively(&house).await;
        let drifted = wallets[4];
        let row = first_row(&house, &views::WALLETS, &drifted.to_string()).await;
        let body = text(&row).replace("\"version\":", "\"version\":1");
        assert_ne!(body, text(&row), "something is changed");
        tamper(&house, &views::WALLETS, row, Some(body)).await;
        // Another process reads what is there.
        let book = if in_memory { book } else { house.book().await };
        if !in_memory {
            book.wallet(drifted).await.expect("it can be read");
        }
        assert_eq!(all_of(&book, &TestRun::new()).await, Ok(vec![drifted]), "in memory: {in_memory}");
        let now = book.wallet(drifted).await.expect("it can be read").expect("it exists");
        assert_eq!((now.status, now.balance()), (WalletStatus::Frozen, 115));
        house.verify(&book).await;
        house.replay().await;
        assert_eq!(all_of(&book, &TestRun::new()).await, Ok(Vec::new()), "once is enough");
    }
}

#[tokio::test]
async fn a_lot_that_has_drifted_and_a_wallet_that_is_missing_are_found_too() {
    let house = House::new();
    let (book, wallets) = lively(&house).await;
    let lot = first_row(&house, &views::GRANTS, "grt_").await;
    let body = text(&lot).replacen("\"remaining\":", "\"remaining\":9", 1);
    let keyed = text(&lot);
    assert_ne!(body, keyed);
    // Its key is kept: only what it says is wrong.
    let owner = wallets.iter().find(|wallet| keyed.contains(&wallet.to_string())).copied().expect("a wallet");
    let keys = vec![("by_wallet", Key::text(&owner.to_string()).and_text(&lot.id))];
    let delete = Write::Delete { collection: &views::GRANTS, id: lot.id.clone(), version: lot.version };
    let put =
        Write::Put { collection: &views::GRANTS, id: lot.id, sequence: lot.version, body: body.into(), keys };
    house.documents.commit(APP, Batch::of(delete).and(put)).await.expect("it is written");
    let missing = *wallets.iter().find(|wallet| **wallet != owner).expect("another one");
    let row = first_row(&house, &views::WALLETS, &missing.to_string()).await;
    tamper(&house, &views::WALLETS, row, None).await;

    let mut found = all_of(&book, &TestRun::new()).await.expect("it is mended");
    found.sort_unstable();
    let mut expected = vec![owner, missing];
    expected.sort_unstable();
    assert_eq!(found, expected);
    for wallet in expected {
        let now = book.wallet(wallet).await.expect("it can be read").expect("it exists");
        assert_eq!((now.status, now.balance()), (WalletStatus::Frozen, 115));
    }
    house.verify(&book).await;
}

#[tokio::test]
async fn a_run_that_is_stopped_writes_nothing_and_the_next_one_finds_the_same() {
    let house = House::new();
    let (book, wallets) = lively(&house).await;
    let row = first_row(&house, &views::WALLETS, &wallets[0].to_string()).await;
    let body = text(&row).replace("\"version\":", "\"version\":1");
    tamper(&house, &views::WALLETS, row.clone(), Some(body.clone())).await;
    let run = TestRun::new();
    run.stop_after(2);
    assert_eq!(all_of(&book, &run).await, Err(JobError::Stopped));
    let kept = first_row(&house, &views::WALLETS, &row.id).await;
    assert_eq!(text(&kept), body, "it is as it was");
    run.go_on();
    assert_eq!(all_of(&book, &run).await, Ok(vec![wallets[0]]));
}
