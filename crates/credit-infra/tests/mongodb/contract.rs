//! The suites of `credit-core`, and the differential run against the reference.

use std::sync::Arc;

use credit_core::memory::{MemoryDocuments, MemoryJournal};
use credit_core::ports::documents::Documents;
use credit_core::ports::journal::Journal;
use credit_core::testkit::differential;
use credit_infra::mongodb::MongoStore;

mod journal {
    use super::*;

    async fn fresh() -> (Arc<dyn Journal>, MongoStore) {
        let store = super::super::fresh().await;
        (store.journal(), store)
    }

    credit_core::journal_contract_tests!(fresh);
}

mod documents {
    use super::*;

    async fn fresh() -> (Arc<dyn Documents>, MongoStore) {
        let store = super::super::fresh().await;
        (store.documents(), store)
    }

    credit_core::documents_contract_tests!(fresh);
}

/// How many runs go on side by side: a run waits for the disk most of the time.
const SIDE_BY_SIDE: u64 = 16;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_random_sequences_end_as_in_the_reference() {
    let runs = (0..SIDE_BY_SIDE).map(|first| {
        let seeds = (first..2000).step_by(usize::try_from(SIDE_BY_SIDE).unwrap());
        tokio::spawn(async move {
            // A database of its own: the lists of applications and books are compared too.
            let store = super::fresh().await;
            let (journal, documents) = (store.journal(), store.documents());
            let (reference_journal, reference_documents) = (MemoryJournal::new(), MemoryDocuments::new());
            for seed in seeds {
                // One or the other: a sequence here costs the disk a hundred times what it costs elsewhere.
                if seed < 1400 {
                    differential::documents(seed, &reference_documents, &*documents).await;
                } else {
                    differential::journals(seed, &reference_journal, &*journal).await;
                }
            }
        })
    });
    for run in runs.collect::<Vec<_>>() {
        run.await.unwrap();
    }
}
