//! Posts what is due of one wallet.

use credit_core::{Problem, WalletId};

use crate::domain::desk::{Command, Desk, Needs};
use crate::domain::record::Answer;
use crate::domain::settle::settle;

/// The sweep of one wallet.
#[derive(Debug, Clone, Copy)]
pub struct Sweep(pub WalletId);

impl Command for Sweep {
    fn needs(&self) -> Needs {
        Needs { wallets: vec![self.0], ..Needs::default() }
    }
    fn guarded(&self) -> Option<WalletId> {
        None
    }
    fn decide(&self, desk: &mut Desk<'_>) -> Result<Answer, Problem> {
        settle(desk, self.0)?;
        Ok(Answer::Done)
    }
}
