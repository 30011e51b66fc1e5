//! The suites of `credit-core`, and the differential run against the reference.

use std::future::{Ready, ready};
use std::sync::Arc;

use credit_core::memory::{MemoryDocuments, MemoryJournal};
use credit_core::ports::documents::Documents;
use credit_core::ports::journal::Journal;
use credit_core::testkit::differential;
use credit_infra::embedded::EmbeddedStore;

use super::options;

mod journal {
    use super::*;

    fn fresh() -> Ready<(Arc<dyn Journal>, EmbeddedStore)> {
        let store = EmbeddedStore::open_in_memory(options()).unwrap();
        ready((store.journal(), store))
    }

    credit_core::journal_contract_tests!(fresh);
}

mod documents {
    use super::*;

    fn fresh() -> Ready<(Arc<dyn Documents>, EmbeddedStore)> {
        let store = EmbeddedStore::open_in_memory(options()).unwrap();
        ready((store.documents(), store))
    }

    credit_core::documents_contract_tests!(fresh);
}

#[tokio::test]
async fn two_thousand_random_sequences_end_as_in_the_reference() {
    let store = EmbeddedStore::open_in_memory(options()).unwrap();
    let (journal, documents) = (store.journal(), store.documents());
    let (reference_journal, reference_documents) = (MemoryJournal::new(), MemoryDocuments::new());
    for seed in 0..2000 {
        differential::documents(seed, &reference_documents, &*documents).await;
        differential::journals(seed, &reference_journal, &*journal).await;
    }
    assert_eq!(store.failed(), None);
}
