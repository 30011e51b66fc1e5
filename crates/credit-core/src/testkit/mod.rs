//! For tests: the contract suites that are the specification of a store, the differential run between two stores,
//! and doubles for the other ports. Nothing here is fit to keep a secret.

pub mod cache_contract;
pub mod differential;
pub mod documents_contract;
pub mod journal_contract;
pub mod limits_contract;

mod between;
mod clock;
mod dice;
mod ids;
mod job_run;
mod keys;
mod passwords;
mod stores;
mod tokens;

pub use between::{Between, MeddlesWithDocuments, MeddlesWithJournal};
pub use clock::TestClock;
pub use dice::Dice;
pub use ids::CountingIds;
pub use job_run::TestRun;
pub use keys::{CountingSecrets, PlainSealer, TestKeyedHash};
pub use passwords::PlainPasswords;
pub use stores::TestStores;
pub use tokens::TestTokens;

/// One `#[tokio::test]` per promise of a suite. Used by the two macros that name the promises.
#[doc(hidden)]
#[macro_export]
macro_rules! contract_tests {
    ($suite:ident, $factory:expr, [$($promise:ident,)*]) => {$(
        #[tokio::test]
        async fn $promise() {
            let (store, _alive) = $factory().await;
            $crate::testkit::$suite::$promise(store).await;
        }
    )*};
}
