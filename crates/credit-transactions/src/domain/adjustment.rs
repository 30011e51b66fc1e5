//! Corrections by an admin.

use credit_core::{Amount, Problem, WalletId};
use credit_wallet::domain::moves::{self, Deposit, Posting};
use credit_wallet::domain::{
    Account, Answer, Category, Command, Desk, Direction, Kind, Needs, Note, Pack, Portable,
};
use serde::{Deserialize, Serialize};

/// `{"type": "adjustment"}`: credits that are put right. What comes in was not bought, so its lot is promotional; what
/// goes out stops at the lots.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Adjust {
    /// The wallet.
    pub wallet: WalletId,
    /// Which way.
    pub direction: Direction,
    /// How much.
    pub amount: Amount,
    /// What the caller wrote, the reason included.
    pub note: Note,
}

impl Command for Adjust {
    fn needs(&self) -> Needs {
        Needs { wallets: vec![self.wallet], ..Needs::default() }
    }
    fn guarded(&self) -> Option<WalletId> {
        Some(self.wallet)
    }
    fn decide(&self, desk: &mut Desk<'_>) -> Result<Answer, Problem> {
        desk.active_wallet(self.wallet)?;
        desk.bump(self.wallet)?;
        let amount = self.amount.units();
        let mut posting = Posting::new(Kind::Adjustment, amount, self.note.clone());
        match self.direction {
            Direction::Credit => {
                let deposit = Deposit::new(amount, Category::Promotional);
                posting.credited.push(moves::credit(desk, self.wallet, &deposit)?);
            }
            Direction::Debit => posting.taken = moves::draw_exactly(desk, self.wallet, amount)?.taken,
        }
        desk.post(self.wallet, self.direction, Account::Adjustments, posting).map(Answer::Posted)
    }
    fn portable(&self) -> Option<&dyn Pack> {
        Some(self)
    }
}

impl Portable for Adjust {
    const NAME: &'static str = "adjust";
}
