//! Credits used.

use credit_core::{Amount, Problem, WalletId};
use credit_wallet::domain::moves::{self, Posting};
use credit_wallet::domain::{Account, Answer, Command, Desk, Direction, Kind, Needs, Note, Pack, Portable};
use serde::{Deserialize, Serialize};

/// `{"type": "spend"}`: draws from the lots in their order and, as far as the overdraft allows, beyond them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Spend {
    /// The wallet.
    pub wallet: WalletId,
    /// How much.
    pub amount: Amount,
    /// Take what there is, up to the amount.
    pub at_most: bool,
    /// What the caller wrote.
    pub note: Note,
}

impl Command for Spend {
    fn needs(&self) -> Needs {
        Needs { wallets: vec![self.wallet], ..Needs::default() }
    }
    fn guarded(&self) -> Option<WalletId> {
        Some(self.wallet)
    }
    fn decide(&self, desk: &mut Desk<'_>) -> Result<Answer, Problem> {
        desk.active_wallet(self.wallet)?;
        desk.bump(self.wallet)?;
        let (amount, drawn) = moves::spend(desk, self.wallet, self.amount.units(), self.at_most)?;
        let mut posting = Posting::new(Kind::Spend, amount, self.note.clone());
        posting.taken = drawn.taken;
        posting.overdrawn = drawn.overdrawn;
        desk.post(self.wallet, Direction::Debit, Account::Revenue, posting).map(Answer::Posted)
    }
    fn portable(&self) -> Option<&dyn Pack> {
        Some(self)
    }
}

impl Portable for Spend {
    const NAME: &'static str = "spend";
}
