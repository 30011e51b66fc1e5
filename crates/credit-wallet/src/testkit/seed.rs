//! Credits from nowhere, so that there is something to move.

use credit_core::{Problem, WalletId};

use crate::domain::moves::{self, Deposit, Posting};
use crate::domain::{Account, Answer, Command, Desk, Direction, Kind, Needs, Note};

/// Puts one lot into a wallet.
#[derive(Debug, Clone)]
pub struct Seed {
    /// The wallet.
    pub wallet: WalletId,
    /// The lot.
    pub deposit: Deposit,
}

impl Command for Seed {
    fn needs(&self) -> Needs {
        Needs { wallets: vec![self.wallet], ..Needs::default() }
    }
    fn guarded(&self) -> Option<WalletId> {
        Some(self.wallet)
    }
    fn decide(&self, desk: &mut Desk<'_>) -> Result<Answer, Problem> {
        desk.active_wallet(self.wallet)?;
        desk.bump(self.wallet)?;
        let credited = moves::credit(desk, self.wallet, &self.deposit)?;
        let mut posting = Posting::new(Kind::Grant, self.deposit.amount, Note::default());
        posting.credited.push(credited);
        desk.post(self.wallet, Direction::Credit, Account::Issuance, posting).map(Answer::Posted)
    }
}

/// Spends from a wallet.
#[derive(Debug, Clone, Copy)]
pub struct Take {
    /// The wallet.
    pub wallet: WalletId,
    /// How much.
    pub amount: i64,
}

impl Command for Take {
    fn needs(&self) -> Needs {
        Needs { wallets: vec![self.wallet], ..Needs::default() }
    }
    fn guarded(&self) -> Option<WalletId> {
        Some(self.wallet)
    }
    fn decide(&self, desk: &mut Desk<'_>) -> Result<Answer, Problem> {
        desk.active_wallet(self.wallet)?;
        desk.bump(self.wallet)?;
        let (amount, draw) = moves::spend(desk, self.wallet, self.amount, false)?;
        let mut posting = Posting::new(Kind::Spend, amount, Note::default());
        posting.taken = draw.taken;
        posting.overdrawn = draw.overdrawn;
        desk.post(self.wallet, Direction::Debit, Account::Revenue, posting).map(Answer::Posted)
    }
}
