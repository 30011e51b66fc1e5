//! Reconciliation in parts: each part goes on where the one before ended, a round looks at everything once, and what fails
//! at one place keeps the rest waiting three times and no more.

use std::sync::Arc;

use async_trait::async_trait;
use credit_core::memory::{MemoryDocuments, MemoryJournal};
use credit_core::ports::StoreError;
use credit_core::ports::journal::{BookId, Group, Journal, Sequence};
use credit_core::testkit::{Between, MeddlesWithJournal, TestRun, TestStores};
use credit_core::{AppId, AssetCode, Job, JobError, JobRun, Module, WalletId};
use credit_wallet::WalletModule;
use credit_wallet::ledger::Book;
use credit_wallet::testkit::Ground;
use parking_lot::Mutex;

use super::support::*;

/// A journal that cannot read one of its books while the test says so.
#[derive(Default)]
struct Unreadable {
    inner: MemoryJournal,
    book: Mutex<Option<BookId>>,
}

#[async_trait]
impl MeddlesWithJournal for Unreadable {
    fn behind(&self) -> &dyn Journal {
        &self.inner
    }

    async fn read(
        &self,
        book: BookId,
        from: Sequence,
        limit: usize,
    ) -> Result<Vec<(Sequence, Group)>, StoreError> {
        if *self.book.lock() == Some(book) {
            return Err(StoreError::Unavailable("the disk is slow".to_owned()));
        }
        self.inner.read(book, from, limit).await
    }
}

/// A book of so many wallets, each opened and filled in groups of its own.
async fn book_of(house: &House, wallets: u128) -> (Arc<Book>, Vec<WalletId>) {
    let book = house.book().await;
    let mut opened = Vec::new();
    for user in 1..=wallets {
        opened.push(wallet_with(&book, user, 10).await);
    }
    book.flush().await.expect("the views catch up");
    (book, opened)
}

/// What a round has to look at: every wallet by its id, and behind them every group.
async fn everything(house: &House, mut wallets: Vec<WalletId>) -> Vec<String> {
    wallets.sort_unstable();
    let head = house.journal.head(APP).await.expect("a head");
    let groups = (1..=head).map(|sequence| format!("group {sequence}"));
    wallets.iter().map(ToString::to_string).chain(groups).collect()
}

#[tokio::test]
async fn parts_of_any_size_look_at_every_wallet_and_every_group_once() {
    let house = House::new();
    let (book, wallets) = book_of(&house, 8).await;
    let all = everything(&house, wallets).await;
    assert_eq!(all.len(), 24, "{all:?}");
    // Of one; of parts of which the last is full, for the wallets and for the groups, and for neither; of all.
    for limit in [1, 3, 4, 5, 8, 16, 17, 1000] {
        let (mut seen, mut parts, mut cursor) = (Vec::new(), Vec::new(), None::<String>);
        loop {
            let found = book.reconcile(cursor.as_deref(), limit, &TestRun::new()).await.expect("they agree");
            assert_eq!(found.found(), Vec::<String>::new());
            parts.push(found.looked_at.len());
            assert!(parts.len() <= all.len() + 2, "by {limit}: it goes round in circles");
            seen.extend(found.looked_at);
            cursor = found.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, all, "by {limit}");
        assert!(parts.iter().all(|part| *part <= limit), "by {limit}: {parts:?}");
        // A part is as large as it may be, but the last of the wallets and the last of the groups.
        assert!(parts.iter().filter(|part| **part < limit).count() <= 2, "by {limit}: {parts:?}");
    }
}

#[tokio::test]
async fn a_part_that_is_stopped_anywhere_is_looked_at_again_as_a_whole_and_nothing_else_is() {
    let house = House::new();
    let (book, wallets) = book_of(&house, 5).await;
    let all = everything(&house, wallets).await;
    let (mut seen, mut cursor, mut stopped) = (Vec::new(), None::<String>, 0);
    'round: loop {
        // One check further each time, until the part comes to its end.
        for checks in 0.. {
            let run = TestRun::new();
            run.stop_after(checks);
            // Another process each time: nothing but the cursor is handed on.
            let heir = house.book().await;
            match heir.reconcile(cursor.as_deref(), 3, &run).await {
                Ok(found) => {
                    seen.extend(found.looked_at);
                    cursor = found.next;
                    if cursor.is_none() {
                        break 'round;
                    }
                    break;
                }
                Err(error) => assert_eq!(error, JobError::Stopped),
            }
            stopped += 1;
        }
    }
    assert_eq!(seen, all);
    assert!(stopped >= 5, "{stopped}");
    house.verify(&book).await;
}

/// Groups are few where they are large: a part of them is bounded by its bytes as well.
#[tokio::test]
async fn a_part_of_large_groups_ends_early_and_the_next_one_goes_on_behind_it() {
    let house = House::new();
    let book = house.book().await;
    let wallet = open(&book, 1).await;
    for _ in 0..16 {
        let mut give = Give::new(wallet, 1);
        give.note.metadata = [("note".to_owned(), "x".repeat(5 << 20))].into();
        book.submit(ask(give)).await.expect("credits come in");
    }
    book.flush().await.expect("the views catch up");
    let (mut cursor, mut parts) = (Some("groups/1".to_owned()), Vec::new());
    while let Some(from) = cursor {
        let found = book.reconcile(Some(&from), 1000, &TestRun::new()).await.expect("they agree");
        assert_eq!(found.found(), Vec::<String>::new());
        parts.push(found.looked_at.len());
        cursor = found.next;
    }
    // They are read by eight: after eight of them 32 MiB are passed.
    assert_eq!(parts, [8, 8, 1]);
}

/// Two books, and the job of a process that has neither in memory. Views that are behind are written first, so that
/// nothing is read but what the job looks at.
struct Books {
    ground: Ground,
    journal: Arc<Between<Unreadable>>,
    job: Arc<dyn Job>,
}

fn job_of(ground: &Ground) -> Arc<dyn Job> {
    let jobs = WalletModule::new(ground.counter.clone()).jobs();
    jobs.into_iter().find(|job| job.name() == "reconciliation").expect("it is one of the module's")
}

impl Books {
    /// The first book has so many wallets, the second one.
    async fn with(wallets: u32) -> Self {
        let journal = Arc::new(Between(Unreadable::default()));
        let before = Ground::on(TestStores::of(journal.clone(), Arc::new(MemoryDocuments::new()))).await;
        let [first, second] = Self::books(&before);
        for (app, count) in [(first, wallets), (second, 1)] {
            for number in 0..count {
                let user = before.user_of(app, &format!("{app}-{number}"), &[]);
                before.wallet_of(app, user, AssetCode::CREDIT).await;
            }
            before.counter.book(app).await.expect("it opens").flush().await.expect("the views catch up");
        }
        let ground = before.replica();
        for app in [first, second] {
            ground.counter.book(app).await.expect("it opens");
        }
        let job = job_of(&ground);
        Self { ground, journal, job }
    }

    fn books(ground: &Ground) -> [AppId; 2] {
        let mut books = [ground.app, ground.other_app];
        books.sort_unstable();
        books
    }

    /// What a run says, however it ended.
    async fn run(&self, run: &TestRun) -> String {
        match self.job.run(run).await {
            Ok(report) => report.detail,
            Err(error) => error.to_string(),
        }
    }

    fn unreadable(&self, book: Option<AppId>) {
        *self.journal.book.lock() = book;
    }
}

/// So many are compared in a run.
const PART: u32 = 200;

#[tokio::test]
async fn the_job_goes_on_where_it_was_over_stops_and_restarts_and_begins_anew_behind_the_last_book() {
    let mut books = Books::with(PART + 50).await;
    let [first, second] = Books::books(&books.ground);
    let compared = |count: u32, app: AppId| format!("compared {count} in {app}, nothing had drifted");
    // The wallets in two parts, their groups in two, and the same of the other book, which is small.
    let round = [
        compared(PART, first),
        compared(50, first),
        compared(PART, first),
        compared(50, first),
        compared(1, second),
        compared(1, second),
    ];
    let (run, mut stopped) = (TestRun::new(), 0);
    for _ in 0..2 {
        for (place, expected) in round.iter().enumerate() {
            // It is stopped at its beginning, soon behind it, and half way.
            let kept = run.cursor();
            for checks in [0, 1, 30] {
                run.stop_after(checks);
                if books.job.run(&run).await == Err(JobError::Stopped) {
                    stopped += 1;
                    assert_eq!(run.cursor(), kept, "a run that is stopped keeps nothing");
                }
                run.go_on();
                // One that came to its end, because it asks more seldom, is undone.
                run.keep(kept.clone()).await.expect("it is kept");
            }
            // Another process, to which the cursor is handed.
            books.job = job_of(&books.ground);
            assert_eq!(&books.run(&run).await, expected, "part {place}");
        }
        assert_eq!(run.cursor(), None, "behind the last book it begins anew");
    }
    assert!(stopped >= 2 * 2 * round.len(), "{stopped}");
}

#[tokio::test]
async fn a_cursor_in_a_book_that_is_gone_is_followed_by_the_next_book_from_its_beginning() {
    let books = Books::with(3).await;
    let [first, _] = Books::books(&books.ground);
    let run = TestRun::new();
    let gone = AppId::from_u128(first.as_u128() - 1);
    run.keep(Some(format!("{gone} groups/3"))).await.expect("it is kept");
    assert_eq!(books.run(&run).await, format!("compared 3 in {first}, nothing had drifted"));
    assert_eq!(run.cursor(), Some(format!("{first} groups/1")), "its wallets were compared");
    let last = AppId::from_u128(u128::MAX);
    for nonsense in [format!("{last} groups/1"), format!("{last} ")] {
        run.keep(Some(nonsense)).await.expect("it is kept");
        assert_eq!(books.run(&run).await, "nothing is left to compare; it begins anew");
        assert_eq!(run.cursor(), None);
    }
    // What does not read as a cursor begins a round.
    for nonsense in ["", "nonsense", "non sense"] {
        run.keep(Some(nonsense.to_owned())).await.expect("it is kept");
        assert_eq!(
            books.run(&run).await,
            format!("compared 3 in {first}, nothing had drifted"),
            "{nonsense}"
        );
        run.keep(None).await.expect("it is kept");
    }
}

#[tokio::test]
async fn after_three_failures_at_one_place_the_rest_of_its_book_is_left_for_the_next_round() {
    let books = Books::with(3).await;
    let [first, second] = Books::books(&books.ground);
    let run = TestRun::new();
    let left = format!("{first} is left for now: ");
    for round in 0..2 {
        books.unreadable(Some(first));
        for failure in 1..=2 {
            let why = books.run(&run).await;
            assert!(why.contains("the disk is slow") && !why.starts_with(&left), "{round}, {failure}: {why}");
            assert_eq!(run.cursor(), None, "{round}, {failure}: it stays where it is");
        }
        let why = books.run(&run).await;
        assert!(why.starts_with(&left) && why.contains("the disk is slow"), "{round}: {why}");
        assert_eq!(run.cursor(), Some(format!("{second} ")), "{round}: the other book is next");
        // The other book is compared all the same, to its end.
        for _ in 0..2 {
            assert_eq!(books.run(&run).await, format!("compared 1 in {second}, nothing had drifted"));
        }
        assert_eq!(run.cursor(), None, "{round}");
    }
    // In a round in which it can be read it is looked at as ever.
    books.unreadable(None);
    for _ in 0..2 {
        assert_eq!(books.run(&run).await, format!("compared 3 in {first}, nothing had drifted"));
    }
    assert_eq!(run.cursor(), Some(format!("{second} ")));
}

#[tokio::test]
async fn failures_are_counted_in_a_row_and_at_one_place() {
    let books = Books::with(3).await;
    let [first, second] = Books::books(&books.ground);
    let run = TestRun::new();
    let is_left = |why: &str| why.contains("is left for now: ");
    // Two failures, and then it goes well: the next place has its own three.
    for book in [first, first] {
        books.unreadable(Some(book));
        assert!(!is_left(&books.run(&run).await));
    }
    books.unreadable(None);
    assert_eq!(books.run(&run).await, format!("compared 3 in {first}, nothing had drifted"));
    books.unreadable(Some(first));
    for _ in 0..2 {
        assert!(!is_left(&books.run(&run).await));
        assert_eq!(run.cursor(), Some(format!("{first} groups/1")));
    }
    // A run that was told to stop is no failure, and makes no failure forgotten.
    books.unreadable(None);
    run.stop_after(0);
    assert_eq!(books.run(&run).await, JobError::Stopped.to_string());
    run.go_on();
    books.unreadable(Some(first));
    assert!(is_left(&books.run(&run).await), "it is the third in a row");
    // Of the last book the rest is left as well, and the round ends.
    books.unreadable(Some(second));
    for _ in 0..2 {
        assert!(!is_left(&books.run(&run).await));
        assert_eq!(run.cursor(), Some(format!("{second} ")));
    }
    assert!(is_left(&books.run(&run).await));
    assert_eq!(run.cursor(), None);
}
