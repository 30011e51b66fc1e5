//! Credits that come in.

use credit_core::{GrantId, Problem, Timestamp, WalletId};
use serde::{Deserialize, Serialize};

use crate::domain::desk::Desk;
use crate::domain::lot::{Category, Lot, Priority};
use crate::domain::refusal::overflow;
use crate::domain::transaction::Credited;

/// A lot to open.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Deposit {
    /// How many credits.
    pub amount: i64,
    /// Bought or given.
    pub category: Category,
    /// Place in the draw order.
    pub priority: Priority,
    /// From when on; `None` is now.
    pub effective_at: Option<Timestamp>,
    /// Until when.
    pub expires_at: Option<Timestamp>,
    /// The lot it stands in for.
    pub successor_of: Option<GrantId>,
}

impl Deposit {
    /// A lot that is effective now, for ever, with the usual priority.
    pub fn new(amount: i64, category: Category) -> Self {
        Self {
            amount,
            category,
            priority: Priority::default(),
            effective_at: None,
            expires_at: None,
            successor_of: None,
        }
    }
}

/// Opens a lot. Credits that are effective repay what is overdrawn first. `422 balance_overflow`.
///
/// The lot names the transaction that is posted next.
pub fn credit(desk: &mut Desk<'_>, id: WalletId, deposit: &Deposit) -> Result<Credited, Problem> {
    let now = desk.now();
    let wallet = desk.wallet(id)?;
    overflow(wallet, deposit.amount)?;
    let effective_at = deposit.effective_at.unwrap_or(now);
    let overdrawn = wallet.overdrawn;
    let repaid = if effective_at <= now { overdrawn.min(deposit.amount) } else { 0 };
    let grant = GrantId::from_u128(desk.mint());
    let lot = Lot {
        id: grant,
        amount: deposit.amount,
        remaining: deposit.amount - repaid,
        held: 0,
        category: deposit.category,
        priority: deposit.priority,
        effective_at,
        expires_at: deposit.expires_at,
        expired: false,
        voided: false,
        successor_of: deposit.successor_of,
        transaction: desk.next_transaction(),
        changed_in: 0,
    };
    desk.put_lot(id, lot)?;
    desk.set_overdrawn(id, overdrawn - repaid)?;
    Ok(Credited { grant, amount: deposit.amount })
}

/// Puts refunded credits back into the lot they came from; if that lot is expired or voided, into a successor that
/// lives until `successor_expires_at`. Does not repay what is overdrawn.
pub fn put_back(
    desk: &mut Desk<'_>,
    id: WalletId,
    grant: GrantId,
    amount: i64,
    successor_expires_at: Timestamp,
) -> Result<Credited, Problem> {
    let now = desk.now();
    let mut lot = desk.lot(id, grant)?;
    if lot.is_open(now) {
        lot.remaining += amount;
        desk.put_lot(id, lot)?;
        return Ok(Credited { grant, amount });
    }
    let successor = Lot {
        id: GrantId::from_u128(desk.mint()),
        amount,
        remaining: amount,
        held: 0,
        category: lot.category,
        priority: lot.priority,
        effective_at: now,
        expires_at: Some(successor_expires_at),
        expired: false,
        voided: false,
        successor_of: Some(grant),
        transaction: desk.next_transaction(),
        changed_in: 0,
    };
    let credited = Credited { grant: successor.id, amount };
    desk.put_lot(id, successor)?;
    Ok(credited)
}
