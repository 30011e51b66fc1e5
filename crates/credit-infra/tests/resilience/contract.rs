//! A guarded store is a store: the suites of `credit-core` pass on it.

use std::future::{Ready, ready};
use std::sync::Arc;

use credit_core::memory::{MemoryDocuments, MemoryJournal};
use credit_core::ports::documents::Documents;
use credit_core::ports::journal::Journal;
use credit_infra::resilience::{Guard, GuardSettings, GuardedDocuments, GuardedJournal};

mod journal {
    use super::*;

    fn fresh() -> Ready<(Arc<dyn Journal>, ())> {
        let guard = Guard::new("journal", GuardSettings::embedded());
        ready((Arc::new(GuardedJournal::new(Arc::new(MemoryJournal::new()), guard)), ()))
    }

    credit_core::journal_contract_tests!(fresh);
}

mod documents {
    use super::*;

    fn fresh() -> Ready<(Arc<dyn Documents>, ())> {
        let guard = Guard::new("documents", GuardSettings::embedded());
        ready((Arc::new(GuardedDocuments::new(Arc::new(MemoryDocuments::new()), guard)), ()))
    }

    credit_core::documents_contract_tests!(fresh);
}
