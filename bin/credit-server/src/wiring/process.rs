//! What a process has beside the house, for the house to show or to use.

use std::sync::Arc;

use credit_api::ports::{LogLevel, Profiles, Traces};
use credit_infra::vault::Vault;
use tokio::runtime::Handle;

/// Nothing of it is there for commands that only work in the house.
#[derive(Clone, Default)]
pub(crate) struct Process {
    /// Where secrets come from, if it is Vault.
    pub(crate) vault: Option<Arc<Vault>>,
    /// Whether it hands other processes commands and takes theirs, where the configuration says so.
    pub(crate) has_peers: bool,
    /// Where the lanes live, if it is not on a thread of their own.
    pub(crate) lanes: Option<Handle>,
    /// What is logged.
    pub(crate) log: Option<Arc<dyn LogLevel>>,
    /// Where traces go.
    pub(crate) traces: Option<Arc<dyn Traces>>,
    /// A look into it, if that is switched on.
    pub(crate) profiles: Option<Arc<dyn Profiles>>,
}
