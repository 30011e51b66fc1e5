//! Lots taken back.

use credit_core::{Code, GrantId, Problem, WalletId};

use crate::domain::desk::{Desk, Posting};
use crate::domain::transaction::{Account, Direction, Kind, Note, Taken};

/// Takes back what is neither spent nor held of a lot; holds on it stay good. Answers the index of the posting.
/// `409 grant_not_active`.
pub fn void_lot(desk: &mut Desk<'_>, id: WalletId, grant: GrantId) -> Result<u32, Problem> {
    let mut lot = desk.lot(id, grant)?;
    let amount = lot.free();
    if amount == 0 {
        return Err(Problem::new(Code::GrantNotActive));
    }
    lot.voided = true;
    lot.remaining = lot.held;
    let taken = Taken { grant, amount, expires_at: lot.expires_at, category: lot.category };
    desk.put_lot(id, lot)?;
    let now = desk.now();
    if desk.wallet(id)?.available(now) < 0 {
        return Err(Problem::because(Code::OverdraftInUse, "The lot covers an overdraft."));
    }
    let mut posting = Posting::new(Kind::Void, amount, Note::default());
    posting.taken.push(taken);
    desk.post(id, Direction::Debit, Account::Issuance, posting)
}
