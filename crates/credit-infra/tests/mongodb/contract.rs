//! The suites of `credit-core`.

use std::sync::Arc;

use credit_core::ports::documents::Documents;
use credit_core::ports::journal::Journal;
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
