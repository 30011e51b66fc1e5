//! Credits passed on.

use credit_core::{Amount, Code, Problem, WalletId};
use credit_wallet::domain::moves::{self, Deposit, Posting};
use credit_wallet::domain::{Answer, Command, Desk, Kind, Needs, Note, Pack, Portable, Taken};
use serde::{Deserialize, Serialize};

/// `{"type": "transfer"}`: lots move to another wallet of the same asset and keep expiry, effective date, category and
/// priority; they count as created at the transfer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Transfer {
    /// Who pays.
    pub source: WalletId,
    /// Who gets.
    pub destination: WalletId,
    /// How much.
    pub amount: Amount,
    /// What the caller wrote.
    pub note: Note,
}

impl Transfer {
    /// A lot like the one that was taken from.
    fn deposit(&self, desk: &mut Desk<'_>, taken: &Taken) -> Result<Deposit, Problem> {
        let lot = desk.lot(self.source, taken.grant)?;
        Ok(Deposit {
            amount: taken.amount,
            category: lot.category,
            priority: lot.priority,
            effective_at: Some(lot.effective_at),
            expires_at: lot.expires_at,
            successor_of: None,
        })
    }
}

impl Command for Transfer {
    fn needs(&self) -> Needs {
        Needs { wallets: vec![self.source, self.destination], ..Needs::default() }
    }
    fn guarded(&self) -> Option<WalletId> {
        Some(self.source)
    }
    fn decide(&self, desk: &mut Desk<'_>) -> Result<Answer, Problem> {
        let from = desk.active_wallet(self.source)?.asset;
        let to = desk.active_wallet(self.destination)?.asset;
        let amount = self.amount.units();
        desk.bump(self.source)?;
        let drawn = moves::draw_exactly(desk, self.source, amount)?;
        if self.source == self.destination {
            return Err(Problem::new(Code::SameWallet));
        }
        if from != to {
            return Err(Problem::new(Code::AssetMismatch));
        }
        desk.bump(self.destination)?;
        let mut posting = Posting::new(Kind::Transfer, amount, self.note.clone());
        for taken in &drawn.taken {
            let deposit = self.deposit(desk, taken)?;
            posting.credited.push(moves::credit(desk, self.destination, &deposit)?);
        }
        posting.taken = drawn.taken;
        desk.post_between(self.source, self.destination, posting).map(Answer::Posted)
    }
    fn portable(&self) -> Option<&dyn Pack> {
        Some(self)
    }
}

impl Portable for Transfer {
    const NAME: &'static str = "transfer";
}
