//! Wallets themselves: open, change, freeze, close.

use std::collections::BTreeMap;

use credit_core::{AssetCode, Code, Problem, UserId, WalletId};

use crate::domain::desk::{Command, Desk, Needs};
use crate::domain::record::{Answer, claim};
use crate::domain::wallet::{OpenWallet, WalletStatus};

/// The claim of a user's only wallet in an asset.
pub fn wallet_claim(user: UserId, asset: AssetCode) -> u128 {
    claim("wallet", &[&user.to_string(), asset.as_str()])
}

/// Opens a wallet. `409 wallet_exists`.
#[derive(Debug, Clone)]
pub struct CreateWallet {
    /// Whose.
    pub user: UserId,
    /// Of what.
    pub asset: AssetCode,
    /// The consumer's pairs.
    pub metadata: BTreeMap<String, String>,
}

impl Command for CreateWallet {
    fn needs(&self) -> Needs {
        Needs { claims: vec![wallet_claim(self.user, self.asset)], ..Needs::default() }
    }
    fn guarded(&self) -> Option<WalletId> {
        None
    }
    fn decide(&self, desk: &mut Desk<'_>) -> Result<Answer, Problem> {
        let claim = wallet_claim(self.user, self.asset);
        if desk.claimed(claim).is_some() {
            return Err(Problem::new(Code::WalletExists));
        }
        let id = WalletId::from_u128(desk.mint());
        desk.open_wallet(OpenWallet {
            id,
            user: self.user,
            asset: self.asset,
            metadata: self.metadata.clone(),
        });
        desk.bump(id)?;
        desk.claim(claim);
        Ok(Answer::Wallet(id))
    }
}

/// Changes what may be changed of a wallet; naming nothing changes nothing. `409 overdraft_in_use`, `409 wallet_closed`.
#[derive(Debug, Clone, Default)]
pub struct PatchWallet {
    /// The wallet.
    pub wallet: Option<WalletId>,
    /// New pairs, in place of the old ones.
    pub metadata: Option<BTreeMap<String, String>>,
    /// How far spends may go below the lots.
    pub overdraft_limit: Option<i64>,
    /// Below which balance the owner wants to hear; `Some(None)` is never.
    pub low_balance_threshold: Option<Option<i64>>,
}

impl PatchWallet {
    fn id(&self) -> Result<WalletId, Problem> {
        self.wallet.ok_or_else(Problem::not_found)
    }
}

impl Command for PatchWallet {
    fn needs(&self) -> Needs {
        Needs { wallets: self.wallet.into_iter().collect(), ..Needs::default() }
    }
    fn guarded(&self) -> Option<WalletId> {
        self.wallet
    }
    fn decide(&self, desk: &mut Desk<'_>) -> Result<Answer, Problem> {
        let (id, now) = (self.id()?, desk.now());
        let wallet = desk.wallet(id)?;
        if wallet.status == WalletStatus::Closed {
            return Err(Problem::new(Code::WalletClosed));
        }
        if let Some(limit) = self.overdraft_limit {
            let available = wallet.available(now) - wallet.overdraft_limit + limit;
            // What lots hold beside an overdraft may expire, and does not cover it.
            let is_lowered_below = limit < wallet.overdrawn && limit < wallet.overdraft_limit;
            if available < 0 || is_lowered_below {
                return Err(Problem::new(Code::OverdraftInUse).with("overdrawn", wallet.overdrawn));
            }
        }
        if self.metadata.is_none() && self.overdraft_limit.is_none() && self.low_balance_threshold.is_none() {
            return Ok(Answer::Wallet(id));
        }
        desk.bump(id)?;
        desk.edit(id, |wallet| {
            if let Some(metadata) = &self.metadata {
                wallet.metadata = metadata.clone().into();
            }
            if let Some(limit) = self.overdraft_limit {
                wallet.overdraft_limit = limit;
            }
            if let Some(threshold) = self.low_balance_threshold {
                wallet.low_balance_threshold = threshold;
            }
        })?;
        Ok(Answer::Wallet(id))
    }
}

/// Freezes, unfreezes or closes a wallet. Asking for the status that it has changes nothing. `409 wallet_closed`,
/// `409 wallet_not_empty`.
#[derive(Debug, Clone, Copy)]
pub struct ChangeStatus {
    /// The wallet.
    pub wallet: WalletId,
    /// The wanted status.
    pub status: WalletStatus,
}

impl Command for ChangeStatus {
    fn needs(&self) -> Needs {
        Needs { wallets: vec![self.wallet], ..Needs::default() }
    }
    fn guarded(&self) -> Option<WalletId> {
        Some(self.wallet)
    }
    fn decide(&self, desk: &mut Desk<'_>) -> Result<Answer, Problem> {
        let wallet = desk.wallet(self.wallet)?;
        if wallet.status == self.status {
            return Ok(Answer::Wallet(self.wallet));
        }
        if wallet.status == WalletStatus::Closed {
            return Err(Problem::new(Code::WalletClosed));
        }
        if self.status == WalletStatus::Closed && !wallet.is_empty() {
            return Err(Problem::new(Code::WalletNotEmpty));
        }
        desk.bump(self.wallet)?;
        desk.edit(self.wallet, |wallet| wallet.status = self.status)?;
        Ok(Answer::Wallet(self.wallet))
    }
}

/// Freezes a wallet, and says so in the journal even if it seems to be frozen: of one that has drifted what is shown may
/// say so and the journal not. `409 wallet_closed`.
#[derive(Debug, Clone, Copy)]
pub struct FreezeDrifted(pub WalletId);

impl Command for FreezeDrifted {
    fn needs(&self) -> Needs {
        Needs { wallets: vec![self.0], ..Needs::default() }
    }
    fn guarded(&self) -> Option<WalletId> {
        None
    }
    fn decide(&self, desk: &mut Desk<'_>) -> Result<Answer, Problem> {
        if desk.wallet(self.0)?.status == WalletStatus::Closed {
            return Err(Problem::new(Code::WalletClosed));
        }
        desk.bump(self.0)?;
        desk.edit(self.0, |wallet| wallet.status = WalletStatus::Frozen)?;
        Ok(Answer::Wallet(self.0))
    }
}

/// Closes all wallets of a user, or none. `409 wallet_not_empty`.
#[derive(Debug, Clone)]
pub struct CloseAll(pub Vec<WalletId>);

impl Command for CloseAll {
    fn needs(&self) -> Needs {
        Needs { wallets: self.0.clone(), ..Needs::default() }
    }
    fn guarded(&self) -> Option<WalletId> {
        None
    }
    fn decide(&self, desk: &mut Desk<'_>) -> Result<Answer, Problem> {
        for id in &self.0 {
            if !desk.wallet(*id)?.is_empty() {
                return Err(Problem::new(Code::WalletNotEmpty));
            }
        }
        for id in &self.0 {
            if desk.wallet(*id)?.status != WalletStatus::Closed {
                desk.bump(*id)?;
                desk.edit(*id, |wallet| wallet.status = WalletStatus::Closed)?;
            }
        }
        Ok(Answer::Done)
    }
}
