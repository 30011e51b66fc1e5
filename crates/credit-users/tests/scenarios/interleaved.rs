//! A store that lets others go first, so that what happens at once in a test really crosses.

use std::sync::Arc;

use async_trait::async_trait;
use credit_core::ports::StoreError;
use credit_core::ports::documents::Documents;
use credit_core::testkit::{Dice, MeddlesWithDocuments};
use parking_lot::Mutex;

/// Before and after each call, others go first up to three times: how often depends on the seed only.
pub(crate) struct Interleaved {
    documents: Arc<dyn Documents>,
    dice: Mutex<Dice>,
}

impl Interleaved {
    pub(crate) fn new(documents: Arc<dyn Documents>, seed: u64) -> Self {
        Self { documents, dice: Mutex::new(Dice::new(seed)) }
    }

    async fn step_aside(&self) {
        let times = self.dice.lock().below(4);
        for _ in 0..times {
            tokio::task::yield_now().await;
        }
    }
}

#[async_trait]
impl MeddlesWithDocuments for Interleaved {
    fn behind(&self) -> &dyn Documents {
        &*self.documents
    }

    async fn before(&self) -> Result<(), StoreError> {
        self.step_aside().await;
        Ok(())
    }

    async fn after(&self) {
        self.step_aside().await;
    }
}
