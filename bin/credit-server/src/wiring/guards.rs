//! The guards around the store: breakers, bulkheads and deadlines, and what they tell of it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use credit_api::ports::HealthProbe;
use credit_core::ports::StoreError;
use credit_core::{Health, HealthState};
use credit_infra::resilience::{BreakerState, Guard, GuardSettings, GuardedDocuments, GuardedJournal};

use super::late::Ports;

/// A batch of views is large: it may take longer than an append.
const NETWORK_COMMIT: Duration = Duration::from_secs(10);

/// Who logs in while the disk is busy waits as long as who spends. The lane of a book has no caller, and waits on.
const CALLERS_WAIT: Duration = Duration::from_secs(10);

/// One guard for each port: appends may fail while documents are read as ever, and the other way round.
pub(super) struct Guards {
    documents: Arc<Guard>,
    journal: Arc<Guard>,
}

impl Guards {
    /// Around a store in this process, or around one over a network.
    pub(super) fn new(over_network: bool) -> Self {
        let (documents, journal) = if over_network {
            let network = GuardSettings::network();
            (GuardSettings { write_deadline: NETWORK_COMMIT, ..network.clone() }, network)
        } else {
            let embedded = GuardSettings::embedded();
            (GuardSettings { write_deadline: CALLERS_WAIT, ..embedded.clone() }, embedded)
        };
        Self { documents: Guard::new("documents", documents), journal: Guard::new("journal", journal) }
    }

    /// These ports, guarded.
    pub(super) fn around(&self, ports: &Ports) -> Ports {
        Ports {
            documents: Arc::new(GuardedDocuments::new(ports.documents.clone(), self.documents.clone())),
            journal: Arc::new(GuardedJournal::new(ports.journal.clone(), self.journal.clone())),
        }
    }

    /// Sets their gauges.
    pub(super) fn measure(&self) {
        self.documents.measure();
        self.journal.measure();
    }

    /// This probe of the store, and what the guards have seen of it.
    pub(super) fn probe(&self, inner: Arc<dyn HealthProbe>) -> Arc<dyn HealthProbe> {
        Arc::new(GuardedProbe { inner, documents: self.documents.clone(), journal: self.journal.clone() })
    }
}

struct GuardedProbe {
    inner: Arc<dyn HealthProbe>,
    documents: Arc<Guard>,
    journal: Arc<Guard>,
}

#[async_trait]
impl HealthProbe for GuardedProbe {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn is_required(&self) -> bool {
        self.inner.is_required()
    }

    /// Asks through the guard: so a process that nobody calls finds out as well that the store is back.
    async fn check(&self) -> Health {
        let asked = self
            .documents
            .read(|| async {
                let health = self.inner.check().await;
                match health.state {
                    HealthState::Unhealthy => Err(StoreError::Unavailable(health.detail.unwrap_or_default())),
                    _ => Ok(health),
                }
            })
            .await;
        match asked {
            Err(StoreError::Unavailable(why)) => Health::unhealthy(why),
            Err(error) => Health::unhealthy(error.to_string()),
            Ok(_) if self.journal.breaker().is_open() => {
                Health::unhealthy("the circuit breaker of the journal is open")
            }
            Ok(health) => health,
        }
    }

    fn breaker(&self) -> Option<&'static str> {
        let states = [self.documents.breaker().state(), self.journal.breaker().state()];
        let worst = [BreakerState::Open, BreakerState::HalfOpen, BreakerState::Closed]
            .into_iter()
            .find(|state| states.contains(state));
        worst.map(BreakerState::name)
    }
}
