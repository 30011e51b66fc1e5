//! The hash chain over a wallet's entries: who knows its head knows that nothing before was changed.

use credit_core::{Timestamp, TransactionId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::transaction::{Direction, Entry};

/// SHA-256 over the hash before and one entry; 32 zero bytes before the first.
#[derive(Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ChainHash(pub [u8; 32]);

impl std::fmt::Display for ChainHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for ChainHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// The next hash of a wallet's chain.
pub fn chain_entry(before: ChainHash, transaction: TransactionId, at: Timestamp, entry: &Entry) -> ChainHash {
    let mut hasher = Sha256::new();
    hasher.update(before.0);
    hasher.update(transaction.as_u128().to_be_bytes());
    hasher.update(entry.id.as_u128().to_be_bytes());
    hasher.update([match entry.direction {
        Direction::Debit => 0,
        Direction::Credit => 1,
    }]);
    hasher.update(entry.amount.to_be_bytes());
    hasher.update(entry.balance_after.unwrap_or_default().to_be_bytes());
    hasher.update(entry.sequence.unwrap_or_default().to_be_bytes());
    hasher.update(at.millis().to_be_bytes());
    ChainHash(hasher.finalize().into())
}
