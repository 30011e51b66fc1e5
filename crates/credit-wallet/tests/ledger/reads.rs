//! What readers see: time travel, lists, what is due.

use std::collections::BTreeMap;
use std::sync::Arc;

use credit_core::ports::documents::Position;
use credit_core::testkit::{Dice, TestClock};
use credit_core::{Amount, Code, GrantId, HoldId, Timestamp, WalletId};
use credit_wallet::domain::commands::{CreateHold, PatchWallet, ReleaseHold, VoidGrant};
use credit_wallet::domain::{Answer, HoldState, Kind, LotState};
use credit_wallet::ledger::{Ask, Book, TransactionFilter, describe_group};
use serde_json::Value;

use crate::support::{APP, Give, GiveBack, House, Take, ask, balance, open, posted, wallet_with};

pub(crate) fn at(seconds: i64) -> Timestamp {
    TestClock::START.plus_seconds(seconds)
}

fn hold_of(wallet: WalletId, amount: i64, seconds: i64) -> CreateHold {
    CreateHold {
        wallet,
        amount: Amount::try_new(amount).expect("within bounds"),
        expires_in_seconds: seconds,
        reference: None,
        metadata: BTreeMap::new(),
    }
}

pub(crate) async fn hold(book: &Book, wallet: WalletId, amount: i64, seconds: i64) -> HoldId {
    let outcome = book.submit(ask(hold_of(wallet, amount, seconds))).await.expect("enough is there");
    let Answer::Hold(hold) = outcome.answer() else { panic!("{:?}", outcome.answer()) };
    hold.id
}

#[tokio::test]
async fn a_balance_can_be_asked_for_at_any_instant_past_or_to_come() {
    let house = House::new();
    let book = house.book().await;
    let wallet = open(&book, 1).await;
    book.submit(ask(Give::new(wallet, 100).until(at(100)))).await.expect("credits come in");
    house.clock.set(at(10));
    hold(&book, wallet, 30, 50).await;
    house.clock.set(at(20));
    book.submit(ask(Take::new(wallet, 20))).await.expect("enough is there");
    house.clock.set(at(30));
    book.submit(ask(Give::new(wallet, 40).from(at(70)))).await.expect("credits come in");
    // Seconds; balance, held, available.
    let expected = [
        (-5, (0, 0, 0)),
        (0, (100, 0, 100)),
        (9, (100, 0, 100)),
        (10, (100, 30, 70)),
        (20, (80, 30, 50)),
        (30, (120, 30, 50)),
        (59, (120, 30, 50)),
        (60, (120, 0, 80)),
        (70, (120, 0, 120)),
        (99, (120, 0, 120)),
        (100, (40, 0, 40)),
        (1_000, (40, 0, 40)),
    ];

    // As the future is known; when it has come and nothing is posted; and when it is posted.
    for moment in ["before", "due", "posted", "cold"] {
        let asked = if moment == "cold" { house.book().await } else { book.clone() };
        for (seconds, expected) in expected {
            let found =
                asked.balance_at(wallet, at(seconds)).await.expect("it can be read").expect("it exists");
            let figures = (found.balance, found.held, found.available);
            assert_eq!(figures, expected, "{seconds} seconds in, {moment}");
        }
        match moment {
            "before" => house.clock.set(at(200)),
            "due" => assert_eq!(book.sweep().await.expect("a sweep"), 1),
            _ => {}
        }
    }
    house.verify(&book).await;
}

#[tokio::test]
async fn a_read_shows_what_is_due_as_the_sweep_then_posts_it() {
    let house = House::new();
    let book = house.book().await;
    let wallet = open(&book, 1).await;
    book.submit(ask(Give::new(wallet, 10).until(at(5)))).await.expect("credits come in");
    book.submit(ask(Give::new(wallet, 20).until(at(6)))).await.expect("credits come in");
    let hold = hold(&book, wallet, 4, 7).await;
    book.flush().await.expect("the views catch up");
    house.clock.set(at(8));

    let read = book.wallet(wallet).await.expect("it can be read").expect("it exists");
    let read_hold = book.hold(hold).await.expect("it can be read").expect("it exists");
    let entries_before = book.entries(wallet, None, 100).await.expect("entries").len();
    assert_eq!(book.sweep().await.expect("a sweep"), 1);
    assert_eq!(book.sweep().await.expect("nothing is left to sweep"), 0);
    let posted = book.wallet(wallet).await.expect("it can be read").expect("it exists");
    let posted_hold = book.hold(hold).await.expect("it can be read").expect("it exists");

    assert_eq!((read.version, read.balance(), read.held()), (posted.version, 0, 0));
    assert_eq!((posted.balance(), posted.held(), posted.entries), (0, 0, read.entries));
    assert_eq!((read_hold.state, posted_hold.state), (HoldState::Expired, HoldState::Expired));
    assert_eq!(
        (read_hold.version, read_hold.wallet_version),
        (posted_hold.version, posted_hold.wallet_version)
    );
    let entries = book.entries(wallet, None, 100).await.expect("entries");
    assert_eq!((entries_before, entries.len()), (2, 5), "two lots and what the hold gave back expire");
    house.verify(&book).await;
}

#[tokio::test]
async fn a_settled_hold_and_a_depleted_lot_are_found_however_far_the_views_are() {
    let house = House::new();
    let book = house.book().await;
    let wallet = open(&book, 1).await;
    let given = posted(&book.submit(ask(Give::new(wallet, 10))).await.expect("credits come in"));
    let hold = hold(&book, wallet, 10, 100).await;
    book.submit(ask(ReleaseHold { wallet, hold })).await.expect("it is active");
    book.submit(ask(Take::new(wallet, 10))).await.expect("enough is there");

    for round in 0..4 {
        let shown = book.hold(hold).await.expect("it can be read").expect("it exists");
        assert_eq!(shown.state, HoldState::Released, "round {round}");
        let (_, lot) = book.grant(given.credited[0].grant).await.expect("it can be read").expect("it exists");
        assert_eq!(lot.state(at(0)), LotState::Depleted, "round {round}");
        book.flush().await.expect("the views catch up");
        if round == 2 {
            book.submit(ask(Give::new(wallet, 1))).await.expect("credits come in");
        }
    }
}

#[tokio::test]
async fn a_dry_run_tells_what_would_happen_and_leaves_no_trace() {
    let house = House::new();
    let book = house.book().await;
    let wallet = open(&book, 1).await;
    book.submit(ask(Give::new(wallet, 10).until(at(5)))).await.expect("credits come in");
    house.clock.set(at(6));
    let head = house.journal.head(APP).await.expect("a head");
    let before = book.wallet(wallet).await.expect("it can be read");

    let dry = |command: Ask| Ask { dry_run: true, ..command };
    let given = book.submit(dry(ask(Give::new(wallet, 7)))).await.expect("it would succeed");
    let refused = book.submit(dry(ask(Take::new(wallet, 1)))).await.expect_err("all is expired");

    assert_eq!(posted(&given).entries[0].balance_after, Some(7));
    assert_eq!(refused.code(), Code::InsufficientFunds);
    assert_eq!(house.journal.head(APP).await.expect("a head"), head);
    assert_eq!(book.wallet(wallet).await.expect("it can be read"), before);
    house.verify(&book).await;
}

#[tokio::test]
async fn ids_and_times_of_a_book_grow_when_the_clock_goes_back() {
    let house = House::new();
    let book = house.book().await;
    let wallet = wallet_with(&book, 1, 100).await;
    let mut last = posted(&book.submit(ask(Take::new(wallet, 1))).await.expect("enough is there"));

    for step in 0..20 {
        house.clock.advance_seconds(if step % 2 == 0 { -3_600 } else { 1_800 });
        let book = if step % 5 == 4 { house.book().await } else { book.clone() };
        if step % 5 == 4 {
            break;
        }
        let next = posted(&book.submit(ask(Take::new(wallet, 1))).await.expect("enough is there"));
        assert!(next.id > last.id && next.created_at >= last.created_at);
        last = next;
    }
    book.flush().await.expect("the views catch up");
    let reopened = house.book().await;
    let next = posted(&reopened.submit(ask(Take::new(wallet, 1))).await.expect("enough is there"));
    assert!(next.id > last.id && next.created_at >= last.created_at);
    house.verify(&reopened).await;
}

#[tokio::test]
async fn what_a_command_names_and_does_not_exist_is_not_found() {
    let house = House::new();
    let book = house.book().await;
    let [mine, other] = [wallet_with(&book, 1, 10).await, wallet_with(&book, 2, 10).await];
    let others = book.wallet(other).await.expect("it can be read").expect("it exists").lots[0].id;
    let nowhere = WalletId::from_u128(0xDEAD);

    let problems = [
        book.submit(ask(Take::new(nowhere, 1))).await.expect_err("no such wallet"),
        book.submit(ask(VoidGrant { wallet: mine, grant: GrantId::from_u128(0xDEAD) }))
            .await
            .expect_err("no lot"),
        book.submit(ask(VoidGrant { wallet: mine, grant: others })).await.expect_err("another's lot"),
        book.submit(ask(ReleaseHold { wallet: mine, hold: HoldId::from_u128(0xDEAD) }))
            .await
            .expect_err("no hold"),
        book.submit(ask(PatchWallet::default())).await.expect_err("no wallet is named"),
    ];

    assert!(problems.iter().all(|problem| problem.code() == Code::NotFound), "{problems:?}");
    assert_eq!((balance(&book, mine).await, balance(&book, other).await), (10, 10));
    house.verify(&book).await;
}

#[tokio::test]
async fn an_overdraft_limit_in_use_stays() {
    let house = House::new();
    let book = house.book().await;
    let wallet = wallet_with(&book, 1, 10).await;
    let limit =
        |limit| PatchWallet { wallet: Some(wallet), overdraft_limit: Some(limit), ..PatchWallet::default() };
    book.submit(ask(limit(50))).await.expect("a limit");
    book.submit(ask(Take::new(wallet, 40))).await.expect("the overdraft covers it");

    let problem = book.submit(ask(limit(29))).await.expect_err("30 are overdrawn");
    book.submit(ask(limit(30))).await.expect("just enough");

    assert_eq!(problem.code(), Code::OverdraftInUse);
    let kept = book.wallet(wallet).await.expect("it can be read").expect("it exists");
    assert_eq!((kept.balance(), kept.overdrawn, kept.available(at(0))), (-30, 30, 0));
}

/// A transaction as the journal tells it, without the ledger's own lists.
#[derive(Debug, Clone)]
struct Told {
    id: String,
    kind: String,
    wallets: Vec<String>,
    reference: Option<String>,
    at: Timestamp,
    sequences: Vec<(String, u64)>,
}

async fn told_by_the_journal(house: &House) -> Vec<Told> {
    let mut told = Vec::new();
    for (_, group) in house.journal.read(APP, 1, usize::MAX).await.expect("groups") {
        let group = describe_group(&group.bytes).expect("a group");
        for record in group["records"].as_array().expect("records") {
            for posted in record["posted"].as_array().expect("transactions") {
                let text = |value: &Value| value.as_str().map(str::to_owned);
                let entries = posted["entries"].as_array().expect("entries");
                let own: Vec<(String, u64)> = entries
                    .iter()
                    .filter_map(|entry| {
                        Some((text(&entry["account"]["Wallet"])?, entry["sequence"].as_u64()?))
                    })
                    .collect();
                told.push(Told {
                    id: text(&posted["id"]).expect("an id"),
                    kind: text(&posted["kind"]).expect("a kind"),
                    wallets: own.iter().map(|(wallet, _)| wallet.clone()).collect(),
                    reference: text(&posted["note"]["reference"]),
                    at: Timestamp::parse(posted["created_at"].as_str().expect("a time")).expect("a time"),
                    sequences: own,
                });
            }
        }
    }
    told
}

#[tokio::test]
async fn lists_page_through_exactly_what_the_journal_says_under_every_filter() {
    let house = House::new();
    let book = house.book().await;
    let mut dice = Dice::new(7);
    let mut wallets = Vec::new();
    for user in 0..4 {
        wallets.push(open(&book, user).await);
    }
    let mut spent = Vec::new();
    for step in 0..400_i64 {
        if dice.percent(30) {
            house.clock.advance_millis(i64::try_from(dice.below(3_000)).expect("small"));
        }
        let wallet = *dice.pick(&wallets);
        let reference = dice.percent(40).then(|| format!("order-{}", dice.below(3)));
        match dice.below(4) {
            0 | 1 => {
                let mut give = Give::new(wallet, 10);
                give.note.reference = reference;
                if dice.percent(30) {
                    give.deposit.expires_at = Some(book.now().plus_seconds(1 + step % 4));
                }
                book.submit(ask(give)).await.expect("credits come in");
            }
            2 => {
                let mut take = Take::new(wallet, 3);
                take.note.reference = reference;
                if let Ok(outcome) = book.submit(ask(take)).await {
                    spent.push(posted(&outcome));
                }
            }
            _ if !spent.is_empty() => {
                let original = dice.pick(&spent).clone();
                let _refused = book.submit(ask(GiveBack(original))).await;
            }
            _ => {}
        }
    }
    let told = told_by_the_journal(&house).await;
    assert!(told.len() > 250 && told.iter().any(|told| told.kind == "expiry"));
    house.verify(&book).await;

    for round in 0..150 {
        let filter = filter(&mut dice, &wallets, &told);
        let limit = 1 + dice.place(30);
        let expected: Vec<String> =
            told.iter().rev().filter(|told| is_wanted(&filter, told)).map(|told| told.id.clone()).collect();
        assert_eq!(page_all(&book, &filter, limit).await, expected, "round {round}: {filter:?}");
    }
    for wallet in &wallets {
        let text = wallet.to_string();
        let expected: Vec<(String, u64)> = told
            .iter()
            .rev()
            .filter_map(|told| {
                let own = told.sequences.iter().find(|(of, _)| *of == text)?;
                Some((told.id.clone(), own.1))
            })
            .collect();
        let mut found = Vec::new();
        let mut after: Option<Position> = None;
        loop {
            let page = book.entries(*wallet, after.as_ref(), 7).await.expect("entries");
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            found.extend(page.iter().map(|(_, entry)| {
                let sequence = entry.entry().sequence.expect("a wallet's entry");
                (entry.posted.transaction().id.to_string(), sequence)
            }));
        }
        assert_eq!(found, expected);
        let gap_free = found
            .iter()
            .rev()
            .map(|(_, sequence)| *sequence)
            .eq(1..=u64::try_from(found.len()).expect("few"));
        assert!(gap_free, "{found:?}");
    }
}

#[tokio::test]
async fn rows_added_while_someone_pages_neither_repeat_nor_hide_older_ones() {
    let house = House::new();
    let book = house.book().await;
    let wallet = wallet_with(&book, 1, 1_000).await;
    for _ in 0..20 {
        book.submit(ask(Take::new(wallet, 1))).await.expect("enough is there");
    }
    let before: Vec<String> =
        told_by_the_journal(&house).await.iter().rev().map(|told| told.id.clone()).collect();
    let filter = TransactionFilter::default();

    let mut found = Vec::new();
    let mut after: Option<Position> = None;
    loop {
        let page = book.transactions(&filter, after.as_ref(), 3).await.expect("a page");
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        found.extend(page.iter().map(|(_, posted)| posted.transaction().id.to_string()));
        book.submit(ask(Take::new(wallet, 1))).await.expect("enough is there");
    }

    assert_eq!(found, before);
}

async fn page_all(book: &Arc<Book>, filter: &TransactionFilter, limit: usize) -> Vec<String> {
    let mut found = Vec::new();
    let mut after: Option<Position> = None;
    loop {
        let page = book.transactions(filter, after.as_ref(), limit).await.expect("a page");
        let Some((last, _)) = page.last() else { return found };
        after = Some(last.clone());
        found.extend(page.iter().map(|(_, posted)| posted.transaction().id.to_string()));
    }
}

fn filter(dice: &mut Dice, wallets: &[WalletId], told: &[Told]) -> TransactionFilter {
    let some: Vec<WalletId> = wallets.iter().copied().filter(|_| dice.percent(40)).collect();
    let moment = |dice: &mut Dice| {
        dice.percent(40).then(|| {
            let near = i64::try_from(dice.below(3)).expect("small") - 1;
            dice.pick(told).at.plus_millis(near)
        })
    };
    let kinds = [Kind::Purchase, Kind::Spend, Kind::Refund, Kind::Expiry, Kind::Void];
    let from = moment(dice);
    let to = moment(dice);
    TransactionFilter {
        wallets: dice.percent(60).then_some(some),
        kind: dice.percent(40).then(|| *dice.pick(&kinds)),
        reference: dice.percent(40).then(|| format!("order-{}", dice.below(4))),
        from,
        to,
    }
}

fn is_wanted(filter: &TransactionFilter, told: &Told) -> bool {
    let of = filter.wallets.as_ref();
    of.is_none_or(|of| of.iter().any(|wallet| told.wallets.contains(&wallet.to_string())))
        && filter.kind.is_none_or(|kind| told.kind == kind.as_str())
        && filter.reference.as_ref().is_none_or(|reference| told.reference.as_ref() == Some(reference))
        && filter.from.is_none_or(|from| told.at >= from)
        && filter.to.is_none_or(|to| told.at < to)
}
