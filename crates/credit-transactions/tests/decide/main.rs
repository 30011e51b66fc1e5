//! Random sequences of calls, decided by the real rules and by a naive model of the contract, compared after every step.
//!
//! `CREDIT_TEST_SEQUENCES` says how many sequences; `CREDIT_TEST_SEED` plays one again and prints its calls.

mod model;
mod real;
mod script;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use credit_core::testkit::Dice;
use credit_core::{Timestamp, WalletId};
use credit_wallet::domain::{
    Account, Answer, Category, Direction, HoldState, KeyMark, LotState, Parties, Record, Transaction, claim,
    settled_view,
};

use model::{Call, Done, Model, Refused};
use real::{Real, Verdict};

const STEPS: usize = 30;
const START: i64 = 1_767_225_600_000;

#[expect(clippy::disallowed_methods, reason = "a test has no configuration but its environment")]
fn number_from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn the_rules_decide_like_a_naive_model_of_the_contract() {
    if let Some(seed) = number_from_environment("CREDIT_TEST_SEED") {
        play(seed, true).unwrap_or_else(|failure| panic!("seed {seed}: {failure}"));
        return;
    }
    let sequences = number_from_environment("CREDIT_TEST_SEQUENCES").unwrap_or(10_000);
    let next = AtomicU64::new(0);
    let counted = AtomicU64::new(0);
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= sequences {
                        return;
                    }
                    match play(seed, false) {
                        Ok(accepted) => counted.fetch_add(accepted, Ordering::Relaxed),
                        Err(failure) => {
                            panic!("seed {seed} (CREDIT_TEST_SEED={seed} plays it again): {failure}")
                        }
                    };
                }
            });
        }
    });
    let accepted = counted.into_inner();
    assert!(accepted > sequences * 5, "only {accepted} of the calls in {sequences} sequences were accepted");
}

/// Plays one sequence. Answers how many calls were accepted, or what differs after the shortest prefix that shows it,
/// with the calls of that prefix.
fn play(seed: u64, aloud: bool) -> Result<u64, String> {
    let mut dice = Dice::new(seed);
    let mut pair = Pair::new();
    let mut told = Vec::new();
    let mut accepted = 0;
    for step in 0..STEPS {
        let next = script::next(&mut dice, &pair.model, &pair.keys);
        told.push(format!("{step:>3}  {next:?}"));
        if aloud {
            println!("{}", told[step]);
        }
        match pair.step(&next) {
            Ok(was_accepted) => accepted += u64::from(was_accepted),
            Err(difference) => {
                return Err(format!("after {} calls:\n{}\n{difference}", step + 1, told.join("\n")));
            }
        }
    }
    Ok(accepted)
}

/// The model and the real rules side by side.
struct Pair {
    model: Model,
    real: Real,
    /// Keys that were used, with the call and what it answered.
    keys: HashMap<u8, (Call, Result<Done, Refused>)>,
    first: HashMap<u8, Arc<Record>>,
}

#[expect(clippy::needless_pass_by_value, reason = "reads better where it is called")]
fn same<T: PartialEq + std::fmt::Debug>(what: &str, real: T, model: T) -> Result<(), String> {
    if real == model { Ok(()) } else { Err(format!("{what}: really {real:?}, by the model {model:?}")) }
}

impl Pair {
    fn new() -> Self {
        let model = Model { now: START, ..Model::default() };
        let mut real = Real::default();
        real.now = START;
        let mut pair = Self { model, real, keys: HashMap::new(), first: HashMap::new() };
        for (user, asset) in [(0, 0), (1, 0), (0, 1)] {
            let open = script::Step { now: START, call: Call::Open { user, asset }, key: None, dry: false };
            pair.step(&open).expect("a book opens its wallets");
        }
        pair
    }

    fn step(&mut self, step: &script::Step) -> Result<bool, String> {
        self.model.now = step.now;
        self.real.now = step.now;
        let key = step.key.map(|key| KeyMark {
            claim: claim("key", &[&key.to_string()]),
            fingerprint: claim("body", &[&format!("{:?}", step.call)]),
        });
        let before = self.model.transactions.len();
        let (verdict, left) = self.real.call(&step.call, key, step.dry)?;
        if let Some((call, answer)) = step.key.and_then(|key| self.keys.get(&key)) {
            let expected = if *call == step.call {
                answer.clone()
            } else {
                Err(Refused::Code("idempotency_key_reused"))
            };
            self.compare_replay(step, &verdict, &expected)?;
            self.real.check_copies()?;
            return Ok(false);
        }
        let expected = if step.dry {
            let mut copy = self.model.clone();
            copy.touched(&step.call).into_iter().for_each(|wallet| copy.settle(wallet));
            copy.call(&step.call)
        } else {
            for wallet in self.model.touched(&step.call) {
                self.model.settle(wallet);
            }
            self.model.call(&step.call)
        };
        if step.dry {
            match (&verdict, &expected) {
                (Verdict::Made(_), Ok(_)) => {}
                (Verdict::Refused(problem), Err(refused)) => {
                    same("dry refusal", problem.code().as_str(), refused.code())?;
                }
                (verdict, expected) => {
                    return Err(format!("dry: {}, by the model {expected:?}", name(verdict)));
                }
            }
            self.real.check_copies()?;
            return Ok(false);
        }
        if let (Some(key), true) = (step.key, sticks(&expected)) {
            self.keys.insert(key, (step.call.clone(), expected.clone()));
            if let Verdict::Made(record) = &verdict {
                self.first.insert(key, record.clone());
            }
        }
        self.compare_posted(before, &left)?;
        self.compare_answer(&verdict, &expected)?;
        self.compare_state()?;
        self.real.check_copies()?;
        Ok(expected.is_ok())
    }

    fn compare_replay(
        &self,
        step: &script::Step,
        verdict: &Verdict,
        expected: &Result<Done, Refused>,
    ) -> Result<(), String> {
        match (verdict, expected) {
            (Verdict::Replayed(record), Ok(_)) => {
                let first = step.key.and_then(|key| self.first.get(&key));
                same("the replayed record", Some(record), first)
            }
            (Verdict::Refused(problem), Err(refused)) => {
                same("the replayed refusal", problem.code().as_str(), refused.code())?;
                Self::compare_refusal(problem, refused)
            }
            (verdict, expected) => Err(format!("replay: {}, by the model {expected:?}", name(verdict))),
        }
    }

    fn compare_answer(&mut self, verdict: &Verdict, expected: &Result<Done, Refused>) -> Result<(), String> {
        let (record, done) = match (verdict, expected) {
            (Verdict::Made(record), Ok(done)) => (record, done),
            (Verdict::Refused(problem), Err(refused)) => {
                same("refusal", problem.code().as_str(), refused.code())?;
                return Self::compare_refusal(problem, refused);
            }
            (verdict, expected) => {
                return Err(format!("really {}, by the model {expected:?}", name(verdict)));
            }
        };
        match (&record.answer, done) {
            (Answer::Done, Done::Nothing) => Ok(()),
            (Answer::Wallet(id), Done::Wallet(wallet)) => same("wallet", *id, self.real.wallet_ids[*wallet]),
            (Answer::Posted(index), Done::Transaction(number)) => {
                let posted = &record.posted[usize::try_from(*index).expect("an index")];
                same("transaction", posted.id, self.real.transactions[*number].id)
            }
            (Answer::Hold(hold), Done::Hold(number)) => {
                if *number == self.real.hold_ids.len() {
                    self.real.hold_ids.push(hold.id);
                }
                same("hold", hold.id, self.real.hold_ids[*number])
            }
            (Answer::Earlier { place, refunded }, Done::Earlier { transaction, refunded: expected }) => {
                let first = self.real.at(*place).ok_or("no record at the place of the first purchase")?;
                let first = first.posted.last().map(|posted| posted.id);
                same("first purchase", first, Some(self.real.transactions[*transaction].id))?;
                same("refunded of the first purchase", *refunded, *expected)
            }
            (answer, done) => Err(format!("really {answer:?}, by the model {done:?}")),
        }
    }

    fn compare_refusal(problem: &credit_core::Problem, refused: &Refused) -> Result<(), String> {
        let Refused::Insufficient { required, available, held, next_effective_at } = refused else {
            return Ok(());
        };
        let number = |name: &str| problem.members().get(name).and_then(serde_json::Value::as_i64);
        same("required", number("required"), Some(*required))?;
        same("available", number("available"), Some(*available))?;
        same("held", number("held"), Some(*held))?;
        same("shortfall", number("shortfall"), Some(required - available))?;
        let next = next_effective_at.map(|at| Timestamp::from_millis(at).to_string());
        let told = problem.members().get("next_effective_at").and_then(|at| at.as_str()).map(str::to_owned);
        same("next_effective_at", told, next)
    }

    /// What was posted: the same transactions in the same order.
    fn compare_posted(&mut self, before: usize, left: &[Arc<Record>]) -> Result<(), String> {
        let posted: Vec<Transaction> = left.iter().flat_map(|record| record.posted.clone()).collect();
        same("how many postings", posted.len(), self.model.transactions.len() - before)?;
        for (number, real) in (before..).zip(&posted) {
            self.compare_transaction(number, real)
                .map_err(|difference| format!("posting {number} ({}): {difference}", real.kind.as_str()))?;
        }
        Ok(())
    }

    fn compare_transaction(&mut self, number: usize, real: &Transaction) -> Result<(), String> {
        let model = &self.model.transactions[number];
        same("kind", real.kind.as_str(), model.kind)?;
        same("amount", real.amount, model.amount)?;
        let wallet = self.real.wallet_ids[model.wallet];
        let parties = match model.destination {
            None => Parties::One(wallet),
            Some(destination) => {
                Parties::Between { source: wallet, destination: self.real.wallet_ids[destination] }
            }
        };
        same("parties", real.parties, parties)?;
        same("wallet_version", real.wallet_version, model.wallet_version)?;
        same("overdrawn", real.overdrawn, model.overdrawn)?;
        same("refund_of", real.refund_of, model.refund_of.map(|of| self.real.transactions[of].id))?;
        same("hold", real.hold, model.hold.map(|hold| self.real.hold_ids[hold]))?;
        same("asset", real.asset, real::asset(self.model.wallets[model.wallet].asset))?;
        same("created_at", real.created_at.millis(), self.model.now)?;
        for (real, (lot, _)) in real.credited.iter().zip(&model.credited) {
            if *lot == self.real.lot_ids.len() {
                self.real.lot_ids.push(real.grant);
            }
        }
        let ids = &self.real.lot_ids;
        let credited: Vec<_> =
            real.credited.iter().map(|credited| (credited.grant, credited.amount)).collect();
        let expected: Vec<_> = model.credited.iter().map(|(lot, amount)| (ids[*lot], *amount)).collect();
        same("credited", credited, expected)?;
        let taken: Vec<_> = real
            .taken
            .iter()
            .map(|taken| {
                let expires_at = taken.expires_at.map(Timestamp::millis);
                (taken.grant, taken.amount, expires_at, taken.category == Category::Paid)
            })
            .collect();
        let lots = &self.model.lots;
        let expected: Vec<_> = model
            .taken
            .iter()
            .map(|(lot, amount)| (ids[*lot], *amount, lots[*lot].expires_at, lots[*lot].paid))
            .collect();
        same("taken_from", taken, expected)?;
        let own = |id: WalletId| {
            real.entries.iter().find(|entry| entry.account == Account::Wallet(id)).map(|entry| {
                (entry.direction == Direction::Credit, entry.amount, entry.balance_after, entry.sequence)
            })
        };
        let (after, sequence) = (Some(model.balance_after), Some(model.sequence));
        same("entry", own(wallet), Some((model.is_credit, model.amount, after, sequence)))?;
        if let Some((destination, (after, sequence))) = model.destination.zip(model.destination_after) {
            let destination = own(self.real.wallet_ids[destination]);
            same(
                "entry of the destination",
                destination,
                Some((true, model.amount, Some(after), Some(sequence))),
            )?;
        }
        same("entries", real.entries.len(), 2)
    }

    /// Every wallet, lot, hold and refund progress, as the second copy has it.
    fn compare_state(&self) -> Result<(), String> {
        for (number, id) in self.real.wallet_ids.iter().enumerate() {
            let named = |difference| format!("wallet {number}: {difference}");
            self.compare_wallet(number, *id).map_err(named)?;
        }
        for (number, id) in self.real.lot_ids.iter().enumerate() {
            self.compare_lot(number, *id).map_err(|difference| format!("lot {number}: {difference}"))?;
        }
        for (number, id) in self.real.hold_ids.iter().enumerate() {
            let model = &self.model.holds[number];
            let wallet = &self.real.replayed[&self.real.wallet_ids[model.wallet]];
            let real = wallet.holds.get(id).ok_or_else(|| format!("hold {number} is gone"))?;
            let named = |difference| format!("hold {number}: {difference}");
            let state = match model.state {
                model::HoldState::Active => HoldState::Active,
                model::HoldState::Captured => HoldState::Captured,
                model::HoldState::Released => HoldState::Released,
                model::HoldState::Expired => HoldState::Expired,
            };
            let parts: Vec<_> = real.parts.iter().map(|part| (part.grant, part.amount, part.left)).collect();
            let expected: Vec<_> = model
                .parts
                .iter()
                .map(|(lot, amount, left)| (self.real.lot_ids[*lot], *amount, *left))
                .collect();
            same("state", real.state, state).map_err(named)?;
            same("parts", parts, expected).map_err(named)?;
            let figures =
                (real.amount, real.captured, real.expires_at.millis(), real.version, real.wallet_version);
            let expected =
                (model.amount, model.captured, model.expires_at, model.version, model.wallet_version);
            same("figures", figures, expected).map_err(named)?;
        }
        for (number, model) in self.model.transactions.iter().enumerate() {
            let wallet = &self.real.replayed[&self.real.wallet_ids[model.wallet]];
            let progress =
                wallet.refunds.get(&self.real.transactions[number].id).cloned().unwrap_or_default();
            let real = (progress.total, progress.overdrawn, progress.parts);
            let expected = (model.refunded, model.refunded_overdrawn, model.refunded_parts.clone());
            same("refund progress", real, expected)
                .map_err(|difference| format!("transaction {number}: {difference}"))?;
        }
        Ok(())
    }

    fn compare_wallet(&self, number: usize, id: WalletId) -> Result<(), String> {
        // A read shows what is due as done, whether or not a call has posted it.
        let now = Timestamp::from_millis(self.model.now);
        let (mut model, mut real) = (Cow::Borrowed(&self.model), Cow::Borrowed(&self.real.replayed[&id]));
        if self.model.next_due(number).is_some_and(|due| due <= self.model.now) {
            model.to_mut().settle(number);
            real = Cow::Owned(settled_view(&Arc::new(real.into_owned()), now).as_ref().clone());
        }
        same("balance", real.balance(), model.balance(number))?;
        same("held", real.held(), model.held(number))?;
        same("scheduled", real.scheduled(now), model.scheduled(number))?;
        same("available", real.available(now), model.available(number))?;
        same("free in its lots", real.free_in_lots(now), model.usable_in_lots(number))?;
        let wallet = &model.wallets[number];
        same("overdrawn", real.overdrawn, wallet.overdrawn)?;
        same("version", real.version, wallet.version)?;
        same("entries", real.entries, wallet.entries)?;
        same("overdraft_limit", real.overdraft_limit, wallet.limit)?;
        same("a balance within bounds", credit_core::is_balance(real.balance()), true)
    }

    fn compare_lot(&self, number: usize, id: credit_core::GrantId) -> Result<(), String> {
        let model = &self.model.lots[number];
        let real = self.real.replayed[&self.real.wallet_ids[model.wallet]].lot(id).ok_or("it is gone")?;
        same("remaining", real.remaining, model.remaining)?;
        same("held", real.held, self.model.held_of(number))?;
        same("amount", real.amount, model.amount)?;
        same("priority", real.priority.get(), model.priority)?;
        same("category", real.category == Category::Paid, model.paid)?;
        same("effective_at", real.effective_at.millis(), model.effective_at)?;
        same("expires_at", real.expires_at.map(Timestamp::millis), model.expires_at)?;
        same("successor_of", real.successor_of, model.successor_of.map(|lot| self.real.lot_ids[lot]))?;
        same("transaction", real.transaction, self.real.transactions[model.transaction].id)?;
        let due = model.expires_at.is_some_and(|at| at <= self.model.now);
        let state = if model.voided {
            LotState::Voided
        } else if model.expired || (model.remaining > 0 && due) {
            LotState::Expired
        } else if model.remaining == 0 {
            LotState::Depleted
        } else if model.effective_at > self.model.now {
            LotState::Pending
        } else {
            LotState::Active
        };
        same("state", real.state(Timestamp::from_millis(self.model.now)), state)
    }
}

/// Whether an answer stays with its key.
fn sticks(answer: &Result<Done, Refused>) -> bool {
    !matches!(answer, Err(Refused::Code("not_found" | "validation_failed")))
}

fn name(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Made(record) => format!("made {:?}", record.answer),
        Verdict::Replayed(record) => format!("replayed {:?}", record.answer),
        Verdict::Refused(problem) => format!("refused {problem}"),
    }
}
