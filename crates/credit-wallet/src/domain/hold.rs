//! Holds: credits set aside for a later capture.

use credit_core::{Actor, GrantId, HoldId, Timestamp, WalletId};
use serde::{Deserialize, Serialize};

/// What a hold is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldState {
    /// It holds credits.
    Active,
    /// Settled by a capture.
    Captured,
    /// Given back.
    Released,
    /// Its time is over.
    Expired,
}

impl HoldState {
    /// Each state with its text.
    pub const NAMES: [(Self, &'static str); 4] = [
        (Self::Active, "active"),
        (Self::Captured, "captured"),
        (Self::Released, "released"),
        (Self::Expired, "expired"),
    ];

    /// From the text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, name)| *name == text).map(|(state, _)| *state)
    }
}

/// What a hold reserved of one lot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldPart {
    /// The lot.
    pub grant: GrantId,
    /// What was reserved of it.
    pub amount: i64,
    /// What is still reserved of it.
    pub left: i64,
}

/// A hold. Its parts stand in draw order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Its id.
    pub id: HoldId,
    /// The wallet.
    pub wallet: WalletId,
    /// What was reserved.
    pub amount: i64,
    /// What has been captured.
    pub captured: i64,
    /// What it is.
    pub state: HoldState,
    /// Until when, exclusive.
    pub expires_at: Timestamp,
    /// The lots.
    pub parts: Vec<HoldPart>,
    /// The consumer's reference.
    pub reference: Option<String>,
    /// The consumer's pairs.
    pub metadata: std::collections::BTreeMap<String, String>,
    /// Who made it.
    pub created_by: Actor,
    /// When.
    pub created_at: Timestamp,
    /// The version of the wallet that its last change produced.
    pub wallet_version: u64,
    /// Counts its changes from 1.
    pub version: u64,
    /// The journal group that changed it last.
    pub changed_in: u64,
}

impl Hold {
    /// What it still holds.
    pub fn remaining(&self) -> i64 {
        self.parts.iter().map(|part| part.left).sum()
    }

    /// Whether it holds credits.
    pub fn is_active(&self) -> bool {
        self.state == HoldState::Active
    }
}
