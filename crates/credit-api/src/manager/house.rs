//! What the house knows of itself.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use bytes::Bytes;

use super::seat::{ModuleReport, Seat};

/// What the house knows of itself: its modules, its contract, whether it is closing. `connection_api` tells it to
/// callers; the [`ModuleManager`](super::ModuleManager) fills it.
#[derive(Default)]
pub struct House {
    furniture: OnceLock<Furniture>,
    preparing: AtomicBool,
    draining: AtomicBool,
}

struct Furniture {
    seats: Vec<Arc<Seat>>,
    contract: Bytes,
}

impl House {
    /// An empty house, for [`ModuleManager::try_new`](super::ModuleManager::try_new).
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(super) fn furnish(&self, seats: Vec<Arc<Seat>>, contract: String) {
        let furnished = self.furniture.set(Furniture { seats, contract: contract.into() });
        assert!(furnished.is_ok(), "a house has one manager");
    }

    pub(super) fn set_preparing(&self, preparing: bool) {
        self.preparing.store(preparing, Ordering::Release);
    }

    pub(crate) fn is_preparing(&self) -> bool {
        self.preparing.load(Ordering::Acquire)
    }

    pub(super) fn start_draining(&self) {
        self.draining.store(true, Ordering::Release);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// How every module is, in the order in which they start.
    pub(crate) fn modules(&self) -> Vec<ModuleReport> {
        let now = Instant::now();
        self.furniture
            .get()
            .map_or_else(Vec::new, |furniture| furniture.seats.iter().map(|seat| seat.report(now)).collect())
    }

    /// The OpenAPI document.
    pub(crate) fn contract(&self) -> Bytes {
        self.furniture.get().map_or_else(Bytes::new, |furniture| furniture.contract.clone())
    }

    pub(super) fn contract_text(&self) -> String {
        String::from_utf8_lossy(&self.contract()).into_owned()
    }
}
