//! What each kind of call does, as the contract says it.

use credit_core::MAX_AMOUNT;

use super::{Answer, Done, Hold, HoldState, Lot, Model, SUCCESSOR_MILLIS, Status, Wallet, refuse};

impl Model {
    pub(super) fn open(&mut self, user: u8, asset: u8) -> Answer {
        if self.wallets.iter().any(|wallet| wallet.user == user && wallet.asset == asset) {
            return refuse("wallet_exists");
        }
        let (status, limit, overdrawn) = (Status::Active, 0, 0);
        self.wallets.push(Wallet { user, asset, status, limit, overdrawn, version: 1, entries: 0 });
        Ok(Done::Wallet(self.wallets.len() - 1))
    }

    pub(super) fn purchase(
        &mut self,
        wallet: usize,
        amount: i64,
        external: Option<u8>,
        expires_at: Option<i64>,
        priority: u8,
    ) -> Answer {
        if let Some((_, first)) = self.external.iter().find(|(id, _)| Some(*id) == external) {
            let made = &self.transactions[*first];
            if made.wallet != wallet || made.amount != amount {
                return refuse("external_id_reused");
            }
            return Ok(Done::Earlier { transaction: *first, refunded: made.refunded });
        }
        if expires_at.is_some_and(|at| at <= self.now) {
            return refuse("validation_failed");
        }
        self.moving(wallet)?;
        self.bump(wallet);
        let lot = Lot { priority, expires_at, ..self.lot(wallet, amount, true) };
        let lot = self.credit(lot)?;
        self.post("purchase", true, wallet, amount).credited = vec![(lot, amount)];
        let made = self.transactions.len() - 1;
        self.external.extend(external.map(|id| (id, made)));
        Ok(Done::Transaction(made))
    }

    pub(super) fn grant(
        &mut self,
        wallet: usize,
        amount: i64,
        effective_at: Option<i64>,
        expires_at: Option<i64>,
        priority: u8,
    ) -> Answer {
        if expires_at.is_some_and(|at| at <= self.now) {
            return refuse("validation_failed");
        }
        self.moving(wallet)?;
        self.bump(wallet);
        let effective_at = effective_at.unwrap_or(self.now);
        let lot = Lot { priority, effective_at, expires_at, ..self.lot(wallet, amount, false) };
        let lot = self.credit(lot)?;
        self.post("grant", true, wallet, amount).credited = vec![(lot, amount)];
        Ok(Done::Transaction(self.transactions.len() - 1))
    }

    pub(super) fn spend(&mut self, wallet: usize, amount: i64, at_most: bool) -> Answer {
        self.moving(wallet)?;
        let amount = if at_most {
            let there = self.usable_in_lots(wallet).min(amount);
            if there == 0 {
                return self.insufficient(wallet, amount, 0);
            }
            there
        } else {
            let available = self.available(wallet).max(0);
            if amount > available {
                return self.insufficient(wallet, amount, available);
            }
            amount
        };
        self.bump(wallet);
        let plan = self.plan(wallet, amount);
        let drawn: i64 = plan.iter().map(|(_, part)| part).sum();
        self.take(&plan);
        self.wallets[wallet].overdrawn += amount - drawn;
        let posted = self.post("spend", false, wallet, amount);
        posted.taken = plan;
        posted.overdrawn = amount - drawn;
        Ok(Done::Transaction(self.transactions.len() - 1))
    }

    pub(super) fn transfer(&mut self, source: usize, destination: usize, amount: i64) -> Answer {
        self.moving(source)?;
        self.moving(destination)?;
        let there = self.usable_in_lots(source);
        if amount > there {
            return self.insufficient(source, amount, there);
        }
        if source == destination {
            return refuse("same_wallet");
        }
        if self.wallets[source].asset != self.wallets[destination].asset {
            return refuse("asset_mismatch");
        }
        self.bump(source);
        self.bump(destination);
        let plan = self.plan(source, amount);
        self.take(&plan);
        let mut credited = Vec::new();
        for (lot, part) in &plan {
            let from = self.lots[*lot].clone();
            let like = Lot {
                priority: from.priority,
                effective_at: from.effective_at,
                expires_at: from.expires_at,
                ..self.lot(destination, *part, from.paid)
            };
            credited.push((self.credit(like)?, *part));
        }
        self.wallets[destination].entries += 1;
        let after = (self.balance(destination), self.wallets[destination].entries);
        let posted = self.post("transfer", false, source, amount);
        posted.taken = plan;
        posted.credited = credited;
        posted.destination = Some(destination);
        posted.destination_after = Some(after);
        Ok(Done::Transaction(self.transactions.len() - 1))
    }

    pub(super) fn adjust(&mut self, wallet: usize, credit: bool, amount: i64) -> Answer {
        self.moving(wallet)?;
        let there = self.usable_in_lots(wallet);
        if !credit && amount > there {
            return self.insufficient(wallet, amount, there);
        }
        self.bump(wallet);
        if credit {
            let lot = self.credit(self.lot(wallet, amount, false))?;
            self.post("adjustment", true, wallet, amount).credited = vec![(lot, amount)];
        } else {
            let plan = self.plan(wallet, amount);
            self.take(&plan);
            self.post("adjustment", false, wallet, amount).taken = plan;
        }
        Ok(Done::Transaction(self.transactions.len() - 1))
    }

    pub(super) fn refund(&mut self, original: usize, amount: Option<i64>) -> Answer {
        let first = self.transactions[original].clone();
        let wallet = first.wallet;
        self.moving(wallet)?;
        if !["purchase", "spend", "capture"].contains(&first.kind) {
            return refuse("not_refundable");
        }
        let remains = first.amount - first.refunded;
        if remains == 0 || amount.is_some_and(|amount| amount > remains) {
            return refuse("refund_exceeds_original");
        }
        let amount = if first.kind == "purchase" {
            let free = self.free(first.credited[0].0);
            let amount = amount.unwrap_or(free.min(remains));
            if amount == 0 || amount > free {
                return refuse("refund_exceeds_remaining");
            }
            amount
        } else {
            amount.unwrap_or(remains)
        };
        self.bump(wallet);
        let (mut taken, mut credited, mut repaid) = (Vec::new(), Vec::new(), 0);
        if first.kind == "purchase" {
            let lot = first.credited[0].0;
            self.lots[lot].remaining -= amount;
            taken.push((lot, amount));
            if self.available(wallet) < 0 {
                return refuse("refund_exceeds_remaining");
            }
        } else {
            if self.balance(wallet) + amount > MAX_AMOUNT {
                return refuse("balance_overflow");
            }
            let mut left = amount;
            let beyond = left.min(first.overdrawn - first.refunded_overdrawn);
            if beyond > 0 {
                repaid = beyond.min(self.wallets[wallet].overdrawn);
                self.wallets[wallet].overdrawn -= repaid;
                if beyond > repaid {
                    let lot = self.credit(self.lot(wallet, beyond - repaid, true))?;
                    credited.push((lot, beyond - repaid));
                }
                left -= beyond;
                self.transactions[original].refunded_overdrawn += beyond;
            }
            self.transactions[original].refunded_parts.resize(first.taken.len(), 0);
            for place in (0..first.taken.len()).rev() {
                let (lot, was_taken) = first.taken[place];
                let part = left.min(was_taken - self.transactions[original].refunded_parts[place]);
                if part > 0 {
                    credited.push((self.put_back(lot, part), part));
                    self.transactions[original].refunded_parts[place] += part;
                    left -= part;
                }
            }
            assert_eq!(left, 0, "the parts of a debit are the whole of it");
        }
        self.transactions[original].refunded += amount;
        let posted = self.post("refund", first.kind != "purchase", wallet, amount);
        posted.taken = taken;
        posted.credited = credited;
        posted.overdrawn = repaid;
        posted.refund_of = Some(original);
        Ok(Done::Transaction(self.transactions.len() - 1))
    }

    pub(super) fn put_back(&mut self, lot: usize, part: i64) -> usize {
        let from = self.lots[lot].clone();
        if !from.voided && !from.expired && from.expires_at.is_none_or(|at| at > self.now) {
            self.lots[lot].remaining += part;
            return lot;
        }
        let expires_at = Some(self.now + SUCCESSOR_MILLIS);
        let successor_of = Some(lot);
        let like = self.lot(from.wallet, part, from.paid);
        self.lots.push(Lot { priority: from.priority, expires_at, successor_of, ..like });
        self.lots.len() - 1
    }

    pub(super) fn hold(&mut self, wallet: usize, amount: i64, seconds: i64) -> Answer {
        self.moving(wallet)?;
        let there = self.usable_in_lots(wallet);
        if amount > there {
            return self.insufficient(wallet, amount, there);
        }
        self.bump(wallet);
        let parts = self.plan(wallet, amount).into_iter().map(|(lot, part)| (lot, part, part)).collect();
        self.holds.push(Hold {
            wallet,
            amount,
            captured: 0,
            state: HoldState::Active,
            expires_at: self.now + seconds * 1000,
            parts,
            version: 0,
            wallet_version: 0,
        });
        self.touch_hold(self.holds.len() - 1);
        Ok(Done::Hold(self.holds.len() - 1))
    }

    pub(super) fn capture(&mut self, hold: usize, amount: Option<i64>, last: bool) -> Answer {
        let wallet = self.active_hold(hold)?;
        let left: i64 = self.holds[hold].parts.iter().map(|(_, _, left)| left).sum();
        let amount = amount.unwrap_or(left);
        if amount > left {
            return refuse("capture_exceeds_hold");
        }
        self.bump(wallet);
        let mut wanted = amount;
        let mut taken = Vec::new();
        for part in 0..self.holds[hold].parts.len() {
            let (lot, _, left) = self.holds[hold].parts[part];
            let captured = wanted.min(left);
            if captured > 0 {
                self.holds[hold].parts[part].2 -= captured;
                self.lots[lot].remaining -= captured;
                taken.push((lot, captured));
                wanted -= captured;
            }
        }
        self.holds[hold].captured += amount;
        let posted = self.post("capture", false, wallet, amount);
        posted.taken = taken;
        posted.hold = Some(hold);
        let made = self.transactions.len() - 1;
        if last || amount == left {
            self.give_back(hold, HoldState::Captured);
        } else {
            self.touch_hold(hold);
        }
        Ok(Done::Transaction(made))
    }

    pub(super) fn void(&mut self, lot: usize) -> Answer {
        let wallet = self.lots[lot].wallet;
        self.moving(wallet)?;
        let free = self.free(lot);
        if free == 0 {
            return refuse("grant_not_active");
        }
        self.bump(wallet);
        self.lots[lot].remaining -= free;
        self.lots[lot].voided = true;
        if self.available(wallet) < 0 {
            return refuse("overdraft_in_use");
        }
        self.post("void", false, wallet, free).taken = vec![(lot, free)];
        Ok(Done::Transaction(self.transactions.len() - 1))
    }

    pub(super) fn limit(&mut self, wallet: usize, limit: i64) -> Answer {
        match self.wallets.get(wallet).map(|wallet| wallet.status) {
            None => return refuse("not_found"),
            Some(Status::Closed) => return refuse("wallet_closed"),
            Some(_) => {}
        }
        let (present, overdrawn) = (self.wallets[wallet].limit, self.wallets[wallet].overdrawn);
        self.wallets[wallet].limit = limit;
        // Lots that make up for it now may expire before anything is paid in.
        if self.available(wallet) < 0 || (limit < present && limit < overdrawn) {
            return refuse("overdraft_in_use");
        }
        self.bump(wallet);
        Ok(Done::Wallet(wallet))
    }

    pub(super) fn become_status(&mut self, wallet: usize, status: Status) -> Answer {
        let Some(is) = self.wallets.get(wallet).map(|wallet| wallet.status) else {
            return refuse("not_found");
        };
        if is == status {
            return Ok(Done::Wallet(wallet));
        }
        if is == Status::Closed {
            return refuse("wallet_closed");
        }
        let has_lots = self.lots.iter().any(|lot| lot.wallet == wallet && lot.remaining > 0);
        if status == Status::Closed && (has_lots || self.wallets[wallet].overdrawn > 0) {
            return refuse("wallet_not_empty");
        }
        self.wallets[wallet].status = status;
        self.bump(wallet);
        Ok(Done::Wallet(wallet))
    }
}
