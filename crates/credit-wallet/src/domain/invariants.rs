//! What must hold of every wallet and every posting: asserted before the append and after the replay.

use credit_core::{GrantId, Timestamp, WalletId, is_balance};
use std::collections::BTreeMap;

use super::record::{Answer, Record};
use super::transaction::{Direction, Transaction};
use super::wallet::Wallet;

/// A promise of the ledger that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} of {whose} does not hold")]
pub struct Broken {
    /// Which promise.
    pub what: &'static str,
    /// Of what.
    pub whose: String,
}

#[expect(clippy::needless_pass_by_value, reason = "ids are copied, and calls read better without `&`")]
fn hold_true(true_so: bool, what: &'static str, whose: impl ToString) -> Result<(), Broken> {
    if true_so { Ok(()) } else { Err(Broken { what, whose: whose.to_string() }) }
}

/// Checks a wallet: each lot within its bounds, in draw order; what lots say is held is what active holds keep; nothing
/// overdrawn below zero; the balance within bounds.
pub fn check_wallet(wallet: &Wallet) -> Result<(), Broken> {
    let id = wallet.id;
    for lot in wallet.lots.iter().chain(wallet.spent_lots.values()) {
        let bounds = 0 <= lot.held && lot.held <= lot.remaining && lot.remaining <= lot.amount;
        hold_true(bounds, "0 <= held <= remaining <= amount", lot.id)?;
        hold_true(
            !(lot.expired || lot.voided) || lot.remaining == lot.held,
            "an ended lot keeps only what is held",
            lot.id,
        )?;
    }
    hold_true(wallet.lots.iter().all(|lot| lot.remaining > 0), "kept lots have credits", id)?;
    let ordered = wallet.lots.windows(2).all(|pair| pair[0].draw_order(&pair[1]).is_lt());
    hold_true(ordered, "the draw order", id)?;
    hold_true(wallet.overdrawn >= 0, "overdrawn >= 0", id)?;
    hold_true(is_balance(wallet.balance()), "the largest balance", id)?;
    let mut held: BTreeMap<GrantId, i64> = BTreeMap::new();
    for hold in wallet.holds.values() {
        let captured = 0 <= hold.captured && hold.captured <= hold.amount;
        hold_true(captured && hold.captured + hold.remaining() <= hold.amount, "captures <= hold", hold.id)?;
        hold_true(hold.is_active() || hold.remaining() == 0, "a settled hold keeps nothing", hold.id)?;
        for part in &hold.parts {
            *held.entry(part.grant).or_default() += part.left;
        }
    }
    let held_agrees = wallet.lots.iter().all(|lot| lot.held == held.get(&lot.id).copied().unwrap_or(0));
    hold_true(held_agrees && held.values().sum::<i64>() == wallet.held(), "held = active holds", id)
}

/// Checks what a command posted: each transaction sums to zero and says what it took; the last entry of each wallet
/// that moved shows its balance; nothing below zero available after what a caller asked for.
pub fn check_posted(record: &Record, wallets: &[Wallet], now: Timestamp) -> Result<(), Broken> {
    for transaction in &record.posted {
        check_transaction(transaction)?;
    }
    for wallet in wallets {
        check_wallet(wallet)?;
        if let Some(balance) = last_balance(record, wallet.id) {
            hold_true(balance == wallet.balance(), "balance = fold of entries", wallet.id)?;
        }
        let asked_for = !matches!(record.answer, Answer::Done);
        // Expiry may leave less than nothing where a limit was lowered below what is overdrawn.
        let may_lack = !asked_for || wallet.overdrawn > wallet.overdraft_limit;
        hold_true(may_lack || wallet.available(now) >= 0, "available >= 0", wallet.id)?;
        for (id, refunded) in &wallet.refunds {
            let parts = refunded.overdrawn + refunded.parts.iter().sum::<i64>();
            hold_true(parts == refunded.total || refunded.parts.is_empty(), "refund parts = refund", id)?;
        }
    }
    Ok(())
}

fn check_transaction(transaction: &Transaction) -> Result<(), Broken> {
    let id = transaction.id;
    let sum: i128 = transaction
        .entries
        .iter()
        .map(|entry| match entry.direction {
            Direction::Debit => -i128::from(entry.amount),
            Direction::Credit => i128::from(entry.amount),
        })
        .sum();
    hold_true(sum == 0, "entries sum to zero", id)?;
    hold_true(transaction.amount > 0, "amount > 0", id)?;
    let taken: i64 = transaction.taken.iter().map(|taken| taken.amount).sum();
    let drawn = taken == 0 || taken + transaction.overdrawn == transaction.amount;
    hold_true(drawn, "taken_from + overdrawn = amount", id)
}

fn last_balance(record: &Record, wallet: WalletId) -> Option<i64> {
    let entries = record.posted.iter().flat_map(|transaction| &transaction.entries);
    entries
        .filter(|entry| entry.account == super::transaction::Account::Wallet(wallet))
        .filter_map(|entry| entry.balance_after)
        .next_back()
}
