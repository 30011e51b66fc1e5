//! Several processes on one book that hand their commands to the one that usually writes it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use credit_api::request::IfMatch;
use credit_core::memory::{MemoryDocuments, MemoryJournal};
use credit_core::ports::documents::{Batch, Write};
use credit_core::testkit::{Between, Dice};
use credit_core::{Code, WalletId};
use credit_wallet::domain::Answer;
use credit_wallet::ledger::{Ask, Book, Ledger, LedgerSettings, views};
use futures_util::future::join_all;

use crate::shared::Read;
use crate::stuck::until_handed_over;
use crate::support::{
    APP, Give, House, ShakyJournal, Take, ask, balance, keyed, open, posted, told, wallet_with,
};
use crate::switchboard::{Line, Switchboard};

/// A house whose processes know each other.
pub(crate) fn house() -> (House, Arc<Switchboard>) {
    let board = Switchboard::new();
    let journal = ShakyJournal::new(MemoryJournal::shared(), 1, 0, Duration::from_micros(200));
    let house = House::over(journal, Arc::new(MemoryDocuments::new()));
    (House { board: Some(board.clone()), ..house }, board)
}

/// Processes of which the first one usually writes the book, and a wallet with credits in it. The others know it.
struct Company {
    house: House,
    board: Arc<Switchboard>,
    ledgers: Vec<Arc<Ledger>>,
    books: Vec<Arc<Book>>,
    wallet: WalletId,
}

impl Company {
    async fn of(processes: usize) -> Self {
        let (house, board) = house();
        let (mut ledgers, mut books) = (Vec::new(), Vec::new());
        for _ in 0..processes {
            let ledger = house.ledger_on(tokio::runtime::Handle::current());
            books.push(ledger.book(APP).await.expect("the book opens"));
            ledgers.push(ledger);
        }
        let wallet = wallet_with(&books[0], 1, 100_000).await;
        let mut company = Self { house, board, ledgers, books, wallet };
        company.settle().await;
        company
    }

    /// Waits until every process hands its commands to the one that has the seat, and puts that one first.
    async fn settle(&mut self) {
        for round in 0..1_000 {
            let mut handed_over = Vec::new();
            for (number, book) in self.books.iter().enumerate() {
                let before = self.board.answered();
                let ask = keyed(Take::new(self.wallet, 1), "settle");
                book.submit(ask).await.expect("enough is there");
                handed_over.push(self.board.answered() > before);
                assert!(round < 999, "process {number} hands nothing over: {}", self.seat().await);
            }
            if let [usual] =
                handed_over.iter().enumerate().filter(|(_, handed)| !**handed).collect::<Vec<_>>()[..]
            {
                let usual = usual.0;
                self.books.swap(0, usual);
                self.ledgers.swap(0, usual);
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What the document says of who usually writes.
    async fn seat(&self) -> String {
        let found =
            self.house.documents.get(APP, &views::BOOKS, views::WRITER).await.expect("it can be read");
        found.map_or_else(String::new, |found| String::from_utf8_lossy(&found.body).into_owned())
    }

    /// Waits until one of two processes hands its commands to the other.
    async fn one_hands_over(&self, one: usize, other: usize) {
        for round in 0..200 {
            let answered = self.board.answered();
            for process in [one, other] {
                let ask = keyed(Take::new(self.wallet, 1), &format!("settles-{round}-{process}"));
                self.books[process].submit(ask).await.expect("enough is there");
            }
            if self.board.answered() > answered {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("nothing is handed over");
    }

    /// Whose groups there are behind a slot: the half of their ids that is the lane's own.
    async fn lanes_behind(&self, slot: u64) -> Vec<u128> {
        let groups = self.house.journal.read(APP, slot + 1, 10_000).await.expect("it can be read");
        let mut lanes: Vec<u128> = groups.into_iter().map(|(_, group)| group.id >> 64).collect();
        lanes.sort_unstable();
        lanes.dedup();
        lanes
    }

    async fn head(&self) -> u64 {
        self.house.journal.head(APP).await.expect("a head")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn commands_with_a_key_are_decided_by_the_usual_writer_and_everybody_sees_them() {
    let company = Company::of(3).await;
    let (head, before) = (company.head().await, balance(&company.books[0], company.wallet).await);

    let calls = (0..60).map(|call: usize| {
        let book = company.books[call % 3].clone();
        let ask = keyed(Take::new(company.wallet, 2), &format!("call-{call}"));
        async move { (call, book.submit(ask).await.expect("enough is there")) }
    });
    let outcomes = join_all(calls).await;

    assert_eq!(company.lanes_behind(head).await.len(), 1, "one lane has filled all slots");
    assert!(outcomes.iter().all(|(_, outcome)| !outcome.replayed));
    for book in &company.books {
        assert_eq!(balance(book, company.wallet).await, before - 120, "every process sees all of it");
    }
    for (call, first) in &outcomes {
        let ask = keyed(Take::new(company.wallet, 2), &format!("call-{call}"));
        let again = company.books[(call + 1) % 3].submit(ask).await.expect("its answer");
        assert!(
            again.replayed && told(&again) == told(first),
            "call {call} has one outcome at every process"
        );
    }
    company.house.verify(&company.books[1]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn refusals_come_back_as_they_were_made() {
    let company = Company::of(2).await;
    let (wallet, other) = (company.wallet, &company.books[1]);
    let before = company.board.answered();

    let beyond = keyed(Take::new(wallet, 1_000_000), "beyond");
    let refused = other.submit(beyond.clone()).await.expect_err("so much is not there");
    assert_eq!((refused.code(), refused.first_request_id()), (Code::InsufficientFunds, None));
    assert_eq!(refused.members().get("available"), Some(&balance(other, wallet).await.into()));
    let again = other.submit(beyond).await.expect_err("it sticks to its key");
    assert_eq!((again.code(), again.first_request_id()), (Code::InsufficientFunds, Some("request-1")));

    let mut with_other_body = keyed(Take::new(wallet, 1), "beyond");
    if let Some(key) = &mut with_other_body.key {
        key.fingerprint += 1;
    }
    let problem = other.submit(with_other_body).await.expect_err("the key has another body");
    assert_eq!(problem.code(), Code::IdempotencyKeyReused);

    let mut stale = keyed(Take::new(wallet, 1), "stale");
    stale.if_match = Some(IfMatch::of(&[1]));
    let moved_on = other.submit(stale).await.expect_err("it has moved on");
    assert_eq!(moved_on.code(), Code::VersionMismatch);
    assert!(moved_on.members().contains_key("version"));

    let nowhere = keyed(Take::new(WalletId::from_u128(7), 1), "nowhere");
    assert_eq!(other.submit(nowhere).await.expect_err("there is none").code(), Code::NotFound);
    assert_eq!(company.board.answered(), before + 5, "each of them was handed over");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_has_no_key_or_is_dry_is_decided_where_it_was_asked_for() {
    let company = Company::of(2).await;
    let (wallet, other) = (company.wallet, &company.books[1]);
    let (answered, before) = (company.board.answered(), balance(other, wallet).await);
    let head = company.head().await;

    other.submit(ask(Take::new(wallet, 3))).await.expect("enough is there");
    let dry = Ask { dry_run: true, ..keyed(Take::new(wallet, 5), "dry") };
    other.submit(dry).await.expect("enough is there");
    open(other, 2).await;

    assert_eq!(company.board.answered(), answered);
    assert_eq!(company.head().await, head + 2, "two groups of this process's own");
    for book in &company.books {
        assert_eq!(balance(book, wallet).await, before - 3);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_becomes_of_a_message_its_command_counts_once() {
    let company = Company::of(2).await;
    let (wallet, other) = (company.wallet, &company.books[1]);
    for (number, line) in
        [Line::Down, Line::LosesMessages, Line::LosesAnswers, Line::Late].into_iter().enumerate()
    {
        company.board.set(line);
        let before = balance(other, wallet).await;
        let calls = (0..20).map(|call| keyed(Take::new(wallet, 1), &format!("{number}-{call}")));
        let asks: Vec<Ask> = calls.collect();
        for outcome in join_all(asks.iter().map(|ask| other.submit(ask.clone()))).await {
            outcome.unwrap_or_else(|problem| panic!("{line:?}: {problem}"));
        }
        tokio::time::sleep(Duration::from_millis(100)).await; // what is late arrives
        company.board.set(Line::Good);
        for book in &company.books {
            assert_eq!(balance(book, wallet).await, before - 20, "{line:?}");
            for outcome in join_all(asks.iter().map(|ask| book.submit(ask.clone()))).await {
                assert!(outcome.expect("its answer").replayed, "{line:?}");
            }
        }
    }
    company.house.verify(other).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_refusal_that_no_key_keeps_is_no_outcome_while_the_other_process_may_yet_decide() {
    let company = Company::of(2).await;
    let (wallet, other) = (company.wallet, &company.books[1]);
    let mut stale = keyed(Take::new(wallet, 1), "stale");
    stale.if_match = Some(IfMatch::of(&[1]));
    for line in [Line::LosesMessages, Line::LosesAnswers, Line::Late] {
        company.board.set(line);
        let problem = other.submit(stale.clone()).await.expect_err("it has moved on, or not");
        assert_eq!(
            (problem.code(), problem.retry_after_seconds()),
            (Code::OutcomeUnknown, Some(1)),
            "{line:?}"
        );
        // One that sticks to its key is one.
        let beyond = keyed(Take::new(wallet, 1_000_000), &format!("{line:?}"));
        let refused = other.submit(beyond).await.expect_err("so much is not there");
        assert_eq!(refused.code(), Code::InsufficientFunds, "{line:?}");
    }
    company.board.set(Line::Down);
    let problem = other.submit(stale).await.expect_err("it has moved on");
    assert_eq!(problem.code(), Code::VersionMismatch, "nobody else has got it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_writer_that_stops_leaves_its_seat_and_one_that_dies_loses_it() {
    let company = Company::of(3).await;
    let (wallet, books) = (company.wallet, &company.books);
    let spend = async |process: usize, key: String| {
        books[process].submit(keyed(Take::new(wallet, 1), &key)).await.expect("enough is there")
    };

    company.ledgers[0].shut_down().await;
    let stopped = tokio::time::Instant::now();
    spend(1, "after the stop".to_owned()).await; // it does not wait for anything
    assert!(stopped.elapsed() < Duration::from_secs(1), "{:?}", stopped.elapsed());
    company.one_hands_over(1, 2).await;
    assert!(stopped.elapsed() < Duration::from_secs(8), "the seat was left: {:?}", stopped.elapsed());

    // The second one does not answer any more, and does not say so.
    company.board.set(Line::Down);
    let died = tokio::time::Instant::now();
    for call in 0..200 {
        spend(2, format!("alone-{call}")).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(died.elapsed() < Duration::from_secs(15), "nobody waits for it: {:?}", died.elapsed());
    company.board.set(Line::Good);
    let (head, answered) = (company.head().await, company.board.answered());
    for call in 0..10 {
        spend(1, format!("back-{call}")).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert!(company.board.answered() > answered, "whoever lost the seat hands over to the new one");
    assert!(company.head().await > head);
    company.house.verify(&books[1]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_hands_everything_over_goes_on_from_the_watermark_and_forgets_no_key() {
    let company = Company::of(2).await;
    let (wallet, other) = (company.wallet, &company.books[1]);
    let asks: Vec<Ask> = (0..300).map(|call| keyed(Take::new(wallet, 1), &format!("call-{call}"))).collect();
    for ask in &asks {
        other.submit(ask.clone()).await.expect("enough is there"); // a group each
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let reads = company.house.journal.head(APP).await.expect("a head");
    assert!(reads > 300);
    assert_eq!(other.lag(), 0);
    assert!(other.cached_wallets() <= 1, "what it had in memory is of another time");

    // Alone, it knows every key, every balance and every sum.
    company.board.set(Line::Down);
    for ask in asks.iter().step_by(7) {
        assert!(other.submit(ask.clone()).await.expect("its answer").replayed);
    }
    assert_eq!(balance(other, wallet).await, balance(&company.books[0], wallet).await);
    assert_eq!(other.totals(), company.books[0].totals());
    other.submit(keyed(Take::new(wallet, 1), "one more")).await.expect("enough is there");
    company.house.verify(other).await;
}

/// To apply everything that others append is worth it for many readers, and not for a job that looks now and then.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn only_who_is_read_from_again_and_again_follows() {
    let (house, board) = house();
    // Without its ledger a book would answer nothing that is handed to it.
    let writing = house.ledger_on(tokio::runtime::Handle::current());
    let writer = writing.book(APP).await.expect("the book opens");
    let wallet = wallet_with(&writer, 1, 100_000).await;
    while house.documents.get(APP, &views::BOOKS, views::WRITER).await.expect("it can be read").is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let journal = Arc::new(Between(Read { inner: house.journal.clone(), groups: AtomicUsize::new(0) }));
    let other = House { journal: journal.clone(), ..house.clone() }.book().await;
    until_handed_over(&board, &[writer.clone(), other.clone()], wallet, "before").await;
    // How many groups it reads by itself while it hands commands over.
    let spend = async |what: &str| {
        let before = journal.0.groups.load(Ordering::Relaxed);
        for call in 0..24 {
            other
                .submit(keyed(Take::new(wallet, 1), &format!("{what}-{call}")))
                .await
                .expect("enough is there");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        journal.0.groups.load(Ordering::Relaxed) - before
    };

    assert!(spend("unread").await <= 2, "nobody has read");
    balance(&other, wallet).await;
    assert!(spend("read once").await <= 2, "somebody has read once");
    for _ in 0..5 {
        balance(&other, wallet).await;
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    assert!(spend("read often").await >= 4, "somebody reads again and again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_no_command_changes_nothing() {
    let company = Company::of(2).await;
    let head = company.head().await;
    for message in [&b""[..], b"GET / HTTP/1.1\r\n\r\n", &[0; 200], &[255; 200]] {
        let said = company.board.ask("process-0", Bytes::from_static(message)).await.expect("an answer");
        assert!(said.len() < 8, "{said:?}");
    }
    assert_eq!(company.head().await, head);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_command_that_reaches_somebody_else_is_decided_where_it_was_asked_for() {
    let company = Company::of(2).await;
    let (wallet, other) = (company.wallet, &company.books[1]);
    // A process of another store has got the address, and has the same book open.
    let elsewhere = House { journal: Arc::new(MemoryJournal::shared()), ..House::new() };
    let elsewhere = House { board: Some(company.board.clone()), ..elsewhere };
    let stranger = elsewhere.book().await;
    open(&stranger, 1).await;
    company.board.divert("process-0", "process-2");
    company.board.divert("process-1", "process-2");
    let (before, answered) = (balance(other, wallet).await, company.board.answered());
    for call in 0..10 {
        let ask = keyed(Take::new(wallet, 1), &format!("call-{call}"));
        other.submit(ask).await.expect("enough is there");
    }
    assert_eq!(company.board.answered(), answered + 10, "the stranger answered");
    assert_eq!(elsewhere.journal.head(APP).await, Ok(1), "and did nothing");
    assert_eq!(balance(other, wallet).await, before - 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_copy_of_a_database_hands_nothing_to_those_who_work_on_the_original() {
    let original = Company::of(2).await;
    let found = original.house.documents.get(APP, &views::BOOKS, views::WRITER).await;
    let beat = found.expect("it can be read").expect("somebody writes");
    let copy = House { journal: Arc::new(MemoryJournal::shared()), ..House::new() };
    let copy = House { board: Some(original.board.clone()), ..copy };
    let seat = Write::Put {
        collection: &views::BOOKS,
        id: views::WRITER.to_owned(),
        sequence: beat.version,
        body: beat.body.clone(),
        keys: Vec::new(),
    };
    copy.documents.commit(APP, Batch::of(seat)).await.expect("it is copied");
    let (head, answered) = (original.head().await, original.board.answered());
    let book = copy.book().await;
    let wallet = wallet_with(&book, 1, 1_000).await;
    // As long as it takes until nobody believes the copied beat any more.
    for call in 0..80 {
        book.submit(keyed(Take::new(wallet, 1), &format!("call-{call}"))).await.expect("enough is there");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(original.board.answered(), answered, "nobody was asked");
    assert_eq!(original.head().await, head);
    assert_eq!(balance(&book, wallet).await, 920);
    let found = copy.documents.get(APP, &views::BOOKS, views::WRITER).await;
    let now = found.expect("it can be read").expect("somebody writes");
    assert_ne!(now.body, beat.body, "it has taken the seat itself");
}

/// Everybody spends at every process, and the lines break as the dice fall: what is accepted counts once, and no more is
/// spent than there is.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn over_lines_that_break_hundreds_of_callers_spend_each_credit_once() {
    for seed in [1_u64, 2] {
        println!("seed {seed}");
        race(seed).await;
    }
}

async fn race(seed: u64) {
    const CALLS: usize = 600;
    let (mut house, board) = house();
    house.settings = LedgerSettings { cached_wallets: 3, ..house.settings };
    let mut books = Vec::new();
    for _ in 0..3 {
        books.push(house.book().await);
    }
    let wallet = wallet_with(&books[0], 1, 400).await;
    board.shake(seed, 25);
    // The first round goes on while the seat is taken and believed.
    let rounds = async |round: usize, milliseconds: u64| {
        let calls = (0..CALLS).map(|call| {
            let book = books[(call + round) % 3].clone();
            tokio::spawn(async move {
                let mut dice = Dice::new(seed << 32 | u64::try_from(call).expect("small"));
                tokio::time::sleep(Duration::from_millis(dice.below(milliseconds))).await;
                let name = format!("call-{call}");
                loop {
                    match book.submit(keyed(Take::new(wallet, 1), &name)).await {
                        Ok(outcome) => return Some(posted(&outcome).id),
                        Err(problem) if problem.code() == Code::InsufficientFunds => return None,
                        Err(problem) => assert_eq!(problem.code(), Code::OutcomeUnknown, "{problem}"),
                    }
                }
            })
        });
        let outcomes = join_all(calls).await;
        outcomes.into_iter().map(|outcome| outcome.expect("no panic")).collect::<Vec<_>>()
    };
    let first = rounds(0, 6_000).await;
    assert!(board.answered() > 20, "{} were handed over", board.answered());
    let mut made: Vec<_> = first.iter().flatten().collect();
    made.sort_unstable();
    made.dedup();
    assert_eq!((made.len(), first.iter().flatten().count()), (400, 400), "every credit was spent, each once");

    board.shake(seed + 100, 10);
    assert_eq!(rounds(1, 500).await, first, "every key has its outcome, at whatever process");
    board.shake(0, 0);
    for book in &books {
        assert_eq!(balance(book, wallet).await, 0);
    }
    let verified = house.verify(&books[2]).await;
    assert_eq!(verified.totals, books[2].totals());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn holds_and_grants_are_handed_over_too() {
    use credit_core::Amount;
    use credit_wallet::domain::commands::{CaptureHold, CreateHold, ReleaseHold, VoidGrant};
    let company = Company::of(2).await;
    let (wallet, other) = (company.wallet, &company.books[1]);
    let before = company.board.answered();
    let amount = Amount::try_new(40).expect("positive");
    let hold = |key: &str| {
        let command = CreateHold {
            wallet,
            amount,
            expires_in_seconds: 600,
            reference: Some("r".to_owned()),
            metadata: [("a".to_owned(), "b".to_owned())].into(),
        };
        keyed(command, key)
    };
    let mut holds = Vec::new();
    for key in ["one", "two"] {
        let outcome = other.submit(hold(key)).await.expect("enough is there");
        let Answer::Hold(made) = outcome.answer() else { panic!("{:?}", outcome.answer()) };
        assert_eq!((made.amount, made.reference.as_deref()), (40, Some("r")));
        holds.push(made.id);
    }
    let capture = CaptureHold { wallet, hold: holds[0], amount: None, last: true };
    other.submit(keyed(capture, "capture")).await.expect("it is active");
    other.submit(keyed(ReleaseHold { wallet, hold: holds[1] }, "release")).await.expect("it is active");
    let given = other.submit(keyed(Give::new(wallet, 9), "give")).await.expect("credits come in");
    let grant = posted(&given).credited[0].grant;
    other.submit(keyed(VoidGrant { wallet, grant }, "void")).await.expect("it is whole");
    assert_eq!(company.board.answered(), before + 6);
    company.house.verify(other).await;
}
