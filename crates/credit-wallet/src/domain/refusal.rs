//! Refusals that carry figures.

use credit_core::{Code, Problem, Timestamp, is_balance};
use serde_json::Value;

use super::wallet::Wallet;

/// `402 insufficient_funds` with what would have been needed. `usable` is what this operation could have taken.
pub fn insufficient_funds(wallet: &Wallet, required: i64, usable: i64, now: Timestamp) -> Problem {
    let shortfall = required - usable;
    let next = wallet.next_effective_at(now).map_or(Value::Null, |at| at.to_string().into());
    Problem::because(Code::InsufficientFunds, format!("{required} needed, {usable} available."))
        .with("required", required)
        .with("available", usable)
        .with("held", wallet.held())
        .with("shortfall", shortfall)
        .with("next_effective_at", next)
}

/// `422 balance_overflow` if `amount` more would pass the largest balance.
pub fn overflow(wallet: &Wallet, amount: i64) -> Result<(), Problem> {
    if is_balance(wallet.balance().saturating_add(amount)) {
        return Ok(());
    }
    Err(Problem::new(Code::BalanceOverflow))
}
