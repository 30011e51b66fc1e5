//! The contract's rules once more, as plainly as they can be written: vectors, loops, everything recomputed. Written
//! from the words of the contract and not from the code; slow, and obviously right.

mod kinds;

use credit_core::MAX_AMOUNT;

/// How long the successor of an ended lot lives, in milliseconds.
pub(crate) const SUCCESSOR_MILLIS: i64 = 30 * 24 * 3600 * 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Status {
    Active,
    Frozen,
    Closed,
}

/// A call, by the numbers of wallets, lots, holds and transactions in the order in which they came to be. Times are
/// absolute, in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Call {
    Open { user: u8, asset: u8 },
    Purchase { wallet: usize, amount: i64, external: Option<u8>, expires_at: Option<i64>, priority: u8 },
    Grant { wallet: usize, amount: i64, effective_at: Option<i64>, expires_at: Option<i64>, priority: u8 },
    Spend { wallet: usize, amount: i64, at_most: bool },
    Transfer { source: usize, destination: usize, amount: i64 },
    Adjust { wallet: usize, credit: bool, amount: i64 },
    Refund { transaction: usize, amount: Option<i64> },
    Hold { wallet: usize, amount: i64, seconds: i64 },
    Capture { hold: usize, amount: Option<i64>, last: bool },
    Release { hold: usize },
    Extend { hold: usize, seconds: i64 },
    Void { lot: usize },
    Limit { wallet: usize, limit: i64 },
    Become { wallet: usize, status: Status },
    Sweep { wallet: usize },
}

#[derive(Debug, Clone)]
pub(crate) struct Wallet {
    pub(crate) user: u8,
    pub(crate) asset: u8,
    pub(crate) status: Status,
    pub(crate) limit: i64,
    pub(crate) overdrawn: i64,
    pub(crate) version: u64,
    pub(crate) entries: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct Lot {
    pub(crate) wallet: usize,
    pub(crate) amount: i64,
    pub(crate) remaining: i64,
    pub(crate) paid: bool,
    pub(crate) priority: u8,
    pub(crate) effective_at: i64,
    pub(crate) expires_at: Option<i64>,
    pub(crate) expired: bool,
    pub(crate) voided: bool,
    pub(crate) successor_of: Option<usize>,
    pub(crate) transaction: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HoldState {
    Active,
    Captured,
    Released,
    Expired,
}

#[derive(Debug, Clone)]
pub(crate) struct Hold {
    pub(crate) wallet: usize,
    pub(crate) amount: i64,
    pub(crate) captured: i64,
    pub(crate) state: HoldState,
    pub(crate) expires_at: i64,
    /// Lot, reserved, still reserved.
    pub(crate) parts: Vec<(usize, i64, i64)>,
    pub(crate) version: u64,
    pub(crate) wallet_version: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct Transaction {
    pub(crate) kind: &'static str,
    pub(crate) amount: i64,
    pub(crate) wallet: usize,
    pub(crate) destination: Option<usize>,
    pub(crate) wallet_version: u64,
    pub(crate) balance_after: i64,
    pub(crate) sequence: u64,
    pub(crate) destination_after: Option<(i64, u64)>,
    pub(crate) taken: Vec<(usize, i64)>,
    pub(crate) credited: Vec<(usize, i64)>,
    pub(crate) overdrawn: i64,
    pub(crate) refund_of: Option<usize>,
    pub(crate) hold: Option<usize>,
    pub(crate) is_credit: bool,
    pub(crate) refunded: i64,
    pub(crate) refunded_overdrawn: i64,
    pub(crate) refunded_parts: Vec<i64>,
}

/// What a call answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Done {
    Nothing,
    Wallet(usize),
    Transaction(usize),
    Hold(usize),
    Earlier { transaction: usize, refunded: i64 },
}

/// Why a call is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refused {
    Code(&'static str),
    Insufficient { required: i64, available: i64, held: i64, next_effective_at: Option<i64> },
}

impl Refused {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Code(code) => code,
            Self::Insufficient { .. } => "insufficient_funds",
        }
    }
}

type Answer = Result<Done, Refused>;

fn refuse<T>(code: &'static str) -> Result<T, Refused> {
    Err(Refused::Code(code))
}

/// A book.
#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    pub(crate) now: i64,
    pub(crate) wallets: Vec<Wallet>,
    pub(crate) lots: Vec<Lot>,
    pub(crate) holds: Vec<Hold>,
    pub(crate) transactions: Vec<Transaction>,
    /// External ids with the purchase that they made.
    pub(crate) external: Vec<(u8, usize)>,
}

impl Model {
    pub(crate) fn balance(&self, wallet: usize) -> i64 {
        let lots: i64 = self.lots.iter().filter(|lot| lot.wallet == wallet).map(|lot| lot.remaining).sum();
        lots - self.wallets[wallet].overdrawn
    }

    pub(crate) fn held(&self, wallet: usize) -> i64 {
        let mut held = 0;
        for hold in self.holds.iter().filter(|hold| hold.wallet == wallet) {
            for (_, _, left) in &hold.parts {
                held += left;
            }
        }
        held
    }

    pub(crate) fn held_of(&self, lot: usize) -> i64 {
        let mut held = 0;
        for hold in &self.holds {
            for (part, _, left) in &hold.parts {
                if *part == lot {
                    held += left;
                }
            }
        }
        held
    }

    /// What can still be used of a lot, now or later.
    pub(crate) fn free(&self, lot: usize) -> i64 {
        let kept = &self.lots[lot];
        let ended = kept.voided || kept.expired || kept.expires_at.is_some_and(|at| at <= self.now);
        if ended { 0 } else { kept.remaining - self.held_of(lot) }
    }

    pub(crate) fn scheduled(&self, wallet: usize) -> i64 {
        let pending =
            |lot: &usize| self.lots[*lot].wallet == wallet && self.lots[*lot].effective_at > self.now;
        (0..self.lots.len()).filter(pending).map(|lot| self.free(lot)).sum()
    }

    pub(crate) fn available(&self, wallet: usize) -> i64 {
        self.balance(wallet) - self.held(wallet) - self.scheduled(wallet) + self.wallets[wallet].limit
    }

    /// Lots that a debit may draw from, in draw order.
    fn drawable(&self, wallet: usize) -> Vec<usize> {
        let mut lots = Vec::new();
        for lot in 0..self.lots.len() {
            let kept = &self.lots[lot];
            if kept.wallet == wallet && kept.effective_at <= self.now && self.free(lot) > 0 {
                lots.push(lot);
            }
        }
        lots.sort_by_key(|lot| {
            let kept = &self.lots[*lot];
            (kept.priority, kept.expires_at.unwrap_or(i64::MAX), kept.paid, kept.effective_at, *lot)
        });
        lots
    }

    /// What the lots alone can give without bringing `available` below zero.
    pub(crate) fn usable_in_lots(&self, wallet: usize) -> i64 {
        let free: i64 = self.drawable(wallet).into_iter().map(|lot| self.free(lot)).sum();
        free.min(self.available(wallet)).max(0)
    }

    fn next_effective_at(&self, wallet: usize) -> Option<i64> {
        let lots = 0..self.lots.len();
        lots.filter(|lot| self.lots[*lot].wallet == wallet && self.free(*lot) > 0)
            .map(|lot| self.lots[lot].effective_at)
            .filter(|at| *at > self.now)
            .min()
    }

    fn insufficient<T>(&self, wallet: usize, required: i64, available: i64) -> Result<T, Refused> {
        Err(Refused::Insufficient {
            required,
            available,
            held: self.held(wallet),
            next_effective_at: self.next_effective_at(wallet),
        })
    }

    /// Which lots give how much.
    fn plan(&self, wallet: usize, amount: i64) -> Vec<(usize, i64)> {
        let mut left = amount;
        let mut plan = Vec::new();
        for lot in self.drawable(wallet) {
            let part = left.min(self.free(lot));
            if part > 0 {
                plan.push((lot, part));
                left -= part;
            }
        }
        plan
    }

    fn take(&mut self, plan: &[(usize, i64)]) {
        for (lot, part) in plan {
            self.lots[*lot].remaining -= part;
        }
    }

    fn moving(&self, wallet: usize) -> Result<(), Refused> {
        match self.wallets.get(wallet).map(|wallet| wallet.status) {
            None => refuse("not_found"),
            Some(Status::Active) => Ok(()),
            Some(Status::Frozen) => refuse("wallet_frozen"),
            Some(Status::Closed) => refuse("wallet_closed"),
        }
    }

    fn bump(&mut self, wallet: usize) {
        self.wallets[wallet].version += 1;
    }

    fn post(&mut self, kind: &'static str, is_credit: bool, wallet: usize, amount: i64) -> &mut Transaction {
        self.wallets[wallet].entries += 1;
        self.transactions.push(Transaction {
            kind,
            amount,
            wallet,
            destination: None,
            wallet_version: self.wallets[wallet].version,
            balance_after: self.balance(wallet),
            sequence: self.wallets[wallet].entries,
            destination_after: None,
            taken: Vec::new(),
            credited: Vec::new(),
            overdrawn: 0,
            refund_of: None,
            hold: None,
            is_credit,
            refunded: 0,
            refunded_overdrawn: 0,
            refunded_parts: Vec::new(),
        });
        self.transactions.last_mut().expect("just pushed")
    }

    /// A lot comes in; if it is effective it repays what is overdrawn first.
    fn credit(&mut self, mut lot: Lot) -> Result<usize, Refused> {
        let wallet = lot.wallet;
        if self.balance(wallet) + lot.amount > MAX_AMOUNT {
            return refuse("balance_overflow");
        }
        let repaid =
            if lot.effective_at <= self.now { lot.amount.min(self.wallets[wallet].overdrawn) } else { 0 };
        self.wallets[wallet].overdrawn -= repaid;
        lot.remaining = lot.amount - repaid;
        self.lots.push(lot);
        Ok(self.lots.len() - 1)
    }

    fn lot(&self, wallet: usize, amount: i64, paid: bool) -> Lot {
        Lot {
            wallet,
            amount,
            remaining: amount,
            paid,
            priority: 50,
            effective_at: self.now,
            expires_at: None,
            expired: false,
            voided: false,
            successor_of: None,
            transaction: self.transactions.len(),
        }
    }

    /// The instant of the next hold or lot of a wallet whose time is over.
    pub(crate) fn next_due(&self, wallet: usize) -> Option<i64> {
        let mut due = Vec::new();
        for hold in &self.holds {
            if hold.wallet == wallet && hold.state == HoldState::Active {
                due.push(hold.expires_at);
            }
        }
        for lot in &self.lots {
            if lot.wallet == wallet && !lot.expired && lot.remaining > 0 {
                due.extend(lot.expires_at);
            }
        }
        due.into_iter().min()
    }

    /// Everything that is due of a wallet happens, in the order of time, a hold before a lot of the same instant.
    pub(crate) fn settle(&mut self, wallet: usize) {
        while let Some(at) = self.next_due(wallet).filter(|at| *at <= self.now) {
            self.bump(wallet);
            let hold = self.holds.iter().position(|hold| {
                hold.wallet == wallet && hold.state == HoldState::Active && hold.expires_at == at
            });
            if let Some(hold) = hold {
                self.give_back(hold, HoldState::Expired);
                continue;
            }
            let lot = self
                .lots
                .iter()
                .position(|lot| {
                    lot.wallet == wallet && !lot.expired && lot.remaining > 0 && lot.expires_at == Some(at)
                })
                .expect("something is due at that instant");
            let kept = self.held_of(lot);
            let gone = self.lots[lot].remaining - kept;
            self.lots[lot].expired = true;
            self.lots[lot].remaining = kept;
            if gone > 0 {
                self.post("expiry", false, wallet, gone).taken = vec![(lot, gone)];
            }
        }
    }

    /// What a hold still keeps returns to its lots; to an ended lot it does not.
    fn give_back(&mut self, hold: usize, state: HoldState) {
        let wallet = self.holds[hold].wallet;
        self.holds[hold].state = state;
        for part in 0..self.holds[hold].parts.len() {
            let (lot, _, left) = self.holds[hold].parts[part];
            if left == 0 {
                continue;
            }
            self.holds[hold].parts[part].2 = 0;
            let kind = match &self.lots[lot] {
                lot if lot.voided => "void",
                lot if lot.expired => "expiry",
                _ => continue,
            };
            self.lots[lot].remaining -= left;
            let posted = self.post(kind, false, wallet, left);
            posted.taken = vec![(lot, left)];
            posted.hold = Some(hold);
        }
        self.touch_hold(hold);
    }

    fn touch_hold(&mut self, hold: usize) {
        let version = self.wallets[self.holds[hold].wallet].version;
        self.holds[hold].version += 1;
        self.holds[hold].wallet_version = version;
    }

    fn active_hold(&self, hold: usize) -> Result<usize, Refused> {
        let wallet = self.holds[hold].wallet;
        self.moving(wallet)?;
        if self.holds[hold].state == HoldState::Active { Ok(wallet) } else { refuse("hold_not_active") }
    }

    /// The wallets whose due things happen before a call.
    pub(crate) fn touched(&self, call: &Call) -> Vec<usize> {
        let all = match call {
            Call::Open { .. } => vec![],
            Call::Purchase { wallet, .. }
            | Call::Grant { wallet, .. }
            | Call::Spend { wallet, .. }
            | Call::Adjust { wallet, .. }
            | Call::Hold { wallet, .. }
            | Call::Limit { wallet, .. }
            | Call::Become { wallet, .. }
            | Call::Sweep { wallet } => vec![*wallet],
            Call::Transfer { source, destination, .. } => vec![*source, *destination],
            Call::Refund { transaction, .. } => vec![self.transactions[*transaction].wallet],
            Call::Capture { hold, .. } | Call::Release { hold } | Call::Extend { hold, .. } => {
                vec![self.holds[*hold].wallet]
            }
            Call::Void { lot } => vec![self.lots[*lot].wallet],
        };
        all.into_iter().filter(|wallet| *wallet < self.wallets.len()).collect()
    }

    /// One call, all of it or nothing.
    pub(crate) fn call(&mut self, call: &Call) -> Answer {
        let mut trial = self.clone();
        let answer = trial.attempt(call)?;
        *self = trial;
        Ok(answer)
    }

    fn attempt(&mut self, call: &Call) -> Answer {
        match call {
            Call::Open { user, asset } => self.open(*user, *asset),
            Call::Purchase { wallet, amount, external, expires_at, priority } => {
                self.purchase(*wallet, *amount, *external, *expires_at, *priority)
            }
            Call::Grant { wallet, amount, effective_at, expires_at, priority } => {
                self.grant(*wallet, *amount, *effective_at, *expires_at, *priority)
            }
            Call::Spend { wallet, amount, at_most } => self.spend(*wallet, *amount, *at_most),
            Call::Transfer { source, destination, amount } => self.transfer(*source, *destination, *amount),
            Call::Adjust { wallet, credit, amount } => self.adjust(*wallet, *credit, *amount),
            Call::Refund { transaction, amount } => self.refund(*transaction, *amount),
            Call::Hold { wallet, amount, seconds } => self.hold(*wallet, *amount, *seconds),
            Call::Capture { hold, amount, last } => self.capture(*hold, *amount, *last),
            Call::Release { hold } => {
                let wallet = self.active_hold(*hold)?;
                self.bump(wallet);
                self.give_back(*hold, HoldState::Released);
                Ok(Done::Hold(*hold))
            }
            Call::Extend { hold, seconds } => {
                let wallet = self.active_hold(*hold)?;
                self.bump(wallet);
                self.holds[*hold].expires_at = self.now + seconds * 1000;
                self.touch_hold(*hold);
                Ok(Done::Hold(*hold))
            }
            Call::Void { lot } => self.void(*lot),
            Call::Limit { wallet, limit } => self.limit(*wallet, *limit),
            Call::Become { wallet, status } => self.become_status(*wallet, *status),
            Call::Sweep { wallet } => {
                if *wallet < self.wallets.len() {
                    Ok(Done::Nothing)
                } else {
                    refuse("not_found")
                }
            }
        }
    }
}
