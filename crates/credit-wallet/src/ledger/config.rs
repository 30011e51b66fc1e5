//! What can be set.

use std::time::Duration;

/// Bounds of the ledger.
#[derive(Debug, Clone)]
pub struct LedgerSettings {
    /// The most commands in one group.
    pub group_commands: usize,
    /// A group takes no more commands once it has so many bytes. `MongoDB` refuses documents over 16 MiB.
    pub group_bytes: usize,
    /// How many commands may wait for the lane of a book.
    pub queue_commands: usize,
    /// How many records the views may lag behind; beyond it new commands wait.
    pub lag_records: usize,
    /// How long views may rest between two batches.
    pub view_pause: Duration,
    /// How many wallets a book keeps in memory.
    pub cached_wallets: usize,
    /// How long a caller waits for its outcome.
    pub deadline: Duration,
    /// How many claims (idempotency keys above all) make a generation of their index. Only the newest one grows, so
    /// that it fits the store's memory; over each complete one a filter is kept in memory, four bytes a claim.
    pub claims_per_generation: u64,
    /// How often what is due is posted by the job, and how often each process looks whether the job has left anything.
    pub sweep_every: Duration,
    /// How long the successor of an ended lot lives, in seconds.
    pub successor_seconds: i64,
}

impl Default for LedgerSettings {
    fn default() -> Self {
        Self {
            group_commands: 1024,
            group_bytes: 8 << 20,
            queue_commands: 8192,
            lag_records: 100_000,
            view_pause: Duration::from_secs(1),
            cached_wallets: 50_000,
            deadline: Duration::from_secs(10),
            claims_per_generation: 131_072,
            sweep_every: Duration::from_secs(15),
            successor_seconds: 30 * 24 * 3600,
        }
    }
}
