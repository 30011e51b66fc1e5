//! What a sequence does next: everything that a caller could, with a liking for edges.

use std::collections::HashMap;

use credit_core::MAX_AMOUNT;
use credit_core::testkit::Dice;

use crate::model::{Call, Done, HoldState, Model, Refused, Status};

/// One step of a sequence.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) now: i64,
    pub(crate) call: Call,
    pub(crate) key: Option<u8>,
    pub(crate) dry: bool,
}

/// The next step.
pub(crate) fn next(
    dice: &mut Dice,
    model: &Model,
    keys: &HashMap<u8, (Call, Result<Done, Refused>)>,
) -> Step {
    let now = time(dice, model);
    let mut used: Vec<u8> = keys.keys().copied().collect();
    used.sort_unstable();
    if !used.is_empty() && dice.percent(8) {
        // The same key again, mostly with the same body.
        let key = *dice.pick(&used);
        let call = if dice.percent(75) { keys[&key].0.clone() } else { call(dice, model, now) };
        return Step { now, call, key: Some(key), dry: false };
    }
    let key = dice.percent(60).then(|| u8::try_from(dice.below(250)).expect("a byte"));
    let key = key.filter(|key| !keys.contains_key(key));
    Step { now, call: call(dice, model, now), key, dry: key.is_none() && dice.percent(10) }
}

/// Stands, goes on a little, or to just before, at or after the moment when something falls due or becomes effective.
fn time(dice: &mut Dice, model: &Model) -> i64 {
    let now = model.now;
    match dice.below(10) {
        0..=4 => now,
        5 => now + 1,
        6 => now + pick_below(dice, 5_000),
        _ => {
            let mut moments: Vec<i64> =
                (0..model.wallets.len()).filter_map(|wallet| model.next_due(wallet)).collect();
            moments.extend(model.lots.iter().map(|lot| lot.effective_at));
            moments.retain(|moment| *moment > now);
            let Some(moment) = moments.get(dice.place(moments.len().max(1))) else { return now };
            (moment + pick_below(dice, 3) - 1).max(now)
        }
    }
}

fn pick_below(dice: &mut Dice, bound: u64) -> i64 {
    i64::try_from(dice.below(bound)).expect("small")
}

fn amount(dice: &mut Dice, near: &[i64]) -> i64 {
    let amount = match dice.below(20) {
        0 => 1,
        1 => MAX_AMOUNT,
        2 => MAX_AMOUNT - pick_below(dice, 300),
        3..=9 if !near.is_empty() => *dice.pick(near) + pick_below(dice, 3) - 1,
        _ => 1 + pick_below(dice, 200),
    };
    amount.clamp(1, MAX_AMOUNT)
}

fn maybe(dice: &mut Dice, chance: u64, value: i64) -> Option<i64> {
    dice.percent(chance).then_some(value)
}

fn wallet(dice: &mut Dice, model: &Model) -> usize {
    if dice.percent(1) { model.wallets.len() } else { dice.place(model.wallets.len()) }
}

fn expiry(dice: &mut Dice, now: i64) -> Option<i64> {
    match dice.below(10) {
        0..=3 => None,
        4 => Some(now), // already over
        5 => Some(now + 1),
        _ => Some(now + 1_000 * (1 + pick_below(dice, 6))),
    }
}

fn priority(dice: &mut Dice) -> u8 {
    *dice.pick(&[0, 10, 50, 50, 50, 100])
}

fn call(dice: &mut Dice, model: &Model, now: i64) -> Call {
    let of = wallet(dice, model);
    let near = if of < model.wallets.len() {
        vec![model.available(of), model.usable_in_lots(of), model.balance(of), model.held(of)]
    } else {
        vec![]
    };
    match dice.below(100) {
        0..=11 => Call::Purchase {
            wallet: of,
            amount: if dice.percent(15) { 70 } else { amount(dice, &near) },
            external: dice.percent(40).then(|| u8::try_from(dice.below(3)).expect("a byte")),
            expires_at: expiry(dice, now),
            priority: priority(dice),
        },
        12..=23 => {
            let effective_at = now + 1_000 * pick_below(dice, 6) - 1_000;
            let effective_at = maybe(dice, 40, effective_at);
            Call::Grant {
                wallet: of,
                amount: amount(dice, &near),
                effective_at,
                expires_at: expiry(dice, effective_at.unwrap_or(now).max(now)),
                priority: priority(dice),
            }
        }
        24..=42 => Call::Spend { wallet: of, amount: amount(dice, &near), at_most: dice.percent(25) },
        43..=50 => {
            Call::Transfer { source: of, destination: wallet(dice, model), amount: amount(dice, &near) }
        }
        51..=54 => Call::Adjust { wallet: of, credit: dice.percent(50), amount: amount(dice, &near) },
        55..=64 if !model.transactions.is_empty() => {
            let transaction = dice.place(model.transactions.len());
            let left = model.transactions[transaction].amount - model.transactions[transaction].refunded;
            let part = amount(dice, &[left, left / 2]);
            Call::Refund { transaction, amount: maybe(dice, 60, part) }
        }
        65..=72 => Call::Hold { wallet: of, amount: amount(dice, &near), seconds: 1 + pick_below(dice, 6) },
        73..=85 if !model.holds.is_empty() => settle_hold(dice, model),
        86..=89 if !model.lots.is_empty() => Call::Void { lot: dice.place(model.lots.len()) },
        90..=93 => {
            let limit = if dice.percent(5) { MAX_AMOUNT } else { 25 * pick_below(dice, 5) };
            Call::Limit { wallet: of, limit }
        }
        94..=96 => {
            let status = match (model.wallets.get(of).map(|wallet| wallet.status), dice.below(8)) {
                (_, 0) => Status::Closed,
                (Some(Status::Frozen), _) => Status::Active,
                (_, 1..=4) => Status::Frozen,
                _ => Status::Active,
            };
            Call::Become { wallet: of, status }
        }
        97 => Call::Open {
            user: u8::try_from(dice.below(3)).expect("a byte"),
            asset: u8::try_from(dice.below(2)).expect("a byte"),
        },
        _ => Call::Sweep { wallet: of },
    }
}

fn settle_hold(dice: &mut Dice, model: &Model) -> Call {
    let active: Vec<usize> =
        (0..model.holds.len()).filter(|hold| model.holds[*hold].state == HoldState::Active).collect();
    let hold = if active.is_empty() || dice.percent(15) {
        dice.place(model.holds.len())
    } else {
        *dice.pick(&active)
    };
    let left: i64 = model.holds[hold].parts.iter().map(|(_, _, left)| left).sum();
    match dice.below(10) {
        0..=5 => {
            let part = amount(dice, &[left, left / 2]);
            Call::Capture { hold, amount: maybe(dice, 70, part), last: dice.percent(50) }
        }
        6..=8 => Call::Release { hold },
        _ => Call::Extend { hold, seconds: 1 + pick_below(dice, 10) },
    }
}
