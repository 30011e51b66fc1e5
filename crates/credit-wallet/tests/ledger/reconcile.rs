//! Reconciliation finds what has drifted, writes it anew and freezes it; a sound book is left alone.

use std::sync::Arc;

use async_trait::async_trait;
use credit_core::memory::{MemoryDocuments, MemoryJournal};
use credit_core::ports::StoreError;
use credit_core::ports::documents::{Batch, Collection, Document, Key, Query, Write};
use credit_core::ports::journal::{BookId, Group, Journal, Sequence};
use credit_core::testkit::{Between, MeddlesWithJournal, TestRun};
use credit_core::{JobError, WalletId};
use credit_wallet::domain::WalletStatus;
use credit_wallet::ledger::{Book, views};

use parking_lot::Mutex;

use super::support::*;

/// A journal whose reads fail when the test says so, and that gives one group in the place of another.
#[derive(Default)]
struct Lame {
    inner: MemoryJournal,
    failure: Mutex<Option<StoreError>>,
    swapped: Mutex<Option<(Sequence, Sequence)>>,
}

#[async_trait]
impl MeddlesWithJournal for Lame {
    fn behind(&self) -> &dyn Journal {
        &self.inner
    }

    async fn read(
        &self,
        book: BookId,
        from: Sequence,
        limit: usize,
    ) -> Result<Vec<(Sequence, Group)>, StoreError> {
        if let Some(failure) = self.failure.lock().clone() {
            return Err(failure);
        }
        let mut groups = self.inner.read(book, from, limit).await?;
        let swapped = *self.swapped.lock();
        if let Some((place, other)) = swapped
            && let Some((_, group)) = groups.iter_mut().find(|(sequence, _)| *sequence == place)
        {
            *group = self.inner.read(book, other, 1).await?.remove(0).1;
        }
        Ok(groups)
    }
}

/// How many groups the run looks at that [`Meanwhile`] waits for.
const PART: usize = 7;

/// A journal in which another process appends in the moment in which the groups are read for comparison.
#[derive(Default)]
struct Meanwhile {
    inner: MemoryJournal,
    other: Mutex<Option<Arc<Book>>>,
}

#[async_trait]
impl MeddlesWithJournal for Meanwhile {
    fn behind(&self) -> &dyn Journal {
        &self.inner
    }

    async fn read(
        &self,
        book: BookId,
        from: Sequence,
        limit: usize,
    ) -> Result<Vec<(Sequence, Group)>, StoreError> {
        let other = self.other.lock().take_if(|_| limit == PART);
        if let Some(other) = other {
            wallet_with(&other, 2, 100).await;
        }
        self.inner.read(book, from, limit).await
    }
}

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

#[tokio::test]
async fn a_journal_that_does_not_answer_freezes_nobody() {
    let journal = Arc::new(Between(Lame::default()));
    let house = House::over(journal.clone(), Arc::new(MemoryDocuments::new()));
    let (_, wallets) = lively(&house).await;
    // A process that remembers no group: every one has to be read.
    let book = house.book().await;
    let head = house.journal.head(APP).await.expect("a head");
    for failure in [StoreError::Unavailable("away".into()), StoreError::OutcomeUnknown("gone".into())] {
        *journal.failure.lock() = Some(failure);
        let failed = all_of(&book, &TestRun::new()).await;
        assert!(matches!(failed, Err(JobError::Failed(_))), "{failed:?}");
    }
    *journal.failure.lock() = None;
    assert_eq!(house.journal.head(APP).await, Ok(head), "nothing was appended");
    for wallet in wallets {
        let now = book.wallet(wallet).await.expect("it can be read").expect("it exists");
        assert_eq!(now.status, WalletStatus::Active);
    }
    assert_eq!(all_of(&book, &TestRun::new()).await, Ok(Vec::new()));
}

#[tokio::test]
async fn what_is_missing_from_a_history_is_written_again_and_found_once() {
    let house = House::new();
    let (book, wallets) = lively(&house).await;
    let (missing, wrong) = (wallets[2], wallets[5]);
    let row = first_row(&house, &views::HISTORY, &missing.to_string()).await;
    tamper(&house, &views::HISTORY, row, None).await;
    let row = first_row(&house, &views::HISTORY, &wrong.to_string()).await;
    tamper(&house, &views::HISTORY, row, Some("{\"k\":32768}".to_owned())).await;
    let mut found = all_of(&book, &TestRun::new()).await.expect("they are mended");
    found.sort_unstable();
    let mut expected = vec![missing, wrong];
    expected.sort_unstable();
    assert_eq!(found, expected);
    for wallet in expected {
        let now = book.wallet(wallet).await.expect("it can be read").expect("it exists");
        assert_eq!((now.status, now.balance()), (WalletStatus::Frozen, 115));
    }
    house.verify(&book).await;
    assert_eq!(all_of(&book, &TestRun::new()).await, Ok(Vec::new()), "once is enough");
}

#[tokio::test]
async fn rows_of_a_group_that_are_missing_are_written_again() {
    let house = House::new();
    let book = house.book().await;
    let wallet = wallet_with(&book, 1, 100).await;
    book.submit(keyed(Give::new(wallet, 5), "once")).await.expect("credits come in");
    book.flush().await.expect("the views catch up");
    for collection in [&views::GROUPS, &views::CLAIMS] {
        let row = first_row(&house, collection, "").await;
        tamper(&house, collection, row, None).await;
    }
    let found = book.reconcile(Some("groups/1"), 100, &TestRun::new()).await.expect("they are mended");
    assert!(!found.rewritten.is_empty() && found.broken.is_empty(), "{found:?}");
    assert_eq!(found.drifted, [], "no wallet has drifted");
    house.verify(&book).await;
    let again = book.reconcile(Some("groups/1"), 100, &TestRun::new()).await.expect("they agree");
    assert_eq!(again.found(), Vec::<String>::new());
}

#[tokio::test]
async fn one_that_cannot_be_mended_keeps_no_other_waiting() {
    let house = House::new();
    let (book, wallets) = lively(&house).await;
    // Before all others stands a wallet that the journal does not know.
    let row = first_row(&house, &views::WALLETS, &wallets[0].to_string()).await;
    let invented = WalletId::from_u128(1);
    let body = text(&row).replace(&wallets[0].to_string(), &invented.to_string());
    let id = invented.to_string();
    let put =
        Write::Put { collection: &views::WALLETS, id, sequence: 1, body: body.into(), keys: Vec::new() };
    house.documents.commit(APP, Batch::of(put)).await.expect("it is written");
    let drifted = wallets[6];
    let row = first_row(&house, &views::WALLETS, &drifted.to_string()).await;
    let body = text(&row).replace("\"version\":", "\"version\":1");
    tamper(&house, &views::WALLETS, row, Some(body)).await;

    let found = book.reconcile(None, 100, &TestRun::new()).await.expect("the store answers");
    assert_eq!(found.drifted, [drifted]);
    assert_eq!(found.broken.len(), 1);
    assert_eq!(found.broken[0].0, invented.to_string());
    assert_eq!(found.next.as_deref(), Some("groups/1"), "it goes on behind them");
    assert_eq!(found.looked_at.len(), 8);
}

#[tokio::test]
async fn a_group_that_does_not_follow_freezes_the_wallets_that_it_changes_and_the_next_ones_are_compared() {
    let journal = Arc::new(Between(Lame::default()));
    let house = House::over(journal.clone(), Arc::new(MemoryDocuments::new()));
    let (book, wallets) = lively(&house).await;
    let head = house.journal.head(APP).await.expect("a head");
    // The last group but one is another one than it was: what follows it does not follow it.
    *journal.swapped.lock() = Some((head - 1, 1));
    let found = book.reconcile(Some("groups/1"), 1000, &TestRun::new()).await.expect("the store answers");
    let broken: Vec<&str> = found.broken.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(broken, [format!("group {}", head - 1), format!("group {head}")]);
    assert_eq!(found.looked_at.len(), usize::try_from(head).expect("small"));
    assert_eq!(found.next, None);
    let last = book.wallet(wallets[6]).await.expect("it can be read").expect("it exists");
    assert_eq!(last.status, WalletStatus::Frozen, "its last credits prove nothing");
    let first = book.wallet(wallets[0]).await.expect("it can be read").expect("it exists");
    assert_eq!(first.status, WalletStatus::Active);
}

#[tokio::test]
async fn wherever_a_mending_ends_half_way_the_wallet_is_shown_as_it_was_or_as_frozen() {
    let mut stopped = 0;
    for checks in 0..20 {
        let house = House::new();
        let (book, wallets) = lively(&house).await;
        let row = first_row(&house, &views::WALLETS, &wallets[0].to_string()).await;
        let body = text(&row).replace("\"version\":", "\"version\":1");
        tamper(&house, &views::WALLETS, row.clone(), Some(body.clone())).await;
        let history = first_row(&house, &views::HISTORY, &wallets[0].to_string()).await;
        tamper(&house, &views::HISTORY, history, None).await;
        let run = TestRun::new();
        run.stop_after(checks);
        let outcome = all_of(&book, &run).await;
        if outcome != Err(JobError::Stopped) {
            continue;
        }
        stopped += 1;
        // The process is gone; another one reads what is there.
        let kept = first_row(&house, &views::WALLETS, &row.id).await;
        let heir = house.book().await;
        let shown = heir.wallet(wallets[0]).await.expect("it can be read").expect("it exists");
        assert!(
            text(&kept) == body || shown.status == WalletStatus::Frozen,
            "after {checks} checks: {shown:?}"
        );
        all_of(&heir, &TestRun::new()).await.expect("the next one goes on");
        let now = heir.wallet(wallets[0]).await.expect("it can be read").expect("it exists");
        assert_eq!((now.status, now.balance()), (WalletStatus::Frozen, 115), "after {checks} checks");
        house.verify(&heir).await;
        house.replay().await;
    }
    assert!(stopped > 5, "{stopped}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_another_process_appends_meanwhile_has_not_drifted() {
    let (journal, documents) = (Arc::new(MemoryJournal::shared()), Arc::new(MemoryDocuments::new()));
    let house = House::over(journal.clone(), documents.clone());
    // Writes its views when somebody waits for them, and by itself only once.
    let mut slow = House::over(journal, documents);
    slow.settings.view_pause = std::time::Duration::from_secs(600);
    let (here, there) = (house.book().await, slow.book().await);
    let wallet = wallet_with(&there, 1, 100).await;
    there.flush().await.expect("shown");
    here.refresh().await.expect("it catches up");
    there.submit(ask(Give::new(wallet, 5))).await.expect("credits come in");

    let found = here.reconcile(Some("groups/1"), 100, &TestRun::default()).await.expect("it ends");

    assert_eq!(found.rewritten, Vec::<u64>::new());
    assert!(found.drifted.is_empty() && found.broken.is_empty(), "{:?} {:?}", found.drifted, found.broken);
    house.verify(&here).await;
}

/// The views were caught up before that, and do not show the group yet when its rows are looked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_another_process_appends_between_catching_up_and_comparing_has_not_drifted() {
    let inner = MemoryJournal::shared();
    let journal = Arc::new(Between(Meanwhile { inner, ..Meanwhile::default() }));
    let documents = Arc::new(MemoryDocuments::new());
    let house = House::over(journal.clone(), documents.clone());
    let mut slow = House::over(journal.clone(), documents);
    slow.settings.view_pause = std::time::Duration::from_secs(600);
    let (here, there) = (house.book().await, slow.book().await);
    wallet_with(&there, 1, 100).await;
    there.flush().await.expect("shown");
    let head = house.journal.head(APP).await.expect("a head");
    *journal.0.other.lock() = Some(there);

    let found = here.reconcile(Some("groups/1"), PART, &TestRun::default()).await.expect("it ends");

    let after = house.journal.head(APP).await.expect("a head");
    assert!(after > head, "it was appended");
    assert!(found.looked_at.contains(&format!("group {after}")), "{:?}", found.looked_at);
    assert_eq!(found.found(), Vec::<String>::new());
    house.verify(&here).await;
}
