//! Holds.

use std::collections::BTreeMap;

use credit_core::{Amount, HoldId, Problem, WalletId};
use serde::{Deserialize, Serialize};

use crate::domain::desk::{Command, Desk, Needs};
use crate::domain::moves::{self, Reserve};
use crate::domain::portable::{Pack, Portable};
use crate::domain::record::Answer;

/// `POST /v1/wallets/{id}/holds`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CreateHold {
    /// The wallet.
    pub wallet: WalletId,
    /// How much.
    pub amount: Amount,
    /// For how long, in seconds.
    pub expires_in_seconds: i64,
    /// The consumer's reference.
    pub reference: Option<String>,
    /// The consumer's pairs.
    pub metadata: BTreeMap<String, String>,
}

impl Command for CreateHold {
    fn needs(&self) -> Needs {
        Needs { wallets: vec![self.wallet], ..Needs::default() }
    }
    fn guarded(&self) -> Option<WalletId> {
        Some(self.wallet)
    }
    fn decide(&self, desk: &mut Desk<'_>) -> Result<Answer, Problem> {
        desk.active_wallet(self.wallet)?;
        desk.bump(self.wallet)?;
        let reserve = Reserve {
            amount: self.amount.units(),
            expires_at: desk.now().plus_seconds(self.expires_in_seconds),
            reference: self.reference.clone(),
            metadata: self.metadata.clone(),
        };
        moves::reserve(desk, self.wallet, &reserve).map(Box::new).map(Answer::Hold)
    }
    fn portable(&self) -> Option<&dyn Pack> {
        Some(self)
    }
}

impl Portable for CreateHold {
    const NAME: &'static str = "create_hold";
}

fn needs(wallet: WalletId, hold: HoldId) -> Needs {
    Needs { wallets: vec![wallet], holds: vec![(wallet, hold)], ..Needs::default() }
}

/// `POST /v1/holds/{id}/capture`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct CaptureHold {
    /// The wallet of the hold.
    pub wallet: WalletId,
    /// The hold.
    pub hold: HoldId,
    /// How much; `None` is all that is left.
    pub amount: Option<Amount>,
    /// Whether the rest is given back.
    pub last: bool,
}

impl Command for CaptureHold {
    fn needs(&self) -> Needs {
        needs(self.wallet, self.hold)
    }
    fn guarded(&self) -> Option<WalletId> {
        Some(self.wallet)
    }
    fn decide(&self, desk: &mut Desk<'_>) -> Result<Answer, Problem> {
        desk.active_wallet(self.wallet)?;
        desk.bump(self.wallet)?;
        moves::capture(desk, self.wallet, self.hold, self.amount.map(Amount::units), self.last)
            .map(Answer::Posted)
    }
    fn portable(&self) -> Option<&dyn Pack> {
        Some(self)
    }
}

impl Portable for CaptureHold {
    const NAME: &'static str = "capture_hold";
}

/// `POST /v1/holds/{id}/release`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct ReleaseHold {
    /// The wallet of the hold.
    pub wallet: WalletId,
    /// The hold.
    pub hold: HoldId,
}

impl Command for ReleaseHold {
    fn needs(&self) -> Needs {
        needs(self.wallet, self.hold)
    }
    fn guarded(&self) -> Option<WalletId> {
        Some(self.wallet)
    }
    fn decide(&self, desk: &mut Desk<'_>) -> Result<Answer, Problem> {
        desk.active_wallet(self.wallet)?;
        desk.bump(self.wallet)?;
        moves::release(desk, self.wallet, self.hold).map(Box::new).map(Answer::Hold)
    }
    fn portable(&self) -> Option<&dyn Pack> {
        Some(self)
    }
}

impl Portable for ReleaseHold {
    const NAME: &'static str = "release_hold";
}

/// `POST /v1/holds/{id}/extend`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct ExtendHold {
    /// The wallet of the hold.
    pub wallet: WalletId,
    /// The hold.
    pub hold: HoldId,
    /// For how long from now, in seconds.
    pub expires_in_seconds: i64,
}

impl Command for ExtendHold {
    fn needs(&self) -> Needs {
        needs(self.wallet, self.hold)
    }
    fn guarded(&self) -> Option<WalletId> {
        Some(self.wallet)
    }
    fn decide(&self, desk: &mut Desk<'_>) -> Result<Answer, Problem> {
        desk.active_wallet(self.wallet)?;
        desk.bump(self.wallet)?;
        let expires_at = desk.now().plus_seconds(self.expires_in_seconds);
        moves::extend(desk, self.wallet, self.hold, expires_at).map(Box::new).map(Answer::Hold)
    }
    fn portable(&self) -> Option<&dyn Pack> {
        Some(self)
    }
}

impl Portable for ExtendHold {
    const NAME: &'static str = "extend_hold";
}
