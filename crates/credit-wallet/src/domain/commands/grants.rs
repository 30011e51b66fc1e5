//! Takes a lot back.

use credit_core::{GrantId, Problem, WalletId};
use serde::{Deserialize, Serialize};

use crate::domain::desk::{Command, Desk, Needs};
use crate::domain::moves::void_lot;
use crate::domain::portable::{Pack, Portable};
use crate::domain::record::Answer;

/// `POST /v1/grants/{id}/void`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct VoidGrant {
    /// The wallet of the lot.
    pub wallet: WalletId,
    /// The lot.
    pub grant: GrantId,
}

impl Command for VoidGrant {
    fn needs(&self) -> Needs {
        Needs { wallets: vec![self.wallet], lots: vec![(self.wallet, self.grant)], ..Needs::default() }
    }
    fn guarded(&self) -> Option<WalletId> {
        Some(self.wallet)
    }
    fn decide(&self, desk: &mut Desk<'_>) -> Result<Answer, Problem> {
        desk.active_wallet(self.wallet)?;
        desk.bump(self.wallet)?;
        void_lot(desk, self.wallet, self.grant).map(Answer::Posted)
    }
    fn portable(&self) -> Option<&dyn Pack> {
        Some(self)
    }
}

impl Portable for VoidGrant {
    const NAME: &'static str = "void_grant";
}
