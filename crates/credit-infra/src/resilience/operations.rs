//! How long the operations of a store take, and how they end; and their spans.

use std::sync::OnceLock;
use std::time::Instant;

use credit_core::ports::StoreError;
use credit_core::ports::documents::CommitError;
use credit_core::ports::journal::{Appended, Page};
use metrics::Histogram;
use tracing::Instrument;

/// How an operation can end.
const OUTCOMES: [&str; 5] = ["ok", "conflict", "unavailable", "unknown", "failed"];

/// One operation of one store. Its instruments are looked up once, at their first use.
pub(super) struct Operation {
    store: &'static str,
    name: &'static str,
    durations: [OnceLock<Histogram>; OUTCOMES.len()],
}

/// What an answer tells of its operation.
pub(super) trait Ending {
    /// One of the outcomes.
    fn outcome(&self) -> &'static str;
}

impl Operation {
    pub(super) fn new(store: &'static str, name: &'static str) -> Self {
        Self { store, name, durations: std::array::from_fn(|_| OnceLock::new()) }
    }

    /// Makes a call, measured and as a span.
    pub(super) async fn measured<A: Ending>(&self, call: impl Future<Output = A>) -> A {
        let began = Instant::now();
        let span = tracing::debug_span!(target: "credit_trace", "store", otel.kind = "client", store = self.store, operation = self.name);
        let answer = call.instrument(span).await;
        self.note(answer.outcome(), began);
        answer
    }

    fn note(&self, outcome: &'static str, began: Instant) {
        let place = OUTCOMES.iter().position(|known| *known == outcome).unwrap_or(OUTCOMES.len() - 1);
        let histogram = self.durations[place].get_or_init(|| {
            let labels = [("store", self.store), ("operation", self.name), ("outcome", outcome)];
            metrics::histogram!("credit_store_operation_duration_seconds", &labels)
        });
        histogram.record(began.elapsed().as_secs_f64());
    }
}

fn of_fault(fault: &StoreError) -> &'static str {
    match fault {
        StoreError::Unavailable(_) => "unavailable",
        StoreError::OutcomeUnknown(_) => "unknown",
        StoreError::Corrupt(_) => "failed",
    }
}

/// An answer that is there, or a fault of the store.
impl<T: Answered> Ending for Result<T, StoreError> {
    fn outcome(&self) -> &'static str {
        match self {
            Ok(answer) => answer.outcome(),
            Err(fault) => of_fault(fault),
        }
    }
}

impl Ending for Result<(), CommitError> {
    fn outcome(&self) -> &'static str {
        match self {
            Ok(()) => "ok",
            Err(CommitError::Store(fault)) => of_fault(fault),
            Err(_) => "conflict",
        }
    }
}

/// What a store answers when it can.
pub(super) trait Answered {
    /// Most answers are as good as another.
    fn outcome(&self) -> &'static str {
        "ok"
    }
}

impl Answered for Appended {
    fn outcome(&self) -> &'static str {
        match self {
            Self::Appended => "ok",
            Self::Taken => "conflict",
        }
    }
}

impl<T> Answered for Vec<T> {}
impl<T> Answered for Option<T> {}
impl Answered for Page {}
impl Answered for u64 {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_ends_in_one_of_the_outcomes() {
        let away = || StoreError::Unavailable("away".to_owned());
        let unknown = || StoreError::OutcomeUnknown("late".to_owned());
        assert_eq!(Ok::<_, StoreError>(Appended::Appended).outcome(), "ok");
        assert_eq!(Ok::<_, StoreError>(Appended::Taken).outcome(), "conflict");
        assert_eq!(Err::<Vec<u8>, _>(away()).outcome(), "unavailable");
        assert_eq!(Err::<u64, _>(StoreError::Corrupt("torn".to_owned())).outcome(), "failed");
        assert_eq!(Err::<(), _>(CommitError::Store(unknown())).outcome(), "unknown");
        let taken = CommitError::Taken { collection: "users", index: "by_name" };
        assert_eq!(Err::<(), _>(taken).outcome(), "conflict");
        assert_eq!(Ok::<(), CommitError>(()).outcome(), "ok");
    }

    #[tokio::test]
    async fn a_call_that_is_measured_answers_what_it_answers() {
        let operation = Operation::new("documents", "get");
        let answer = operation.measured(async { Ok::<_, StoreError>(Some(3)) }).await;
        assert_eq!(answer, Ok(Some(3)));
        assert!(operation.durations[0].get().is_some() && operation.durations[2].get().is_none());
    }
}
