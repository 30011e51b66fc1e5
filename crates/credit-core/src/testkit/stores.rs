use std::any::Any;
use std::sync::Arc;

use crate::memory::{MemoryDocuments, MemoryJournal};
use crate::ports::documents::Documents;
use crate::ports::journal::Journal;

/// An empty store for one test. A binary of scenarios says by its own `stores()` which kind; the scenarios do not know.
#[derive(Clone)]
pub struct TestStores {
    /// For money.
    pub journal: Arc<dyn Journal>,
    /// For the rest.
    pub documents: Arc<dyn Documents>,
    /// What has to be kept as long as they are used.
    pub alive: Arc<dyn Any + Send + Sync>,
}

impl TestStores {
    /// In memory, for one process.
    pub fn in_memory() -> Self {
        Self::of(Arc::new(MemoryJournal::new()), Arc::new(MemoryDocuments::new()))
    }

    /// In memory, as if other processes used it as well.
    pub fn shared_in_memory() -> Self {
        Self::of(Arc::new(MemoryJournal::shared()), Arc::new(MemoryDocuments::new()))
    }

    /// These, which need nothing else to be kept.
    pub fn of(journal: Arc<dyn Journal>, documents: Arc<dyn Documents>) -> Self {
        Self { journal, documents, alive: Arc::new(()) }
    }
}
