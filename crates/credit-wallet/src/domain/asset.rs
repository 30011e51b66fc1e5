//! Assets: what wallets hold.

use credit_core::{AssetCode, Timestamp};
use serde::{Deserialize, Serialize};

/// Something that wallets hold, counted in its smallest unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asset {
    /// Its code, unique in the house.
    pub code: AssetCode,
    /// How many decimal places people see: `amount / 10^scale`.
    pub scale: u8,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Asset {
    /// The asset that is always there: whole credits.
    pub fn credit(created_at: Timestamp) -> Self {
        Self { code: AssetCode::CREDIT, scale: 0, created_at }
    }
}
