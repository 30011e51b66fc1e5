//! Credits set aside, captured and given back.

use std::collections::BTreeMap;

use credit_core::{Code, HoldId, Problem, Timestamp, WalletId};

use crate::domain::desk::{Desk, Posting};
use crate::domain::hold::{Hold, HoldPart, HoldState};
use crate::domain::refusal::insufficient_funds;
use crate::domain::transaction::{Account, Direction, Kind, Note, Taken};

/// What to set aside.
#[derive(Debug, Clone)]
pub struct Reserve {
    /// How much.
    pub amount: i64,
    /// Until when.
    pub expires_at: Timestamp,
    /// The consumer's reference.
    pub reference: Option<String>,
    /// The consumer's pairs.
    pub metadata: BTreeMap<String, String>,
}

/// Reserves from the lots in draw order. `402 insufficient_funds`.
pub fn reserve(desk: &mut Desk<'_>, id: WalletId, reserve: &Reserve) -> Result<Hold, Problem> {
    let now = desk.now();
    let wallet = desk.wallet(id)?;
    let free = wallet.free_in_lots(now);
    if reserve.amount > free {
        return Err(insufficient_funds(wallet, reserve.amount, free, now));
    }
    let mut left = reserve.amount;
    let mut parts = Vec::new();
    for lot in wallet.lots.iter().filter(|lot| lot.is_effective(now)) {
        let part = lot.free().min(left);
        if part > 0 {
            parts.push(HoldPart { grant: lot.id, amount: part, left: part });
            left -= part;
        }
    }
    for part in &parts {
        let mut lot = desk.lot(id, part.grant)?;
        lot.held += part.amount;
        desk.put_lot(id, lot)?;
    }
    let hold = Hold {
        id: HoldId::from_u128(desk.mint()),
        wallet: id,
        amount: reserve.amount,
        captured: 0,
        state: HoldState::Active,
        expires_at: reserve.expires_at,
        parts,
        reference: reserve.reference.clone(),
        metadata: reserve.metadata.clone(),
        created_by: desk.actor(),
        created_at: now,
        wallet_version: 0,
        version: 0,
        changed_in: 0,
    };
    let hold_id = hold.id;
    desk.put_hold(id, hold)?;
    desk.hold(id, hold_id)
}

fn active(desk: &mut Desk<'_>, id: WalletId, hold: HoldId) -> Result<Hold, Problem> {
    let hold = desk.hold(id, hold)?;
    if hold.is_active() { Ok(hold) } else { Err(Problem::new(Code::HoldNotActive)) }
}

/// Spends from a hold's lots in draw order, and with `last` gives the rest back. Answers the index of the posting.
/// `409 hold_not_active`, `422 capture_exceeds_hold`.
pub fn capture(
    desk: &mut Desk<'_>,
    id: WalletId,
    hold: HoldId,
    amount: Option<i64>,
    last: bool,
) -> Result<u32, Problem> {
    let mut hold = active(desk, id, hold)?;
    let remaining = hold.remaining();
    let amount = amount.unwrap_or(remaining);
    if amount > remaining {
        return Err(Problem::because(Code::CaptureExceedsHold, format!("The hold has {remaining} left."))
            .with("remaining", remaining));
    }
    let mut left = amount;
    let mut taken = Vec::new();
    for part in hold.parts.iter_mut().filter(|part| part.left > 0) {
        let captured = part.left.min(left);
        if captured == 0 {
            break;
        }
        let mut lot = desk.lot(id, part.grant)?;
        lot.held -= captured;
        lot.remaining -= captured;
        taken.push(Taken {
            grant: lot.id,
            amount: captured,
            expires_at: lot.expires_at,
            category: lot.category,
        });
        desk.put_lot(id, lot)?;
        part.left -= captured;
        left -= captured;
    }
    hold.captured += amount;
    let note = Note { reference: hold.reference.clone(), metadata: hold.metadata.clone(), ..Note::default() };
    let mut posting = Posting::new(Kind::Capture, amount, note);
    posting.hold = Some(hold.id);
    posting.taken = taken;
    let index = desk.post(id, Direction::Debit, Account::Revenue, posting)?;
    if last || hold.remaining() == 0 {
        hold.state = HoldState::Captured;
        release_parts(desk, id, &mut hold)?;
    }
    desk.put_hold(id, hold)?;
    Ok(index)
}

/// Gives a hold back. `409 hold_not_active`.
pub fn release(desk: &mut Desk<'_>, id: WalletId, hold: HoldId) -> Result<Hold, Problem> {
    let mut released = active(desk, id, hold)?;
    released.state = HoldState::Released;
    release_parts(desk, id, &mut released)?;
    desk.put_hold(id, released)?;
    desk.hold(id, hold)
}

/// Sets a hold's end anew. `409 hold_not_active`.
pub fn extend(
    desk: &mut Desk<'_>,
    id: WalletId,
    hold: HoldId,
    expires_at: Timestamp,
) -> Result<Hold, Problem> {
    let mut extended = active(desk, id, hold)?;
    extended.expires_at = expires_at;
    desk.put_hold(id, extended)?;
    desk.hold(id, hold)
}

/// Gives what a hold still keeps back to its lots. What goes to an expired lot expires at once, what goes to a voided
/// one is voided at once.
pub fn release_parts(desk: &mut Desk<'_>, id: WalletId, hold: &mut Hold) -> Result<(), Problem> {
    for part in hold.parts.iter_mut().filter(|part| part.left > 0) {
        let mut lot = desk.lot(id, part.grant)?;
        let amount = std::mem::take(&mut part.left);
        lot.held -= amount;
        let gone = if lot.voided {
            Some((Kind::Void, Account::Issuance))
        } else if lot.expired {
            Some((Kind::Expiry, Account::Expired))
        } else {
            None
        };
        if gone.is_some() {
            lot.remaining -= amount;
        }
        let taken = Taken { grant: lot.id, amount, expires_at: lot.expires_at, category: lot.category };
        desk.put_lot(id, lot)?;
        if let Some((kind, account)) = gone {
            let mut posting = Posting::new(kind, amount, Note::default());
            posting.taken.push(taken);
            posting.hold = Some(hold.id);
            desk.post(id, Direction::Debit, account, posting)?;
        }
    }
    Ok(())
}
