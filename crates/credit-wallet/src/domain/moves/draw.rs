//! Credits that go out, drawn from the lots in their order.

use credit_core::{GrantId, Problem, WalletId};

use crate::domain::desk::Desk;
use crate::domain::refusal::insufficient_funds;
use crate::domain::transaction::Taken;

/// What a draw took.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Draw {
    /// From the lots, in the order of taking.
    pub taken: Vec<Taken>,
    /// Beyond the lots.
    pub overdrawn: i64,
}

/// Draws `amount` from the lots and, as far as the limit allows, beyond them; with `at_most` what the lots have, up to
/// `amount`. `402 insufficient_funds`.
pub fn spend(desk: &mut Desk<'_>, id: WalletId, amount: i64, at_most: bool) -> Result<(i64, Draw), Problem> {
    let now = desk.now();
    let wallet = desk.wallet(id)?;
    let free = wallet.free_in_lots(now);
    if at_most {
        let amount_taken = amount.min(free);
        if amount_taken == 0 {
            return Err(insufficient_funds(wallet, amount, 0, now));
        }
        return Ok((amount_taken, draw(desk, id, amount_taken)?));
    }
    let available = wallet.available(now).max(0);
    if amount > available {
        return Err(insufficient_funds(wallet, amount, available, now));
    }
    let from_lots: i64 =
        wallet.lots.iter().filter(|lot| lot.is_effective(now)).map(crate::domain::Lot::free).sum();
    let from_lots = from_lots.min(amount);
    let beyond = amount - from_lots;
    let overdrawn = wallet.overdrawn + beyond;
    let mut drawn = draw(desk, id, from_lots)?;
    desk.set_overdrawn(id, overdrawn)?;
    drawn.overdrawn = beyond;
    Ok((amount, drawn))
}

/// Draws exactly `amount` from the lots alone. `402 insufficient_funds`.
pub fn draw_exactly(desk: &mut Desk<'_>, id: WalletId, amount: i64) -> Result<Draw, Problem> {
    let now = desk.now();
    let wallet = desk.wallet(id)?;
    let free = wallet.free_in_lots(now);
    if amount > free {
        return Err(insufficient_funds(wallet, amount, free, now));
    }
    draw(desk, id, amount)
}

/// Takes from one lot what is free in it. The caller has checked that it is enough.
pub fn take_from_lot(
    desk: &mut Desk<'_>,
    id: WalletId,
    grant: GrantId,
    amount: i64,
) -> Result<Taken, Problem> {
    let mut lot = desk.lot(id, grant)?;
    let taken = Taken { grant, amount, expires_at: lot.expires_at, category: lot.category };
    lot.remaining -= amount;
    desk.put_lot(id, lot)?;
    Ok(taken)
}

fn draw(desk: &mut Desk<'_>, id: WalletId, amount: i64) -> Result<Draw, Problem> {
    let now = desk.now();
    let mut left = amount;
    let mut plan = Vec::new();
    for lot in desk.wallet(id)?.lots.iter().filter(|lot| lot.is_effective(now)) {
        if left == 0 {
            break;
        }
        let part = lot.free().min(left);
        if part > 0 {
            plan.push((lot.id, part));
            left -= part;
        }
    }
    let taken = plan
        .into_iter()
        .map(|(grant, part)| take_from_lot(desk, id, grant, part))
        .collect::<Result<_, _>>()?;
    Ok(Draw { taken, overdrawn: 0 })
}
