//! The real rules, driven as the lane drives them: what is due is posted before a command, a record each; known keys
//! are answered again; commands go through the form in which one process hands them to another; what no command needs is
//! forgotten in between and loaded only as far as `needs` names it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use credit_core::{
    Actor, Amount, AssetCode, GrantId, HoldId, Problem, Timestamp, TransactionId, UserId, WalletId, uuid_v7,
};
use credit_transactions::domain::{Adjust, GiveGrant, PORTABLE, Purchase, Refund, Spend, Transfer};
use credit_wallet::domain::commands::{
    self, CaptureHold, ChangeStatus, CreateHold, CreateWallet, ExtendHold, PatchWallet, ReleaseHold, Sweep,
    VoidGrant,
};
use credit_wallet::domain::moves::Deposit;
use credit_wallet::domain::{
    Answer, Category, Command, Decided, Desk, Direction, Hold, KeyMark, Lot, Note, Place, Record, Refunded,
    StoredRefusal, Transaction, Unpack, Wallet, WalletStatus, World, check_posted, check_wallet, has_due,
    settle,
};

use crate::model::{Call, SUCCESSOR_MILLIS, Status};

/// What became of a call.
pub(crate) enum Verdict {
    Made(Arc<Record>),
    Replayed(Arc<Record>),
    Refused(Problem),
}

/// A book over the real rules, with a second copy that only ever sees records that have been to disk and back.
#[derive(Default)]
pub(crate) struct Real {
    pub(crate) now: i64,
    sequence: u64,
    minted: u64,
    world: Kept,
    /// What has been forgotten and could be loaded.
    lots: HashMap<GrantId, Lot>,
    holds: HashMap<HoldId, Hold>,
    refunds: HashMap<TransactionId, Refunded>,
    /// The second copy.
    pub(crate) replayed: BTreeMap<WalletId, Wallet>,
    /// By their numbers in the model.
    pub(crate) wallet_ids: Vec<WalletId>,
    pub(crate) lot_ids: Vec<GrantId>,
    pub(crate) hold_ids: Vec<HoldId>,
    pub(crate) transactions: Vec<Arc<Transaction>>,
}

#[derive(Default)]
struct Kept {
    wallets: HashMap<WalletId, Arc<Wallet>>,
    claims: HashMap<u128, (Place, Arc<Record>)>,
}

impl World for Kept {
    fn wallet(&self, id: WalletId) -> Option<Arc<Wallet>> {
        self.wallets.get(&id).cloned()
    }
    fn claimed(&self, claim: u128) -> Option<(Place, Arc<Record>)> {
        self.claims.get(&claim).cloned()
    }
}

pub(crate) fn user(number: u8) -> UserId {
    UserId::from_u128(u128::from(number) + 1)
}

pub(crate) fn asset(number: u8) -> AssetCode {
    if number == 0 { AssetCode::CREDIT } else { AssetCode::parse("GOLD").expect("a code") }
}

fn status(status: Status) -> WalletStatus {
    match status {
        Status::Active => WalletStatus::Active,
        Status::Frozen => WalletStatus::Frozen,
        Status::Closed => WalletStatus::Closed,
    }
}

fn units(amount: i64) -> Amount {
    Amount::try_new(amount).expect("the script writes amounts within bounds")
}

fn deposit(
    amount: i64,
    category: Category,
    priority: u8,
    effective_at: Option<i64>,
    expires_at: Option<i64>,
) -> Deposit {
    Deposit {
        priority: serde_json::from_value(priority.into()).expect("a priority"),
        effective_at: effective_at.map(Timestamp::from_millis),
        expires_at: expires_at.map(Timestamp::from_millis),
        ..Deposit::new(amount, category)
    }
}

/// A command as the process that usually writes the book gets it, if it can be handed over.
fn handed_over(command: Arc<dyn Command>) -> Result<Arc<dyn Command>, String> {
    let Some(portable) = command.portable() else { return Ok(command) };
    let (name, packed) = (portable.name(), portable.pack(Vec::new()));
    let packed = packed.ok_or_else(|| format!("{name} cannot be packed"))?;
    let known: Vec<Unpack> = commands::PORTABLE.iter().chain(PORTABLE).copied().collect();
    let unpacked = Unpack::any(&known, name, &packed);
    unpacked.ok_or_else(|| format!("{name} is packed and not unpacked"))
}

impl Real {
    fn wallet_id(&self, number: usize) -> WalletId {
        self.wallet_ids.get(number).copied().unwrap_or(WalletId::from_u128(0xDEAD))
    }

    fn wallet_of(&self, is_it: impl Fn(&Wallet) -> bool) -> WalletId {
        let wallet = self.replayed.values().find(|wallet| is_it(wallet));
        wallet.expect("what the script names exists").id
    }

    fn command(&self, call: &Call) -> Arc<dyn Command> {
        let note = Note::default();
        match call {
            Call::Open { user: whose, asset: of } => {
                Arc::new(CreateWallet { user: user(*whose), asset: asset(*of), metadata: BTreeMap::new() })
            }
            Call::Purchase { wallet, amount, external, expires_at, priority } => Arc::new(Purchase {
                wallet: self.wallet_id(*wallet),
                deposit: deposit(*amount, Category::Paid, *priority, None, *expires_at),
                note: Note { external_id: external.map(|id| format!("payment-{id}")), ..note },
                earlier: external.and_then(|id| {
                    let id = format!("payment-{id}");
                    let made = |made: &&Arc<Transaction>| made.note.external_id.as_ref() == Some(&id);
                    self.transactions.iter().find(made).map(|made| made.id)
                }),
            }),
            Call::Grant { wallet, amount, effective_at, expires_at, priority } => Arc::new(GiveGrant {
                wallet: self.wallet_id(*wallet),
                deposit: deposit(*amount, Category::Promotional, *priority, *effective_at, *expires_at),
                note,
            }),
            Call::Spend { wallet, amount, at_most } => Arc::new(Spend {
                wallet: self.wallet_id(*wallet),
                amount: units(*amount),
                at_most: *at_most,
                note,
            }),
            Call::Transfer { source, destination, amount } => Arc::new(Transfer {
                source: self.wallet_id(*source),
                destination: self.wallet_id(*destination),
                amount: units(*amount),
                note,
            }),
            Call::Adjust { wallet, credit, amount } => Arc::new(Adjust {
                wallet: self.wallet_id(*wallet),
                direction: if *credit { Direction::Credit } else { Direction::Debit },
                amount: units(*amount),
                note,
            }),
            Call::Refund { transaction, amount } => Arc::new(Refund {
                original: Box::new((*self.transactions[*transaction]).clone()),
                amount: amount.map(units),
                successor_seconds: SUCCESSOR_MILLIS / 1000,
                note,
            }),
            Call::Hold { wallet, amount, seconds } => Arc::new(CreateHold {
                wallet: self.wallet_id(*wallet),
                amount: units(*amount),
                expires_in_seconds: *seconds,
                reference: None,
                metadata: BTreeMap::new(),
            }),
            Call::Capture { hold, amount, last } => {
                let hold = self.hold_ids[*hold];
                let wallet = self.wallet_of(|wallet| wallet.holds.contains_key(&hold));
                Arc::new(CaptureHold { wallet, hold, amount: amount.map(units), last: *last })
            }
            Call::Release { hold } => {
                let hold = self.hold_ids[*hold];
                Arc::new(ReleaseHold {
                    wallet: self.wallet_of(|wallet| wallet.holds.contains_key(&hold)),
                    hold,
                })
            }
            Call::Extend { hold, seconds } => {
                let hold = self.hold_ids[*hold];
                let wallet = self.wallet_of(|wallet| wallet.holds.contains_key(&hold));
                Arc::new(ExtendHold { wallet, hold, expires_in_seconds: *seconds })
            }
            Call::Void { lot } => {
                let grant = self.lot_ids[*lot];
                Arc::new(VoidGrant { wallet: self.wallet_of(|wallet| wallet.lot(grant).is_some()), grant })
            }
            Call::Limit { wallet, limit } => Arc::new(PatchWallet {
                wallet: Some(self.wallet_id(*wallet)),
                overdraft_limit: Some(*limit),
                ..PatchWallet::default()
            }),
            Call::Become { wallet, status: wanted } => {
                Arc::new(ChangeStatus { wallet: self.wallet_id(*wallet), status: status(*wanted) })
            }
            Call::Sweep { wallet } => Arc::new(Sweep(self.wallet_id(*wallet))),
        }
    }

    /// One call, as the lane takes it. Answers what became of it and the records that it left.
    pub(crate) fn call(
        &mut self,
        call: &Call,
        key: Option<KeyMark>,
        dry: bool,
    ) -> Result<(Verdict, Vec<Arc<Record>>), String> {
        if let Some(key) = key
            && let Some((_, record)) = self.world.claimed(key.claim)
        {
            return Ok((again(&record, key), Vec::new()));
        }
        let command = handed_over(self.command(call))?;
        self.load(command.as_ref());
        let mut left = Vec::new();
        for wallet in command.needs().wallets {
            let due = self.world.wallet(wallet);
            if !dry && due.is_some_and(|due| has_due(&due, Timestamp::from_millis(self.now))) {
                let decided = self.decide(&Sweep(wallet), false)?.map_err(|problem| problem.to_string())?;
                left.push(self.keep(decided)?);
            }
        }
        let verdict = match self.decide(command.as_ref(), dry)? {
            Ok(decided) if dry => Verdict::Made(Arc::new(decided.record)),
            Ok(mut decided) => {
                decided.record.key = key;
                let is_kept = key.is_some() || !decided.record.changes.is_empty();
                let record = if is_kept { self.keep(decided)? } else { Arc::new(decided.record) };
                left.push(record.clone());
                Verdict::Made(record)
            }
            Err(problem) => {
                if let Some(key) = key.filter(|_| problem.code().is_outcome()) {
                    let record = Record::refused(key, StoredRefusal::of(&problem, "first"));
                    self.keep(Decided { record, wallets: Vec::new() })?;
                }
                Verdict::Refused(problem)
            }
        };
        self.forget();
        Ok((verdict, left))
    }

    fn decide(&mut self, command: &dyn Command, dry: bool) -> Result<Result<Decided, Problem>, String> {
        let minted = &mut self.minted;
        let mut mint = || {
            *minted += 1;
            uuid_v7(1_767_225_600_000 + (*minted >> 12), u16::try_from(*minted & 0xFFF).expect("12 bits"), 0)
        };
        let now = Timestamp::from_millis(self.now);
        let mut desk = Desk::new(&self.world, &mut mint, now, self.sequence + 1, Actor::System);
        for wallet in command.needs().wallets.into_iter().filter(|_| dry) {
            if desk.wallet(wallet).is_ok() {
                settle(&mut desk, wallet).map_err(|problem| problem.to_string())?;
            }
        }
        let answer = match command.decide(&mut desk) {
            Ok(answer) => answer,
            Err(problem) => return Ok(Err(problem)),
        };
        let decided = desk.finish(answer);
        check_posted(&decided.record, &decided.wallets, now).map_err(|broken| broken.to_string())?;
        Ok(Ok(decided))
    }

    /// Takes a record as the next group: in memory as decided, in the second copy as read back from its bytes.
    fn keep(&mut self, decided: Decided) -> Result<Arc<Record>, String> {
        self.sequence += 1;
        let bytes = postcard::to_allocvec(&decided.record).map_err(|error| error.to_string())?;
        let read: Record = postcard::from_bytes(&bytes).map_err(|error| error.to_string())?;
        if read != decided.record {
            return Err(format!("read back from its bytes, {:?} is {read:?}", decided.record));
        }
        let now = Timestamp::from_millis(self.now);
        for change in &read.changes {
            if let Some(opened) = Wallet::from_opening(change, now) {
                self.wallet_ids.push(opened.id);
                self.replayed.insert(opened.id, opened);
            }
            let wallet = self.replayed.get_mut(&change.wallet).expect("opened before");
            wallet.apply(&read, change, self.sequence, now);
            check_wallet(wallet).map_err(|broken| format!("after the replay: {broken}"))?;
        }
        for wallet in decided.wallets {
            let mut expected = self.replayed[&wallet.id].clone();
            let mut decided = wallet.clone();
            self.world.wallets.insert(wallet.id, Arc::new(wallet));
            decided.forget_shown(0);
            expected.forget_shown(self.sequence - 1);
            decided.forget_shown(self.sequence - 1);
            if decided != expected {
                return Err(format!("decided {decided:?}\nreplayed {expected:?}"));
            }
        }
        let record = Arc::new(decided.record);
        for claim in record.all_claims() {
            let place = Place { sequence: self.sequence, index: 0 };
            self.world.claims.entry(claim).or_insert((place, record.clone()));
        }
        self.transactions.extend(record.posted.iter().cloned().map(Arc::new));
        Ok(record)
    }

    /// Brings back what a command says that it needs, as the ledger does.
    fn load(&mut self, command: &dyn Command) {
        let needs = command.needs();
        for (id, grant) in needs.lots {
            if let (Some(wallet), Some(lot)) = (self.world.wallets.get_mut(&id), self.lots.get(&grant))
                && wallet.lot(grant).is_none()
            {
                Arc::make_mut(wallet).put_lot(lot.clone());
            }
        }
        for (id, hold) in needs.holds {
            if let (Some(wallet), Some(kept)) = (self.world.wallets.get_mut(&id), self.holds.get(&hold)) {
                Arc::make_mut(wallet).holds.entry(hold).or_insert(kept.clone());
            }
        }
        for (id, transaction) in needs.refunds {
            if let (Some(wallet), Some(kept)) =
                (self.world.wallets.get_mut(&id), self.refunds.get(&transaction))
            {
                Arc::make_mut(wallet).refunds.insert(transaction, kept.clone());
            }
        }
    }

    /// Forgets everything that the views would show: only live lots and active holds stay with a wallet.
    fn forget(&mut self) {
        for wallet in self.world.wallets.values_mut() {
            self.lots.extend(wallet.spent_lots.iter().map(|(id, lot)| (*id, lot.clone())));
            self.lots.extend(wallet.lots.iter().map(|lot| (lot.id, lot.clone())));
            self.holds.extend(wallet.holds.iter().map(|(id, hold)| (*id, hold.clone())));
            self.refunds.extend(wallet.refunds.iter().map(|(id, refunded)| (*id, refunded.clone())));
            Arc::make_mut(wallet).forget_shown(u64::MAX);
        }
    }

    /// The record that claimed something, for answers that name a place.
    pub(crate) fn at(&self, place: Place) -> Option<Arc<Record>> {
        self.world.claims.values().find(|(kept, _)| *kept == place).map(|(_, record)| record.clone())
    }

    /// The amnesic copy says the same of every wallet as the second one.
    pub(crate) fn check_copies(&self) -> Result<(), String> {
        for (id, replayed) in &self.replayed {
            let mut expected = replayed.clone();
            expected.forget_shown(u64::MAX);
            let kept = &self.world.wallets[id];
            if **kept != expected {
                return Err(format!("in memory {kept:?}\nreplayed {expected:?}"));
            }
        }
        Ok(())
    }
}

fn again(record: &Arc<Record>, key: KeyMark) -> Verdict {
    match (&record.answer, record.key) {
        (Answer::Refused(refusal), Some(mark)) if mark == key => Verdict::Refused(refusal.replay()),
        (_, Some(mark)) if mark == key => Verdict::Replayed(record.clone()),
        _ => Verdict::Refused(Problem::new(credit_core::Code::IdempotencyKeyReused)),
    }
}
