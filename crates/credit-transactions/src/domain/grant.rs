//! Credits given.

use credit_core::{Problem, WalletId};
use credit_wallet::domain::moves::{self, Deposit, Posting};
use credit_wallet::domain::{Account, Answer, Command, Desk, Direction, Kind, Needs, Note, Pack, Portable};
use serde::{Deserialize, Serialize};

use super::past_expiry;

/// `{"type": "grant"}`: a promotional lot.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GiveGrant {
    /// The wallet.
    pub wallet: WalletId,
    /// The lot.
    pub deposit: Deposit,
    /// What the caller wrote.
    pub note: Note,
}

impl Command for GiveGrant {
    fn needs(&self) -> Needs {
        Needs { wallets: vec![self.wallet], ..Needs::default() }
    }
    fn guarded(&self) -> Option<WalletId> {
        Some(self.wallet)
    }
    fn decide(&self, desk: &mut Desk<'_>) -> Result<Answer, Problem> {
        if let Some(past) = past_expiry(self.deposit.expires_at, desk.now()) {
            return Err(past);
        }
        desk.active_wallet(self.wallet)?;
        desk.bump(self.wallet)?;
        let credited = moves::credit(desk, self.wallet, &self.deposit)?;
        let mut posting = Posting::new(Kind::Grant, self.deposit.amount, self.note.clone());
        posting.credited.push(credited);
        desk.post(self.wallet, Direction::Credit, Account::Issuance, posting).map(Answer::Posted)
    }
    fn portable(&self) -> Option<&dyn Pack> {
        Some(self)
    }
}

impl Portable for GiveGrant {
    const NAME: &'static str = "give_grant";
}
